"""A page as blocks, of which both forms of the report are made: markdown, and HTML in `html`.

A string is markdown whose foreign words went through `text.escape`; it holds no HTML of its own.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True)
class Fold:
    """Blocks behind a line that opens them."""

    summary: str
    """Frozen text."""
    body: Sequence[Block]


@dataclass(frozen=True)
class Picture:
    """A figure of the report, with what it shows in words."""

    name: str
    title: str
    alt: str


@dataclass(frozen=True)
class Table:
    """A table whose cells are markdown; its first `words` columns are words, the others numbers."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int


Block = str | Fold | Picture | Table


def to_markdown(blocks: Sequence[Block]) -> str:
    """Return blocks as markdown for GitHub; figures are linked relative to the page."""
    return "\n\n".join(part for block in blocks if (part := _markdown(block))) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Fold):
        summary = html.escape(" ".join(block.summary.split()))
        # The blank line after the summary lets markdown inside HTML be markdown.
        body = to_markdown(block.body)
        return f"<details><summary>{summary}</summary>\n\n{body}\n</details>"
    if isinstance(block, Picture):
        return f"![{block.title}: {block.alt}](figures/{block.name}.png)\n\n*{block.title}.* {block.alt}"
    if isinstance(block, Table):
        align = ["left"] * block.words + ["right"] * (len(block.headers) - block.words)
        text: str = tabulate(
            block.rows,
            headers=block.headers,
            tablefmt="pipe",
            disable_numparse=True,
            colalign=align[: len(block.headers)],
        )
        return text
    return block.strip("\n")

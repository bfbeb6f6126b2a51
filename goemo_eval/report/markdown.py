"""A page as markdown for GitHub."""

from __future__ import annotations

import html
from collections.abc import Sequence

from goemo_eval.report.document import Answers, Block, Fold, Picture, Section, Table
from goemo_eval.report.text import escape, plain


def to_markdown(blocks: Sequence[Block]) -> str:
    """Return blocks as markdown; figures are linked relative to the page."""
    return "\n\n".join(part for block in blocks if (part := _markdown(block))) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Section(title, _, body, _):
            return f"## {escape(title)}\n\n{to_markdown(body)}".rstrip("\n")
        case Answers(boxes):
            return "\n\n".join(
                f"### {escape(box.scheme)}: {box.headline}\n\n"
                + "\n".join(f"- **{escape(term)}**: {said}" for term, said in box.facts)
                for box in boxes
            )
        case Fold(summary, body):
            # The blank line after the summary lets markdown inside HTML be markdown.
            line = html.escape(plain(summary))
            return f"<details><summary>{line}</summary>\n\n{to_markdown(body)}\n</details>"
        case Picture(name, title, alt):
            return f"![{title}](figures/{name}.png)\n\n*{title}.* {alt}"
        case Table():
            return _table(block)
        case str():
            return block.strip("\n")


def _table(block: Table) -> str:
    """Return a pipe table; it is not padded, since half of a wide table would be spaces."""
    heads = [column.head for column in block.columns]
    rule = [":--" if column.words else "--:" for column in block.columns]
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, rule, *block.rows)]
    return "\n".join(lines) + (f"\n\n{block.key}" if block.key else "")

"""A page as blocks, of which both of its forms are made: `markdown` and `html`.

A string is markdown whose foreign words went through `text.escape`; it holds no HTML of its own.
Titles, summaries and terms are words as they come: each form escapes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from goemo_eval.report.text import DASH


@dataclass(frozen=True)
class Section:
    """What answers one question, under a heading that the page's menu lists."""

    title: str
    menu: str
    """The title in a word or two."""
    body: Sequence[Block]
    printed: bool = True
    """Whether it is worth paper: what is printed should fit on two pages."""


@dataclass(frozen=True)
class Answer:
    """The box of one scheme: what to do, and why, term by term."""

    scheme: str
    headline: str
    """Markdown."""
    facts: Sequence[tuple[str, str]]
    """Term in words, and what is said of it in markdown."""


@dataclass(frozen=True)
class Answers:
    """The boxes of all schemes, side by side where there is room."""

    boxes: Sequence[Answer]


@dataclass(frozen=True)
class Fold:
    """Blocks behind a line that opens them."""

    summary: str
    body: Sequence[Block]
    """It is not printed."""


@dataclass(frozen=True)
class Picture:
    """A figure of the report, with what it shows in words."""

    name: str
    title: str
    alt: str


@dataclass(frozen=True)
class Column:
    """A column of a table; its cells are markdown."""

    head: str
    means: str
    """What it holds, for the key below the table; empty where the head says it all."""
    cells: Sequence[str]
    words: bool = False
    """Whether it holds words, and not numbers."""


@dataclass(frozen=True)
class Table:
    """A table, and below it what its columns mean."""

    columns: Sequence[Column]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Its cells, row by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))

    @property
    def key(self) -> str:
        """What the columns mean, as markdown."""
        told = [f"*{column.head}*: {column.means}" for column in self.columns if column.means]
        return "; ".join(told) + "." if told else ""


Block = str | Section | Answers | Fold | Picture | Table


def table(*columns: Column) -> list[Block]:
    """Return a table without the columns of numbers that hold none; nothing if it has no rows."""
    if not columns[0].cells:
        return []
    return [Table([c for c in columns if c.words or any(cell != DASH for cell in c.cells)])]

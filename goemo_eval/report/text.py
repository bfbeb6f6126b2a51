"""Words and numbers as markdown: escaped names, one format per quantity, aligned tables."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from goemo_eval.records.schema import Cell
from goemo_eval.report.document import Table

DASH = "—"

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$@:])")


def escape(text: str) -> str:
    """Return text that shows as itself in markdown: no tag, link, mark-up or table cell survives."""
    return _SPECIAL.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def model_name(cell: Cell) -> str:
    """Return a cell's row name: the encoder, and engine and seed where they are not the usual."""
    engine = "" if cell.engine == "torch" else f" {cell.engine}"
    return f"{cell.encoder}{engine}" + (f" seed {cell.seed}" if cell.seed else "")


def number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """Return a number with fixed digits, or a dash."""
    if value is None:
        return DASH
    return f"{value:{'+' if signed else ''}z.{digits}f}"


def spread(low: float, high: float, digits: int = 3, *, signed: bool = False) -> str:
    """Return a range of two numbers; one that is below zero keeps its sign, even as -0.000."""
    form = f"{'+' if signed else ''}.{digits}f"
    return f"{low:{form}} to {high:{form}}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> Table:
    """Return a table of escaped words; its first `words` columns are words, the others numbers."""
    return Table(headers, rows, words)

"""Words and numbers as markdown: foreign words made harmless, one format per quantity."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from goemo_eval.frozen import PRECISIONS, Precision
from goemo_eval.records.schema import Cell
from goemo_eval.records.values import escaped
from goemo_eval.records.view import Pair

DASH = "—"
NO_CHOICE = ("linear",)
"""Engines that an encoder has no other beside: they need not be named."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$@:])")


def plain(text: str) -> str:
    r"""Return text on one line, without control characters: fit for a terminal, a file, a figure."""
    return " ".join(escaped(text).split())


def escape(text: str) -> str:
    """Return text that shows as itself in markdown: no tag, link, mark-up or table cell survives."""
    return _SPECIAL.sub(r"\\\1", html.escape(plain(text), quote=False))


def encoder_name(cell: Cell) -> str:
    """Return what an encoder is called, with its seed where that is not 0."""
    return cell.encoder + (f" seed {cell.seed}" if cell.seed else "")


def model_name(cell: Cell) -> str:
    """Return what a cell is called beside its scheme and precision: encoder and engine, and the seed."""
    engine = "" if cell.engine in NO_CHOICE else f" {cell.engine}"
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


def listed(names: list[str], most: int = 4) -> str:
    """Return names in a row; of many, the first and how many more there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def lower_precisions(pairs: Iterable[Pair]) -> list[Precision]:
    """Return the precisions that are held against FP32, the more exact first."""
    found = {pair.reduced.cell.precision for pair in pairs}
    return [precision for precision in PRECISIONS if precision in found]


def lower_names(pairs: Iterable[Pair]) -> str:
    """Return what they are called: ``INT8``, or ``BF16 and INT8``."""
    return " and ".join(precision.upper() for precision in lower_precisions(pairs))

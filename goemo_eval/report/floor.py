"""The floor: a linear model that any encoder must beat, by more than chance, to be worth its cost."""

from __future__ import annotations

from goemo_eval.measure.statistics import Interval
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View

FLOOR = "tfidf"


def floor_of(view: View) -> Record | None:
    """Return the scored floor of a view of one scheme, at the seed that is shown; None without one."""
    floors = [r for r in view.shown if r.cell.encoder == FLOOR and r.scores]
    return next((r for r in floors if r.cell.precision == "fp32"), None)


def is_floor(record: Record) -> bool:
    """Return whether a record is of the floor."""
    return record.cell.encoder == FLOOR


def is_worth_it(gain: Interval) -> bool:
    """Return whether a gain over the floor is beyond chance: its 95 % interval lies above zero."""
    return gain.low > 0

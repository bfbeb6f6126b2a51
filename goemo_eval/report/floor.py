"""The floor: a linear model that any encoder must beat, by more than chance, to be worth its cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from goemo_eval.judge.recommend import Recommendation
from goemo_eval.measure.statistics import Interval
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.seed_gains import SeedGain

FLOOR = "tfidf"


def floor_of(view: View) -> Record | None:
    """Return the scored floor of a view of one scheme, at the seed that is shown; None without one."""
    floors = [r for r in view.shown if r.cell.encoder == FLOOR and r.scores]
    return next((r for r in floors if r.cell.precision == "fp32"), None)


def is_floor(record: Record) -> bool:
    """Return whether a record is of the floor."""
    return record.cell.encoder == FLOOR


class Bought(NamedTuple):
    """What a judged cell gains over the floor, and for what."""

    gain: Interval | None
    """Of its test Macro-F1 minus the floor's, at the seed that is shown; None of the floor, or without decisions."""
    per_cost: float | None
    """Points of Macro-F1 (0.01 each) for each millisecond or megabyte beyond the floor's; None of a gain that is
    not beyond chance, and of a cell that costs no more than the floor."""


PAID_IN = {"p95_ms": "ms", "ms_per_text": "ms per text", "size_mb": "MB"}
"""The unit of what cells are ranked by."""


def bought(
    said: Recommendation, floor: Record | None, gains: Mapping[str, Interval]
) -> tuple[Bought, ...]:
    """Return what each judged cell of a scheme gains over the floor, and what that costs.

    Parameters
    ----------
    said : Recommendation
    floor : Record or None
        Of the scheme.
    gains : mapping of str to Interval
        By cell, of test Macro-F1 minus the floor's.

    Returns
    -------
    tuple of Bought
        In the order of `Recommendation.options`.
    """
    costs = {option.cell: getattr(option, said.ranked_by) for option in said.options}
    least = costs.get(floor.cell.id) if floor else None
    found = []
    for cell, cost in costs.items():
        gain = gains.get(cell)
        pays = gain and is_worth_it(gain) and least is not None and cost > least
        found.append(Bought(gain, 100 * gain.point / (cost - least) if gain and pays else None))
    return tuple(found)


def is_worth_it(gain: Interval | SeedGain) -> bool:
    """Return whether a gain over the floor is beyond chance: its 95 % interval lies above zero."""
    return gain.low > 0

"""The floor: a linear model that any encoder must beat, by more than chance, to be worth its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from goemo_eval.judge.recommend import Recommendation
from goemo_eval.measure.statistics import Interval
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.document import Column
from goemo_eval.report.seed_gains import ONE_SEED, SeedGain
from goemo_eval.report.text import DASH, spread

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


def gain_text(gain: Interval | SeedGain | None) -> str:
    """Return a gain's interval, and whether it may be chance or is a loss beyond it; a dash where there is none."""
    if gain is None:
        return DASH
    text = spread(gain.low, gain.high, signed=True)
    if is_worth_it(gain):
        return text
    return f"{text} (below)" if gain.high < 0 else f"{text} (chance)"


def gain_column(
    head: str,
    explained: str,
    cells: Sequence[str],
    *,
    shown: Mapping[str, Interval],
    anew: Mapping[str, SeedGain],
) -> Column:
    """Return a column of what cells gain: by the means over seeds where both sides have several.

    Parameters
    ----------
    head, explained : str
    cells : sequence of str
        Ids, a row each.
    shown : mapping of str to Interval
        At the seed that is shown: what stands where there is nothing in `anew`.
    anew : mapping of str to SeedGain
    """
    if not any(cell in anew for cell in cells):
        return Column(head, explained, [gain_text(shown.get(cell)) for cell in cells])
    marked = [
        gain_text(anew[cell])
        if cell in anew
        else gain_text(shown.get(cell)) + (ONE_SEED if cell in shown else "")
        for cell in cells
    ]
    more = f"; by the means over the seeds of both, 95 % over seeds and texts, or ({ONE_SEED}) at the shown seed"
    return Column(head, explained + more, marked)

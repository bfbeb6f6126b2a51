"""Intervals of the test Macro-F1s that a report shows, resampled once from the records' decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from goemo_eval.measure.f1 import BoolArray
from goemo_eval.measure.shared_draws import Drawn, SharedDraws
from goemo_eval.measure.statistics import Interval
from goemo_eval.records.decisions import Decisions, unpack_decisions
from goemo_eval.records.schema import Cell, Record
from goemo_eval.records.view import View
from goemo_eval.report.floor import floor_of, is_floor
from goemo_eval.report.ladder import lowest_rungs, rungs_below
from goemo_eval.report.seed_gains import SeedGain, seed_gain

# Enough for the digits that a report prints; the gate, which decides, takes more.
_RESAMPLES = 500
_MOST_KEPT = 3  # each holds a number for every text of every resample


@dataclass(frozen=True)
class Intervals:
    """95 % intervals by cell id, of cells at the seed that is shown; without decisions there is none."""

    scores: Mapping[str, Interval]
    """Of test Macro-F1."""
    twin: Mapping[str, Interval]
    """Of an INT8 or BF16 cell's test Macro-F1 minus its FP32 twin's."""
    floor: Mapping[str, Interval]
    """Of a cell's test Macro-F1 minus that of its scheme's floor."""
    best: Mapping[str, Interval]
    """Of a cell's test Macro-F1 minus the highest of its scheme."""
    fewer: Mapping[str, Interval]
    """Of an FP32 cell's test Macro-F1 minus that of the same encoder with the next fewer layers."""
    fewest: Mapping[str, Interval]
    """The same minus that with the fewest layers."""
    floor_over_seeds: Mapping[str, SeedGain]
    """As `floor`, by the means over seeds where cell and floor have several."""
    fewest_over_seeds: Mapping[str, SeedGain]
    """As `fewest`, by the means over seeds where both have several."""

    def ends(self, cell: Cell) -> tuple[float, float] | None:
        """Return the interval of a cell's test Macro-F1, if it has one."""
        found = self.scores.get(cell.id)
        return (found.low, found.high) if found else None


def resample(view: View, best: Mapping[str, Record]) -> Intervals:
    """Return the intervals of scored cells, from the same texts and the same random numbers for all.

    Parameters
    ----------
    view : View
    best : mapping of str to Record
        By scheme, the cell that the others are compared with.

    Raises
    ------
    RecordError
        If a record's decisions are damaged.
    """
    draws: dict[int, SharedDraws] = {}
    found = [
        _resample_scheme(view.shown.of_scheme(name), best.get(name), draws) for name in view.schemes
    ]
    scores, twin, floor, highest, fewer, fewest = (
        {cell: interval for one in found for cell, interval in one[i].items()} for i in range(6)
    )
    return Intervals(
        scores=scores,
        twin=twin,
        floor=floor,
        best=highest,
        fewer=fewer,
        fewest=fewest,
        floor_over_seeds=_over_seeds(view, _floors(view)),
        fewest_over_seeds=_over_seeds(view, lowest_rungs(view)),
    )


def _floors(view: View) -> dict[str, Record]:
    """Return by cell id the floor that it is held against; of the floor's own cells there is none."""
    found: dict[str, Record] = {}
    for name in view.schemes:
        shown = view.shown.of_scheme(name)
        if floor := floor_of(shown):
            found |= {record.cell.id: floor for record in shown if not is_floor(record)}
    return found


def _over_seeds(view: View, against: Mapping[str, Record]) -> dict[str, SeedGain]:
    """Return what cells gain over others by the means over the seeds of both."""
    found = {}
    for cell, other in against.items():
        record = view.find(cell)
        gain = seed_gain(view.group_of(other), view.group_of(record)) if record else None
        if gain:
            found[cell] = gain
    return found


class _Scorer:
    """Scores decisions on the resamples of their texts; what FP32 decides, every engine decides alike."""

    def __init__(self, draws: dict[int, SharedDraws]) -> None:
        self._draws = draws
        self._kept: dict[tuple[str, str], tuple[BoolArray, Drawn]] = {}

    def score(self, decisions: Decisions) -> tuple[BoolArray, Drawn]:
        """Return the truth, and the scores on its resamples."""
        key = decisions.targets, decisions.predictions
        found = self._kept.pop(key, None)
        if found is None:
            truth, guess = unpack_decisions(decisions)
            found = truth, self.draws(len(truth)).score(truth, guess)
        self._kept[key] = found  # the last one asked for is the last to go
        if len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return found

    def draws(self, texts: int) -> SharedDraws:
        """Return the resamples of so many texts."""
        if texts not in self._draws:
            self._draws[texts] = SharedDraws(texts, n_resamples=_RESAMPLES)
        return self._draws[texts]


Found = dict[str, Interval]


def _resample_scheme(
    shown: View, best: Record | None, draws: dict[int, SharedDraws]
) -> tuple[Found, Found, Found, Found, Found, Found]:
    """Return the first six mappings of `Intervals` for the records of one scheme."""
    scorer = _Scorer(draws)
    found: tuple[Found, Found, Found, Found, Found, Found] = ({}, {}, {}, {}, {}, {})
    scores, minus_twin, minus_floor, minus_best, minus_fewer, minus_fewest = found
    rungs = ((rungs_below(shown), minus_fewer), (lowest_rungs(shown), minus_fewest))
    rivals = ((floor_of(shown), minus_floor), (best, minus_best))
    against = [(r.cell, scorer.score(r.decisions), into) for r, into in rivals if r and r.decisions]
    for record in shown:
        if record.scores is None or record.decisions is None:
            continue
        truth, drawn = scorer.score(record.decisions)
        shared = scorer.draws(len(truth))
        scores[record.cell.id] = shared.interval(drawn)
        beside = list(against)
        twin = shown.twin(record) if record.cell.precision != "fp32" else None
        if twin and twin.scores and twin.decisions:
            beside.append((twin.cell, scorer.score(twin.decisions), minus_twin))
        for below, into in rungs:
            lower = below.get(record.cell.id)
            if lower and lower.decisions:
                beside.append((lower.cell, scorer.score(lower.decisions), into))
        for cell, (other_truth, other), into in beside:
            if cell != record.cell and np.array_equal(truth, other_truth):
                into[record.cell.id] = shared.interval(drawn, other)
    return found

"""Intervals of the test Macro-F1s that a report shows, resampled once from the records' decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goemo_eval.measure.shared_draws import Drawn, SharedDraws
from goemo_eval.measure.statistics import Bools, Interval, paired_bootstrap
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.over_seeds import one_seed
from goemo_eval.records.schema import Cell, Record
from goemo_eval.report.tables import pairs

# Enough for the two digits that a report prints; the gate, which decides, takes more.
_RESAMPLES = 200


@dataclass(frozen=True)
class Intervals:
    """95 % intervals by cell id; a cell without decisions has none."""

    scores: Mapping[str, Interval]
    """Of test Macro-F1."""
    int8: Mapping[str, Interval]
    """Of an INT8 cell's test Macro-F1 minus its FP32 twin's."""

    def ends(self, cell: Cell) -> tuple[float, float] | None:
        """Return the interval of a cell's test Macro-F1, if it has one."""
        found = self.scores.get(cell.id)
        return (found.low, found.high) if found else None


def resample(records: Sequence[Record]) -> Intervals:
    """Return the intervals of scored cells, from the same texts and the same random numbers for all.

    Of several seeds of a cell, the one that is shown has an interval.

    Raises
    ------
    RecordError
        If a record's decisions are damaged.
    """
    scored = [r for r in one_seed(records) if r.scores and r.decisions]
    scores, int8 = {}, {}
    twins: dict[Cell, list[Record]] = {record.cell: [] for record in scored}
    for fp32, candidate in pairs(scored):
        twins.pop(candidate.cell)
        twins[fp32.cell].append(candidate)
    cells = {record.cell: record for record in scored}
    draws: dict[int, SharedDraws] = {}
    for cell, candidates in twins.items():
        truth, drawn = _drawn(cells[cell], draws)
        shared = draws[len(truth)]
        scores[cell.id] = shared.interval(drawn)
        for candidate in candidates:
            same_truth, changed = _drawn(candidate, draws)
            scores[candidate.cell.id] = draws[len(same_truth)].interval(changed)
            if np.array_equal(truth, same_truth):
                int8[candidate.cell.id] = shared.interval(changed, drawn)
    return Intervals(scores, int8)


def _drawn(record: Record, draws: dict[int, SharedDraws]) -> tuple[Bools, Drawn]:
    """Return a cell's truth, and its scores on the resamples of as many texts, drawn at need."""
    assert record.decisions is not None
    truth, guess = unpack_decisions(record.decisions)
    if len(truth) not in draws:
        draws[len(truth)] = SharedDraws(len(truth), n_resamples=_RESAMPLES)
    return truth, draws[len(truth)].score(truth, guess)


def difference(baseline: Record, candidate: Record) -> Interval | None:
    """Return the interval of the candidate's test Macro-F1 minus the baseline's.

    None where either keeps no decisions, or they are not of the same texts.
    """
    if baseline.decisions is None or candidate.decisions is None:
        return None
    truth, before = unpack_decisions(baseline.decisions)
    same_truth, after = unpack_decisions(candidate.decisions)
    if not np.array_equal(truth, same_truth):
        return None
    return paired_bootstrap(truth, before, after, n_resamples=_RESAMPLES)

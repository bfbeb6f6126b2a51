"""Intervals of the test Macro-F1s that a report shows, resampled once from the records' decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goemo_eval.measure.statistics import Interval, paired_bootstrap, score_interval
from goemo_eval.report.tables import pairs
from goemo_eval.results.decisions import unpack_decisions
from goemo_eval.results.over_seeds import one_seed
from goemo_eval.results.records import Cell, Record

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
    scores = {}
    for record in scored:
        assert record.decisions is not None
        truth, guess = unpack_decisions(record.decisions)
        scores[record.cell.id] = score_interval(truth, guess, n_resamples=_RESAMPLES)
    int8 = {i.cell.id: change for f, i in pairs(scored) if (change := difference(f, i))}
    return Intervals(scores, int8)


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

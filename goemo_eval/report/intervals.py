"""Intervals of the test Macro-F1s that a report shows, resampled once from the records' decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from goemo_eval.errors import RecordError, ScoreError
from goemo_eval.measure.statistics import Interval, paired_bootstrap, score_interval
from goemo_eval.report.tables import pairs
from goemo_eval.results.decisions import unpack_decisions
from goemo_eval.results.records import Record

# Enough for the two digits that a report prints; the gate, which decides, takes more.
_RESAMPLES = 300


@dataclass(frozen=True)
class Intervals:
    """95 % intervals by cell id; a cell without decisions has none."""

    scores: Mapping[str, Interval]
    """Of test Macro-F1."""
    int8: Mapping[str, Interval]
    """Of an INT8 cell's test Macro-F1 minus its FP32 twin's."""


def resample(records: Sequence[Record]) -> Intervals:
    """Return the intervals of scored cells, from the same texts and the same random numbers for all.

    Raises
    ------
    RecordError
        If a record's decisions are damaged.
    """
    decided = {
        r.cell.id: unpack_decisions(r.decisions) for r in records if r.scores and r.decisions
    }
    scores, int8 = {}, {}
    try:
        for cell, (truth, guess) in decided.items():
            scores[cell] = score_interval(truth, guess, n_resamples=_RESAMPLES)
        for fp32, other in pairs(records):
            if fp32.cell.id in decided and other.cell.id in decided:
                truth, before = decided[fp32.cell.id]
                after = decided[other.cell.id][1]
                int8[other.cell.id] = paired_bootstrap(truth, before, after, n_resamples=_RESAMPLES)
    except ScoreError as error:
        raise RecordError(f"decisions of two cells do not fit one another: {error}") from None
    return Intervals(scores, int8)

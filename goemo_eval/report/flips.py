"""The flip report: label by label, what INT8 decided otherwise than FP32."""

from __future__ import annotations

from collections.abc import Sequence

from goemo_eval.records.flips import flips
from goemo_eval.records.schema import Record
from goemo_eval.report.document import Fold
from goemo_eval.report.tables import pairs
from goemo_eval.report.text import escape, number, table


def flip_folds(records: Sequence[Record]) -> list[Fold]:
    """Return a folded table per scored INT8 cell, the labels that lost most F1 first."""
    return [_fold(fp32, int8) for fp32, int8 in pairs(records) if fp32.decisions and int8.decisions]


def _fold(fp32: Record, int8: Record) -> Fold:
    changed = sorted(flips(fp32, int8), key=lambda f: (f.delta, f.label))
    rows = [
        [
            escape(f.label),
            str(f.support),
            str(f.flips),
            str(f.gained),
            str(f.lost),
            number(f.f1_before),
            number(f.f1_after),
            number(f.delta, signed=True),
        ]
        for f in changed
    ]
    total, worst = sum(f.flips for f in changed), changed[0]
    decisions = fp32.decisions
    assert decisions is not None
    summary = (
        f"{int8.cell.id}: {total:,} of {decisions.rows * decisions.labels:,} decisions flipped; "
        f"{worst.label} {worst.delta:+.3f} F1"
    )
    headers = ["label", "support", "flips", "gained", "lost", "F1 FP32", "F1 INT8", "Δ F1"]
    return Fold(summary, [table(headers, rows)])

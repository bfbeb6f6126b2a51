"""Where the F1 is lost: which labels are low, and whether by missing them or by crying wolf."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from goemo_eval.measure.metrics import LabelScore, Scores
from goemo_eval.report.study import Study
from goemo_eval.report.tables import names
from goemo_eval.report.text import escape, number, table
from goemo_eval.results.records import Record

LOW_F1 = 0.4
SKEW = 1.5

Kind = Literal["FN-heavy", "FP-heavy", "balanced"]


def kind_of(score: LabelScore) -> Kind:
    """Return whether a label loses by misses or by false alarms.

    FN-heavy: more than 1.5 times as many misses as false alarms (low recall); FP-heavy: the
    reverse (low precision); balanced: neither.
    """
    if score.fn > SKEW * score.fp:
        return "FN-heavy"
    if score.fp > SKEW * score.fn:
        return "FP-heavy"
    return "balanced"


def low_labels(scores: Scores) -> list[LabelScore]:
    """Return the labels with an F1 below 0.4, worst first."""
    low = [score for score in scores.per_label if score.f1 < LOW_F1]
    return sorted(low, key=lambda score: (score.f1, score.label))


def error_analysis(records: Sequence[Record], study: Study) -> str:
    """Return the error analysis of the test split as markdown."""
    scored = [record for record in records if record.scores]
    if not scored:
        return "No cell was scored.\n"
    rows = []
    total: Counter[Kind] = Counter()
    for record in scored:
        assert record.scores is not None
        low = low_labels(record.scores.test)
        kinds = Counter(kind_of(score) for score in low)
        total += kinds
        worst = sorted(record.scores.test.per_label, key=lambda s: (s.f1, s.label))[:3]
        rows.append(
            [
                *names(record),
                record.cell.precision.upper(),
                ", ".join(
                    f"{escape(s.label)} {number(s.f1, 2)} ({s.support}, {kind_of(s)})"
                    for s in worst
                ),
                str(len(low)),
                *(str(kinds[kind]) for kind in ("FN-heavy", "FP-heavy", "balanced")),
            ]
        )
    headers = ["model", "scheme", "precision", "worst three: F1 (support, kind)"]
    headers += [f"F1 < {LOW_F1}", "FN-heavy", "FP-heavy", "balanced"]
    count = total.total()
    lines = [
        (
            f"A label is low when its test F1 is below {LOW_F1}; FN-heavy when it is missed more than "
            f"{SKEW} times as often as it is wrongly given, FP-heavy the other way round. The study "
            "states neither rule."
        ),
        "",
        table(headers, rows, words=4),
        "",
    ]
    if count:
        lines += [
            (
                f"Over all scored cells {count} labels are low: {total['FN-heavy'] / count:.0%} FN-heavy, "
                f"{total['FP-heavy'] / count:.0%} FP-heavy, {total['balanced'] / count:.0%} balanced "
                f"(the study: {study.claims.low_f1_fn_heavy:.0%} FN-heavy, "
                f"{study.claims.low_f1_fp_heavy:.0%} FP-heavy)."
            ),
            "",
        ]
    for record in scored:
        lines += _per_label(record)
    return "\n".join(lines)


def _per_label(record: Record) -> list[str]:
    assert record.scores is not None
    rows = [
        [
            escape(s.label),
            str(s.support),
            *(number(v, 2) for v in (s.precision, s.recall, s.f1)),
            *map(str, (s.tp, s.fp, s.fn)),
        ]
        for s in record.scores.test.per_label
    ]
    headers = ["label", "support", "precision", "recall", "F1", "TP", "FP", "FN"]
    # A blank line after the summary lets markdown inside HTML be markdown.
    return [
        f"<details><summary>Every label of {record.cell.id}</summary>",
        "",
        table(headers, rows),
        "",
        "</details>",
        "",
    ]

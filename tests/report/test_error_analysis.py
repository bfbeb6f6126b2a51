"""The stated rules for low labels and for what they lose by."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.measure.metrics import LabelScore, score_predictions
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record
from goemo_eval.report.document import to_markdown
from goemo_eval.report.error_analysis import LOW_F1, error_analysis, kind_of, low_labels


def label_score(fp: int, fn: int) -> LabelScore:
    return LabelScore(label="x", precision=0, recall=0, f1=0, support=fn, tp=0, fp=fp, fn=fn)


@pytest.mark.parametrize(
    ("fp", "fn", "kind"),
    [
        (10, 16, "FN-heavy"),
        (10, 15, "balanced"),
        (16, 10, "FP-heavy"),
        (15, 10, "balanced"),
        (0, 0, "balanced"),
        (0, 1, "FN-heavy"),
    ],
)
def test_kind(fp: int, fn: int, kind: str) -> None:
    assert kind_of(label_score(fp, fn)) == kind


def test_low_labels_are_sorted_and_below_the_limit() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((300, 6)) < np.linspace(0.02, 0.5, 6)
    guess = truth ^ (rng.random(truth.shape) < 0.2)
    scores = score_predictions(truth, guess, labels=list("abcdef"))
    low = low_labels(scores)
    assert [s.f1 for s in low] == sorted(s.f1 for s in scores.per_label if s.f1 < LOW_F1)
    assert 0 < len(low) < 6


def test_shares_are_counted_over_all_scored_cells(make_record: Callable[..., Record]) -> None:
    bad = make_record(wrong=0.9)
    text = to_markdown(error_analysis([bad, make_record(scored=False)]))
    assert bad.scores is not None
    low = low_labels(bad.scores.test)
    fn_heavy = sum(kind_of(s) == "FN-heavy" for s in low)
    assert f"{len(low)} labels are low: {fn_heavy / len(low):.0%} FN-heavy" in text
    for score in bad.scores.test.per_label:
        assert f"| {score.label}" in text


def test_without_scores_it_says_so(make_record: Callable[..., Record]) -> None:
    assert error_analysis([make_record(scored=False)]) == ["No cell was scored."]


def test_confusions_calibration_and_thresholds_are_told(full: list[Record]) -> None:
    text = to_markdown(error_analysis(full)).replace("\\", "")
    record = next(r for r in full if r.cell.id == "albert-raw-torch-fp32")
    assert record.calibration
    assert record.thresholds
    assert "### Most confused" in text
    assert f"{record.calibration.ece:.3f} |" in text
    cell = text.split("Every label of albert-raw-torch-fp32", 1)[1].split("</details>")[0]
    for label, cut in zip(record.labels, record.thresholds.values, strict=True):
        line = next(line for line in cell.splitlines() if line.startswith(f"| {label}"))
        assert f"{cut:.2f}" in line
    assert "together in" in cell


def test_texts_are_quoted_on_request_only(full: list[Record]) -> None:
    texts = {"raw": [f"the {i}th *text*" for i in range(400)]}
    quoted = to_markdown(error_analysis(full, texts))
    assert "th \\*text\\*" in quoted
    assert "th \\*text" not in to_markdown(error_analysis(full))
    record = full[0]
    assert record.decisions
    truth, guess = unpack_decisions(record.decisions)
    example = re.search(r"(\w+) missed: the (\d+)th .* \(has (.*?); given", quoted)
    assert example
    label, i = record.labels.index(example[1]), int(example[2])
    assert truth[i, label]
    assert not guess[i, label]
    assert example[3] == ", ".join(record.labels[k] for k in truth[i].nonzero()[0])
    with pytest.raises(RecordError, match="400 texts were scored, but 3 came"):
        error_analysis(full, {"raw": ["x"] * 3})

"""The stated rules for low labels and for what they lose by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from goemo_eval.measure.metrics import LabelScore, score_predictions
from goemo_eval.report.error_analysis import LOW_F1, error_analysis, kind_of, low_labels
from goemo_eval.report.study import load_study
from goemo_eval.results.records import Record


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
    text = error_analysis([bad, make_record(scored=False)], load_study())
    assert bad.scores is not None
    low = low_labels(bad.scores.test)
    fn_heavy = sum(kind_of(s) == "FN-heavy" for s in low)
    assert f"{len(low)} labels are low: {fn_heavy / len(low):.0%} FN-heavy" in text
    for score in bad.scores.test.per_label:
        assert f"| {score.label}" in text


def test_without_scores_it_says_so(make_record: Callable[..., Record]) -> None:
    assert error_analysis([make_record(scored=False)], load_study()) == "No cell was scored.\n"

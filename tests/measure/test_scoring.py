from __future__ import annotations

import numpy as np
import pytest

from goemo_eval.errors import ScoreError
from goemo_eval.measure.scoring import decide, fit_thresholds, score_logits

LOGITS = np.array([[2.0, -1.0], [-2.0, 0.5], [1.0, 1.0]], dtype=np.float32)
TARGETS = np.array([[True, False], [False, True], [False, True]])


def test_scoring_the_fitting_split_is_refused() -> None:
    thresholds = fit_thresholds(LOGITS, TARGETS, strategy="per-label", fitted_on="dev")
    with pytest.raises(ScoreError, match="the one that the thresholds were fitted on"):
        score_logits(LOGITS, TARGETS, labels=["a", "b"], split_sha256="dev", thresholds=thresholds)
    knowingly = score_logits(
        LOGITS,
        TARGETS,
        labels=["a", "b"],
        split_sha256="dev",
        thresholds=thresholds,
        in_sample=True,
    )
    elsewhere = score_logits(
        LOGITS, TARGETS, labels=["a", "b"], split_sha256="test", thresholds=thresholds
    )
    assert knowingly == elsewhere
    assert knowingly.macro_f1 == 1.0


def test_fixed_thresholds_fit_nothing_and_score_anything() -> None:
    fixed = fit_thresholds(LOGITS, TARGETS, strategy="fixed", fitted_on="dev")
    score_logits(LOGITS, TARGETS, labels=["a", "b"], split_sha256="dev", thresholds=fixed)


def test_argmax_without_thresholds() -> None:
    assert decide(LOGITS, None).tolist() == [0, 1, 0]


def test_multilabel_needs_thresholds() -> None:
    with pytest.raises(ScoreError, match="need thresholds"):
        score_logits(LOGITS, TARGETS, labels=["a", "b"], split_sha256="test")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_must_be_finite(bad: float) -> None:
    logits = LOGITS.copy()
    logits[1, 0] = bad
    with pytest.raises(ScoreError, match="logits of row 1 are not finite"):
        decide(logits, None)
    with pytest.raises(ScoreError, match="logits of row 1 are not finite"):
        fit_thresholds(logits, TARGETS, strategy="global", fitted_on="dev")

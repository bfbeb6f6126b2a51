"""Calibration against brute force, and what must hold of any probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import f1_score

from goemo_eval.errors import ScoreError
from goemo_eval.measure.calibration import (
    N_BINS,
    Calibration,
    ThresholdCurves,
    calibrate,
    threshold_curves,
)


def brute_ece(probabilities: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    total = 0.0
    for i in range(N_BINS):
        inside = [
            (p, t)
            for p, t in zip(probabilities, truth, strict=True)
            if i / N_BINS <= p < (i + 1) / N_BINS or (i == N_BINS - 1 and p == 1)
        ]
        if inside:
            p, t = np.mean(inside, axis=0)
            total += len(inside) * abs(p - t)
    return total / len(probabilities)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 5))
def test_multilabel_ece_is_brute_force_s(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    p, t = rng.random((n, k)), rng.random((n, k)) < 0.3
    found = calibrate(p, t)
    assert found.ece == pytest.approx(brute_ece(p.ravel(), t.ravel()), abs=3e-5)
    for label in range(k):
        expected = brute_ece(p[:, label], t[:, label])
        assert found.ece_per_label[label] == pytest.approx(expected, abs=3e-5)
    assert sum(b.count for b in found.bins) == n * k


def test_multiclass_bins_are_of_the_confidence() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet((1, 1, 1), 300)
    t = rng.integers(0, 3, 300)
    found = calibrate(p, t)
    assert sum(b.count for b in found.bins) == 300
    assert found.ece == pytest.approx(brute_ece(p.max(axis=1), p.argmax(axis=1) == t), abs=3e-5)
    assert min(b.probability for b in found.bins) >= 1 / 3


def test_true_probabilities_are_calibrated_and_their_squares_are_not() -> None:
    rng = np.random.default_rng(1)
    p = rng.random((100_000, 1))
    t = rng.random(p.shape) < p
    assert calibrate(p, t).ece < 0.01
    assert calibrate(p**2, t).ece > 0.1


def test_curves_are_scikit_learn_s_f1() -> None:
    rng = np.random.default_rng(2)
    p, t = rng.random((200, 4)), rng.random((200, 4)) < 0.3
    t[:, 3] = False
    curves = threshold_curves(p, t)
    assert curves.thresholds[0] == 0.05
    assert curves.thresholds[-1] == 0.95
    for i, threshold in enumerate(curves.thresholds):
        expected = f1_score(t, p >= threshold, average=None, zero_division=0)
        np.testing.assert_allclose([row[i] for row in curves.f1], expected, atol=1e-5)
    assert curves.support[3] == 0


@pytest.mark.parametrize("p", [[[np.nan]], [[1.1]], [[-0.1]], [[0.5, 0.5]], []])
def test_what_is_no_probability_is_refused(p: Any) -> None:
    with pytest.raises(ScoreError):
        calibrate(np.array(p), np.ones((1, 1), bool))


def test_an_error_that_its_bins_do_not_have_is_refused() -> None:
    rng = np.random.default_rng(3)
    content = calibrate(rng.random((50, 3)), rng.random((50, 3)) < 0.3).model_dump(mode="json")
    assert Calibration.model_validate(content).ece == content["ece"]
    with pytest.raises(ValidationError, match=r"ece 0.9 does not follow from bins"):
        Calibration.model_validate(content | {"ece": 0.9})


@pytest.mark.parametrize(
    ("thresholds", "f1", "message"),
    [
        ((0.5,), ((0.3,),), "at least 2"),
        ((0.5, 0.5), ((0.3, 0.2),), "thresholds must rise"),
        ((0.1, 0.5), ((0.3,),), "one value per label and threshold"),
    ],
)
def test_curves_need_a_course(thresholds: Any, f1: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ThresholdCurves(thresholds=thresholds, f1=f1, support=(1,))

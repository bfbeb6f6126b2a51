"""Shared draws against the bootstrap of each alone."""

from __future__ import annotations

import numpy as np
import pytest

from goemo_eval.errors import ScoreError
from goemo_eval.measure.shared_draws import SharedDraws
from goemo_eval.measure.statistics import Interval, paired_bootstrap, score_interval


@pytest.mark.parametrize("labels", [1, 5])
def test_the_same_as_one_by_one(labels: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((300, labels)) < 0.2
    one = truth ^ (rng.random(truth.shape) < 0.1)
    two = one ^ (rng.random(truth.shape) < 0.05)
    draws = SharedDraws(300, n_resamples=200, seed=3)
    a, b = draws.score(truth, one), draws.score(truth, two)
    for found, alone in (
        (draws.interval(a), score_interval(truth, one, n_resamples=200, seed=3)),
        (draws.interval(b, a), paired_bootstrap(truth, one, two, n_resamples=200, seed=3)),
    ):
        assert found.model_dump(exclude=FLOATS) == alone.model_dump(exclude=FLOATS)
        for name in FLOATS:
            assert getattr(found, name) == pytest.approx(getattr(alone, name), abs=1e-6)


FLOATS = {"point", "low", "high", "standard_error"}
assert Interval.model_fields.keys() > FLOATS


def test_equal_predictions_differ_by_nothing() -> None:
    truth = np.random.default_rng(0).random((50, 3)) < 0.3
    draws = SharedDraws(50, n_resamples=100)
    drawn = draws.score(truth, truth)
    found = draws.interval(drawn, drawn)
    assert (found.point, found.low, found.high, found.standard_error) == (0, 0, 0, 0)


def test_what_does_not_fit() -> None:
    truth = np.zeros((50, 3), bool)
    with pytest.raises(ScoreError, match="at least 100"):
        SharedDraws(50, n_resamples=99)
    draws = SharedDraws(50, n_resamples=100)
    for wrong in (truth[:49], truth[:, :2]):
        with pytest.raises(ScoreError, match="expected 50 rows and equal shapes"):
            draws.score(truth, wrong)
    with pytest.raises(ScoreError, match="expected 50 rows"):
        draws.score(truth[:49], truth[:49])

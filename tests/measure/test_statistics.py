from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import bootstrap, norm
from sklearn.metrics import f1_score

from goemo_eval.errors import ScoreError
from goemo_eval.measure.resampling import METRICS
from goemo_eval.measure.statistics import paired_bootstrap, resample, score_interval

Bools = np.ndarray


def multilabel(
    n: int = 5427, k: int = 28, noise: float = 0.15, seed: int = 0
) -> tuple[Bools, Bools, Bools]:
    """Truth with rare labels, and two sets of decisions that share most of their score."""
    rng = np.random.default_rng(seed)
    truth = rng.random((n, k)) < np.geomspace(0.0015, 0.33, k)
    score = truth * 2.2 + rng.normal(size=(n, k))
    first, second = (score + noise * rng.normal(size=(n, k)) > 1.8 for _ in range(2))
    return truth, first, second


def classes(n: int = 150, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    first = np.where(rng.random(n) < 0.25, (truth + 1) % 3, truth)
    return truth, first, np.where(rng.random(n) < 0.15, rng.integers(0, 3, n), first)


def sklearn_f1(truth: np.ndarray, guess: np.ndarray, metric: str | int) -> float:
    if isinstance(metric, int):
        return float(f1_score(truth[:, metric], guess[:, metric], zero_division=0))
    average = metric.removesuffix("_f1")
    return float(f1_score(truth, guess, average=average, zero_division=0))


ARRAYS = st.tuples(st.integers(2, 30), st.integers(2, 6)).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.bool_, shape)] * 3)
)


@given(ARRAYS, st.sampled_from([*METRICS, 1]))
@settings(max_examples=25, deadline=None)
def test_points_are_scikit_learns(arrays: tuple[Bools, ...], metric: str | int) -> None:
    truth, first, second = arrays
    options: dict[str, Any] = {"n_resamples": 100}
    interval = paired_bootstrap(truth, first, second, metric, **options)
    expected = sklearn_f1(truth, second, metric) - sklearn_f1(truth, first, metric)
    assert interval.point == pytest.approx(expected, abs=1e-12)
    assert -1 <= interval.low <= interval.point + 1e-12
    assert interval.point - 1e-12 <= interval.high <= 1
    single = score_interval(truth, second, metric, **options)
    assert single.point == pytest.approx(sklearn_f1(truth, second, metric), abs=1e-12)
    mirrored = paired_bootstrap(truth, second, first, metric, **options)
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low), abs=1e-5)


def macro_f1_difference(t: Any, a: Any, b: Any, axis: int) -> Any:
    """Macro-F1 over three classes along an axis, from its definition."""

    def macro(guess: Any) -> Any:
        f1 = []
        for k in range(3):
            hit = ((t == k) & (guess == k)).sum(axis=axis)
            f1.append(2 * hit / ((t == k).sum(axis=axis) + (guess == k).sum(axis=axis)))
        return np.mean(f1, axis=0)

    return macro(b) - macro(a)


@pytest.mark.parametrize(("method", "theirs"), [("percentile", "percentile"), ("bca", "BCa")])
def test_agrees_with_scipy(method: Any, theirs: str) -> None:
    data = classes()
    reference = bootstrap(
        data,
        macro_f1_difference,
        paired=True,
        method=theirs,
        n_resamples=10_000,
        rng=np.random.default_rng(1),
    )
    interval = paired_bootstrap(*data, method=method)
    expected = reference.confidence_interval
    # The quantile of 10,000 resamples strays by about 0.03 standard errors; both of them do.
    near = 0.15 * reference.standard_error
    assert interval.low == pytest.approx(expected.low, abs=near)
    assert interval.high == pytest.approx(expected.high, abs=near)
    assert interval.standard_error == pytest.approx(reference.standard_error, rel=0.05)


@pytest.mark.parametrize("metric", [*METRICS, 27])
def test_standard_error_is_the_spread_of_the_resamples(metric: str | int) -> None:
    data = multilabel()
    interval = paired_bootstrap(*data, metric, n_resamples=2000)
    plain = paired_bootstrap(*data, metric, n_resamples=2000, method="percentile")
    assert plain.standard_error == interval.standard_error
    spread = (plain.high - plain.low) / (2 * norm.ppf(0.975))
    assert interval.standard_error == pytest.approx(spread, rel=0.1)
    assert (interval.high - interval.low) == pytest.approx(plain.high - plain.low, rel=0.15)


def macro_f1(truth: Bools, guess: Bools) -> float:
    """Macro-F1 over the columns, from its definition."""
    f1 = []
    for k in range(truth.shape[1]):
        hit, positive = (truth[:, k] & guess[:, k]).sum(), truth[:, k].sum() + guess[:, k].sum()
        f1.append(2 * hit / positive if positive else 0.0)
    return float(np.mean(f1))


@given(ARRAYS)
@settings(max_examples=15, deadline=None)
def test_equal_rows_weighed_as_one_change_nothing(arrays: tuple[Bools, ...]) -> None:
    """Percentiles equal those of resamples drawn and scored one by one with the same seed."""
    truth, first, second = arrays
    n = len(truth)
    drawn = np.random.default_rng(3).integers(0, n, (100, n), dtype=np.uint16)
    values = [macro_f1(truth[i], second[i]) - macro_f1(truth[i], first[i]) for i in drawn]
    interval = paired_bootstrap(
        truth, first, second, n_resamples=100, method="percentile", seed=3, confidence=0.9
    )
    expected = np.quantile(values, [0.05, 0.95])
    assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1e-9)


def test_a_seed_fixes_every_bit() -> None:
    data = multilabel(600)
    once = paired_bootstrap(*data, n_resamples=500)
    assert paired_bootstrap(*data, n_resamples=500) == once
    assert paired_bootstrap(*data, n_resamples=500, seed=1) != once


def test_equal_predictions_leave_no_doubt() -> None:
    truth, first, _ = multilabel(300)
    interval = paired_bootstrap(truth, first, first.copy(), n_resamples=200)
    assert (interval.low, interval.point, interval.high) == (0, 0, 0)


def test_one_decision_that_differs_is_no_catastrophe() -> None:
    truth, first, _ = multilabel(1000)
    second = first.copy()
    second[0, 20] ^= True
    interval = paired_bootstrap(truth, first, second, n_resamples=1000)
    assert interval.standard_error == pytest.approx(abs(interval.point), rel=0.01)
    assert interval.high - interval.low < 5 * interval.standard_error


def test_pairing_narrows_the_interval() -> None:
    truth, first, second = multilabel()
    paired = paired_bootstrap(truth, first, second, n_resamples=1000)
    alone = [score_interval(truth, p, n_resamples=1000).standard_error for p in (first, second)]
    assert paired.standard_error < 0.7 * np.hypot(*alone)


@given(st.floats(0.0001, 0.4999), st.floats(-6, 6), st.sampled_from([100, 300, 2000]))
@settings(max_examples=60, deadline=None)
def test_the_p_value_is_the_inversion_of_the_interval(alpha: float, away: float, n: int) -> None:
    """At every alpha: the interval lies below a value exactly where the p-value is below alpha."""
    truth, first, second = multilabel(300, k=5)
    drawn = resample(truth, (first, second), n_resamples=n)
    value = drawn.point + away * drawn.standard_error
    p = drawn.p_value(value)
    assert 0 < p < 1
    assume(abs(p - alpha) > 1e-9)
    assert (drawn.interval(confidence=1 - 2 * alpha).high < value) == (p < alpha)


def test_p_values_fall_with_the_distance_and_go_on_beyond_the_resamples() -> None:
    truth, first, second = multilabel(300, k=5)
    drawn = resample(truth, (first, second), n_resamples=200)
    away = np.linspace(-5, 12, 200)
    p = np.array([drawn.p_value(drawn.point + a * drawn.standard_error) for a in away])
    assert (np.diff(p) <= 0).all()
    assert p[-1] < 1e-6
    assert (p >= norm.sf(away) - 1e-12)[away > 0].all()  # never surer than the normal distribution


def test_the_p_value_of_equal_predictions() -> None:
    truth, first, _ = multilabel(50)
    drawn = resample(truth, (first, first), n_resamples=100)
    assert (drawn.p_value(0.0), drawn.p_value(-0.01), drawn.p_value(0.01)) == (1, 1, 0)


def test_class_ids_and_indicators_agree() -> None:
    ids = classes()
    bits = [np.eye(3, dtype=bool)[a] for a in ids]
    assert paired_bootstrap(*ids, n_resamples=200) == paired_bootstrap(*bits, n_resamples=200)
    wider = paired_bootstrap(*ids, n_resamples=200, n_labels=4)
    assert wider.point == pytest.approx(paired_bootstrap(*ids, n_resamples=200).point * 3 / 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "f1"}, "unknown metric 'f1': known are macro_f1, micro_f1, weighted_f1"),
        ({"metric": 3}, "metric 3 is no column: expected 0 to 2"),
        ({"method": "basic"}, "unknown method 'basic'"),
        ({"n_resamples": 99}, "at least 100: got 99"),
        ({"confidence": 1.0}, "confidence must lie between 0 and 1: got 1.0"),
        ({"seed": -1}, "seed must be at least 0: got -1"),
        ({"candidate": np.zeros(4, int)}, "targets have 150 rows, candidate 4"),
        ({"candidate": np.zeros(150)}, "candidate must be booleans"),
        ({"targets": np.full(150, -1)}, "targets hold class -1"),
    ],
)
def test_mistakes(change: dict[str, Any], message: str) -> None:
    targets, baseline, candidate = classes()
    arguments = {"targets": targets, "baseline": baseline, "candidate": candidate} | change
    with pytest.raises(ScoreError, match=message):
        paired_bootstrap(**arguments)


def test_many_texts_are_resampled_in_small_portions() -> None:
    from goemo_eval.measure.resampling import chunks

    assert list(chunks(600, 5_427)) == [256, 256, 88]
    portions = list(chunks(40, 1_000_000))
    assert sum(portions) == 40
    assert max(portions) * 1_000_000 <= 1 << 24
    assert list(chunks(2, 1 << 30)) == [1, 1]

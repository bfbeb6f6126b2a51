"""The forecast of a difference's variance against worlds whose differences are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from goemo_eval.measure.f1 import f1_per_label
from goemo_eval.measure.forecast import difference_variance, exchange
from goemo_eval.measure.statistics import paired_bootstrap


def multilabel(rng: np.random.Generator, *, own: float, n: int = 2000) -> tuple[np.ndarray, ...]:
    """Truth, and two models of one quality that share what is hard about a text but for `own`."""
    shares = np.geomspace(0.01, 0.3, 8)
    truth = rng.random((n, 8)) < shares
    score = 2.2 * truth + np.sqrt(1 - own**2) * rng.normal(size=truth.shape)
    return (truth, *(score + own * rng.normal(size=truth.shape) > 1.5 for _ in range(2)))


def classes(rng: np.random.Generator, *, same: float, n: int = 2000) -> tuple[np.ndarray, ...]:
    """Truth of one class, and two models that err alike on a share of the texts."""
    truth = rng.choice(5, n, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    first, second = (np.where(rng.random(n) < 0.3, rng.integers(0, 5, n), truth) for _ in range(2))
    second = np.where(rng.random(n) < same, first, second)
    return tuple(np.eye(5, dtype=bool)[ids] for ids in (truth, first, second))


def test_variances_are_those_of_the_interval() -> None:
    truth, first, second = multilabel(np.random.default_rng(0), own=0.5)
    macro, labels = difference_variance(truth, first, second)
    interval = paired_bootstrap(truth, first, second, n_resamples=100)
    assert np.sqrt(macro) == pytest.approx(interval.standard_error, rel=1e-5)
    one = paired_bootstrap(truth, first, second, 3, n_resamples=100)
    assert np.sqrt(labels[3]) == pytest.approx(one.standard_error, rel=1e-5)


@pytest.mark.parametrize("one_class", [False, True])
def test_an_exchange_keeps_every_score(one_class: bool) -> None:
    rng = np.random.default_rng(1)
    truth, guess, _ = classes(rng, same=0) if one_class else multilabel(rng, own=0.5)
    from goemo_eval.measure import forecast

    make = forecast._by_class if one_class else forecast._by_label
    other = make(truth, guess, rng)
    assert (other != guess).any()
    assert f1_per_label(truth, other) == pytest.approx(f1_per_label(truth, guess))
    if one_class:
        assert (other.sum(axis=1) == 1).all()


@pytest.mark.parametrize("own", [0.2, 0.5, 1.0])
def test_what_is_forecast_for_models_that_differ_by_so_much(own: float) -> None:
    """From one of two models alone, and how many decisions they differ in."""
    rng = np.random.default_rng(2)
    forecasts, measured = [], []
    for _ in range(8):
        truth, first, second = multilabel(rng, own=own)
        most = exchange(truth, first, one_class=False)
        forecasts.append(most.macro_f1 * (first != second).sum() / most.flips)
        measured.append(difference_variance(truth, first, second)[0])
    assert np.sqrt(np.mean(forecasts)) == pytest.approx(np.sqrt(np.mean(measured)), rel=0.15)


@pytest.mark.parametrize("same", [0.0, 0.8])
def test_and_for_classes(same: float) -> None:
    rng = np.random.default_rng(3)
    forecasts, measured = [], []
    for _ in range(8):
        truth, first, second = classes(rng, same=same)
        most = exchange(truth, first, one_class=True)
        forecasts.append(most.macro_f1 * (first != second).sum() / most.flips)
        measured.append(difference_variance(truth, first, second)[0])
    assert np.sqrt(np.mean(forecasts)) == pytest.approx(np.sqrt(np.mean(measured)), rel=0.15)


def test_labels_vary_by_their_rarity() -> None:
    truth, first, second = multilabel(np.random.default_rng(4), own=0.7, n=20_000)
    most = exchange(truth, first, one_class=False)
    _, measured = difference_variance(truth, first, second)
    expected = most.per_label * (first != second).sum() / most.flips
    assert np.sqrt(expected) == pytest.approx(np.sqrt(measured), rel=0.35)
    assert expected[0] > 2 * expected[-1]


def test_nothing_to_exchange() -> None:
    truth = np.eye(3, dtype=bool)[np.arange(30) % 3]
    assert exchange(truth, truth, one_class=True).flips == 0
    assert exchange(truth, truth, one_class=False).macro_f1 == 0

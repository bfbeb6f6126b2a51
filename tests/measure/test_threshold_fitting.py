from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goemo_eval.measure.threshold_choice import choose_strategy, cross_validate
from goemo_eval.measure.threshold_fitting import (
    cross_fitted_thresholds,
    fold_of_rows,
    global_threshold,
    per_label_thresholds,
    shrunk_thresholds,
    smoothed_thresholds,
)
from goemo_eval.measure.thresholds import STRATEGIES, search_thresholds


def problem(seed: int, n: int = 60, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.random((n, k)) < rng.uniform(0.05, 0.5, k)
    return rng.beta(1 + 2 * targets, 3 - targets).round(3), targets


@given(st.integers(0, 1000), st.sampled_from([0.0, 1.0, 4.0, 50.0]))
@settings(deadline=None)
def test_smoothed_thresholds_against_every_threshold(seed: int, pseudo_count: float) -> None:
    probabilities, targets = problem(seed)
    fitted = smoothed_thresholds(probabilities, targets, pseudo_count=pseudo_count)
    for p, t, threshold in zip(probabilities.T, targets.T, fitted, strict=True):
        if not t.any():
            assert threshold == global_threshold(probabilities, targets)
            continue

        def smoothed(at: float, p: np.ndarray = p, t: np.ndarray = t) -> float:
            predicted = p >= at
            return 2 * (predicted & t).sum() / (predicted.sum() + t.sum() + pseudo_count)

        best = max(smoothed(at) for at in np.unique(p))
        assert smoothed(threshold) == pytest.approx(best, abs=1e-12)


@given(st.integers(0, 1000))
@settings(deadline=None)
def test_smoothing_lowers_thresholds(seed: int) -> None:
    probabilities, targets = problem(seed)
    fitted = [smoothed_thresholds(probabilities, targets, pseudo_count=c) for c in (0, 1, 10, 100)]
    for higher, lower in itertools.pairwise(fitted):
        carried = targets.any(axis=0)  # the others have the global threshold
        assert (lower[carried] <= higher[carried] + 1e-12).all()
    np.testing.assert_array_equal(fitted[0], per_label_thresholds(probabilities, targets))


@given(st.integers(0, 1000))
@settings(deadline=None)
def test_shrunk_thresholds_lie_between_their_own_and_the_global_one(seed: int) -> None:
    probabilities, targets = problem(seed)
    own, shared = (
        per_label_thresholds(probabilities, targets),
        global_threshold(probabilities, targets),
    )
    shrunk = shrunk_thresholds(probabilities, targets, strength=5.0)
    low, high = np.minimum(own, shared), np.maximum(own, shared)
    assert ((low - 1e-6 <= shrunk) & (shrunk <= high + 1e-6)).all()
    np.testing.assert_allclose(
        shrunk_thresholds(probabilities, targets, strength=1e12), shared, atol=1e-5
    )
    carried = targets.any(axis=0)
    np.testing.assert_allclose(
        shrunk_thresholds(probabilities, targets, strength=1e-12)[carried], own[carried], atol=1e-5
    )


def test_cross_fitted_threshold_does_not_follow_one_row() -> None:
    # Positives from 0.5 up but for one far below, negatives under 0.4: the best threshold of the rows
    # without that one is their gap, and most folds are without nothing else.
    probabilities = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.39, 0.3, 0.2, 0.1, 0.05])[:, None]
    targets = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], dtype=bool)[:, None]
    found = cross_fitted_thresholds(probabilities, targets)
    assert 0.39 < found[0] < 0.6
    again = cross_fitted_thresholds(probabilities, targets)
    np.testing.assert_array_equal(found, again)


@given(st.integers(0, 1000), st.integers(2, 7))
@settings(deadline=None)
def test_folds_share_rows_and_rare_positives(seed: int, n_folds: int) -> None:
    _, targets = problem(seed, n=80)
    fold = fold_of_rows(targets, n_folds=n_folds, seed=seed)
    sizes = np.bincount(fold, minlength=n_folds)
    assert sizes.max() - sizes.min() <= 1
    rarest = int(np.where(targets.any(axis=0), targets.sum(axis=0), 99).argmin())
    held = np.bincount(fold[targets[:, rarest]], minlength=n_folds)
    assert held.max() - held.min() <= 1
    assert (fold != fold_of_rows(targets, n_folds=n_folds, seed=seed + 1)).any()


def test_cross_validation_scores_rows_that_nothing_was_fitted_on() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((400, 6)) < 0.02  # eight positives a label, and scores that know nothing
    noise = rng.random((400, 6))
    fitted = search_thresholds(noise, targets, "per-label", fitted_on="x").values
    decisions = noise >= fitted
    tp = (decisions & targets).sum(axis=0)
    in_sample = float(np.mean(2 * tp / (decisions.sum(axis=0) + targets.sum(axis=0))))
    out = cross_validate(noise, targets, strategies=("per-label",))
    assert out["per-label"] < 0.8 * in_sample


def test_rare_labels_ask_for_another_strategy_than_per_label() -> None:
    rng = np.random.default_rng(1)
    targets = rng.random((600, 10)) < 0.015
    logits = rng.normal(size=targets.shape) + 2.5 * targets
    chosen, scores = choose_strategy(1 / (1 + np.exp(-logits)), targets)
    assert set(scores) == set(STRATEGIES)
    assert scores[chosen] == max(scores.values())
    assert scores[chosen] > scores["per-label"]

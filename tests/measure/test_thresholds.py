from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score

from goemo_eval.errors import ScoreError
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.measure.thresholds import (
    Thresholds,
    apply_thresholds,
    search_thresholds,
    sigmoid,
)

# Few distinct values, so that ties between scores are common; some that only differ in the last bit.
values = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.30000000000000004, 0.5, 0.7, 1.0]) | st.floats(0, 1)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 4)))
    return draw(hnp.arrays(float, shape, elements=values)), draw(hnp.arrays(bool, shape))


def macro(probabilities: np.ndarray, targets: np.ndarray, thresholds: np.ndarray) -> float:
    """The oracle: scikit-learn's Macro-F1 of decisions made here."""
    decisions = probabilities >= thresholds
    return float(
        np.mean(
            [f1_score(t, d, zero_division=0) for t, d in zip(targets.T, decisions.T, strict=True)]
        )
    )


def every_threshold(scores: np.ndarray) -> np.ndarray:
    """All thresholds that can decide differently, and one above all scores."""
    return np.append(np.unique(scores), 2.0)


@given(problems())
@settings(max_examples=100)
def test_per_label_is_never_worse_than_brute_force(problem: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, targets = problem
    found = search_thresholds(probabilities, targets, "per-label", fitted_on="x")
    for k in range(targets.shape[1]):
        column = slice(k, k + 1)
        best = max(
            macro(probabilities[:, column], targets[:, column], np.array([threshold]))
            for threshold in every_threshold(probabilities[:, k])
        )
        got = macro(probabilities[:, column], targets[:, column], found.values[column])
        assert got == pytest.approx(best, abs=1e-12)


@given(problems())
@settings(max_examples=100)
def test_global_is_never_worse_than_brute_force(problem: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, targets = problem
    found = search_thresholds(probabilities, targets, "global", fitted_on="x")
    assert len(set(found.values.tolist())) == 1
    best = max(
        macro(probabilities, targets, np.full(targets.shape[1], c))
        for c in every_threshold(probabilities)
    )
    assert macro(probabilities, targets, found.values) == pytest.approx(best, abs=1e-12)


@given(problems(), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(
    problem: tuple[np.ndarray, np.ndarray], random: object
) -> None:
    probabilities, targets = problem
    order = list(range(len(targets)))
    random.shuffle(order)  # type: ignore[attr-defined]
    for strategy in ("global", "per-label"):
        a = search_thresholds(probabilities, targets, strategy, fitted_on="x")
        b = search_thresholds(probabilities[order], targets[order], strategy, fitted_on="x")
        np.testing.assert_allclose(a.values, b.values, atol=1e-15)


@given(problems())
def test_strategies_are_ordered_on_their_fitting_split(
    problem: tuple[np.ndarray, np.ndarray],
) -> None:
    probabilities, targets = problem
    scores = [
        macro(
            probabilities,
            targets,
            search_thresholds(probabilities, targets, s, fitted_on="x").values,
        )
        for s in ("fixed", "global", "per-label")
    ]
    assert scores[0] <= scores[1] + 1e-12
    assert scores[1] <= scores[2] + 1e-12


def test_threshold_lies_midway_and_the_highest_of_equals_wins() -> None:
    scores = np.array([[0.8], [0.6], [0.4], [0.2]])
    found = search_thresholds(scores, np.array([[True], [False], [False], [False]]), fitted_on="x")
    assert found.values.tolist() == pytest.approx([0.7])
    # At 0.7: F1 2/3. At 0.3 (all three): F1 4/5. Equal F1 of 4/5 nowhere else.
    found = search_thresholds(scores, np.array([[True], [False], [True], [False]]), fitted_on="x")
    assert found.values.tolist() == pytest.approx([0.3])
    # One positive at the top, one at the bottom: 2/3 both at the top one and when all are taken.
    found = search_thresholds(scores, np.array([[True], [False], [False], [True]]), fitted_on="x")
    assert found.values.tolist() == pytest.approx([0.7])


def test_label_without_positives_takes_the_global_threshold() -> None:
    probabilities = np.array([[0.9, 0.8], [0.3, 0.1]])
    targets = np.array([[True, False], [False, False]])
    whole = search_thresholds(probabilities, targets, "global", fitted_on="x")
    found = search_thresholds(probabilities, targets, "per-label", fitted_on="x")
    assert found.values[1] == whole.values[1]
    nothing = search_thresholds(
        probabilities, np.zeros((2, 2), dtype=bool), "per-label", fitted_on="x"
    )
    assert nothing.values.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("n_labels", [1, 6, 1000])
def test_any_number_of_labels_with_rows_without_one(n_labels: int) -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((200, n_labels)) < 0.1
    targets[:100] = False
    probabilities = 0.2 * targets + 0.4 * rng.random(targets.shape)
    found = {
        strategy: search_thresholds(probabilities, targets, strategy, fitted_on="x")
        for strategy in ("fixed", "global", "per-label", "shrunk")
    }
    assert {f.values.shape for f in found.values()} == {(n_labels,)}
    scores = {
        strategy: score_predictions(
            targets,
            apply_thresholds(probabilities, f),
            labels=[f"label {k}" for k in range(n_labels)],
        ).macro_f1
        for strategy, f in found.items()
    }
    assert scores["fixed"] < scores["global"] <= scores["per-label"]


def test_provenance() -> None:
    p, t = np.array([[0.2], [0.8]]), np.array([[False], [True]])
    assert search_thresholds(p, t, "per-label", fitted_on="abc").fitted_on == "abc"
    assert search_thresholds(p, t, "fixed", fitted_on="abc").fitted_on is None


def test_comparison_is_at_least() -> None:
    thresholds = Thresholds("fixed", np.array([0.5]), None)
    assert apply_thresholds(np.array([[0.5], [np.nextafter(0.5, 0)]]), thresholds).tolist() == [
        [True],
        [False],
    ]


@pytest.mark.parametrize(
    ("probabilities", "targets", "message"),
    [
        (np.array([[np.nan]]), np.array([[True]]), r"must lie in \[0, 1\]"),
        (np.array([[1.5]]), np.array([[True]]), r"must lie in \[0, 1\]"),
        (np.array([0.5]), np.array([True]), r"shape \(N, K\)"),
        (np.array([[0.5]]), np.array([[1]]), "must be booleans"),
        (np.array([[0.5]]), np.array([[True], [True]]), "must be booleans of shape"),
        (np.empty((0, 3)), np.empty((0, 3), dtype=bool), r"N, K >= 1"),
    ],
)
def test_malformed(probabilities: np.ndarray, targets: np.ndarray, message: str) -> None:
    with pytest.raises(ScoreError, match=message):
        search_thresholds(probabilities, targets, fitted_on="x")


def test_unknown_strategy_and_wrong_width() -> None:
    with pytest.raises(ScoreError, match="known are cross-fitted, fixed, global, per-label"):
        search_thresholds(np.array([[0.5]]), np.array([[True]]), "best", fitted_on="x")
    with pytest.raises(ScoreError, match="have 2 labels, thresholds 1"):
        apply_thresholds(np.zeros((1, 2)), Thresholds("fixed", np.array([0.5]), None))


def test_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 0, 1e4], dtype=np.float32)).tolist() == [0.0, 0.5, 1.0]

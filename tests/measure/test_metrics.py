from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from sklearn.metrics import f1_score, precision_score, recall_score

from goemo_eval.errors import ScoreError
from goemo_eval.measure.f1 import f1_from_counts, f1_per_label, macro_f1
from goemo_eval.measure.metrics import Scores, score_predictions


@st.composite
def decisions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 20), st.integers(1, 6)))
    return draw(hnp.arrays(bool, shape)), draw(hnp.arrays(bool, shape))


def by_hand(truth: np.ndarray, guess: np.ndarray) -> list[float]:
    """F1 per label from counts, without scikit-learn."""
    out = []
    for t, g in zip(truth.T.tolist(), guess.T.tolist(), strict=True):
        tp = sum(a and b for a, b in zip(t, g, strict=True))
        wrong = sum(a != b for a, b in zip(t, g, strict=True))
        out.append(2 * tp / (2 * tp + wrong) if tp else 0.0)
    return out


def names(n: int) -> list[str]:
    return [f"l{i}" for i in range(n)]


@given(decisions())
def test_multilabel_against_counting_and_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, guess = pair
    n_labels = truth.shape[1]
    scores = score_predictions(truth, guess, labels=names(n_labels))
    f1 = by_hand(truth, guess)
    assert [s.f1 for s in scores.per_label] == pytest.approx(f1)
    assert scores.macro_f1 == pytest.approx(sum(f1) / len(f1))
    for mean, got in (("micro", scores.micro_f1), ("weighted", scores.weighted_f1)):
        # scikit-learn takes one column for a binary task, whose means are both classes'
        average = mean if n_labels > 1 else "binary"
        assert got == pytest.approx(f1_score(truth, guess, average=average, zero_division=0))
    for k, s in enumerate(scores.per_label):
        column = truth[:, k], guess[:, k]
        assert s.precision == pytest.approx(precision_score(*column, zero_division=0))
        assert s.recall == pytest.approx(recall_score(*column, zero_division=0))
        assert (s.support, s.tp + s.fn) == (int(truth[:, k].sum()),) * 2
        assert s.tp + s.fp == int(guess[:, k].sum())


@given(decisions())
def test_the_kernel_is_scikit_learns_bit_for_bit(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """So that records made with it say the same digits."""
    truth, guess = pair
    columns = zip(truth.T, guess.T, strict=True)
    found = f1_per_label(truth, guess)
    assert found.tolist() == [f1_score(t, g, zero_division=0) for t, g in columns]
    assert macro_f1(truth, guess) == found.mean()


def test_the_kernel_takes_any_shape_and_weights() -> None:
    tp = np.array([[1, 2], [0, 3]])
    np.testing.assert_allclose(f1_from_counts(tp, 4, [2, 2]), [[1 / 3, 2 / 3], [0, 1]])
    assert float(f1_from_counts(0.5, 0.5, 1.5)) == 0.5
    assert float(f1_from_counts(0, 0, 0)) == 0.0


@pytest.mark.parametrize("n_labels", [1, 6, 1000])
def test_any_number_of_labels_with_rows_without_one(n_labels: int) -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.random((2, 300, n_labels)) < 0.3 / n_labels**0.5
    truth[:150] = False
    labels = [f"café № {k}" for k in range(n_labels)]
    scores = score_predictions(truth, guess, labels=labels)
    assert [s.label for s in scores.per_label] == labels
    assert sum(s.fp for s in scores.per_label) == int((guess & ~truth).sum()) > 0
    expected = [f1_score(t, g, zero_division=0) for t, g in zip(truth.T, guess.T, strict=True)]
    assert scores.macro_f1 == pytest.approx(np.mean(expected))
    if n_labels == 1:
        assert scores.macro_f1 == scores.micro_f1 == scores.weighted_f1 == expected[0]


def test_no_label_anywhere_is_a_score_of_zero() -> None:
    nothing = np.zeros((5, 3), bool)
    scores = score_predictions(nothing, nothing, labels=names(3))
    assert (scores.macro_f1, scores.micro_f1, scores.weighted_f1) == (0, 0, 0)


@given(decisions(), st.randoms(use_true_random=False))
def test_order_of_rows_and_labels_does_not_matter(
    pair: tuple[np.ndarray, np.ndarray], random: object
) -> None:
    truth, guess = pair
    rows, columns = list(range(truth.shape[0])), list(range(truth.shape[1]))
    random.shuffle(rows)  # type: ignore[attr-defined]
    random.shuffle(columns)  # type: ignore[attr-defined]
    labels = names(truth.shape[1])
    a = score_predictions(truth, guess, labels=labels)
    b = score_predictions(
        truth[rows][:, columns], guess[rows][:, columns], labels=[labels[c] for c in columns]
    )
    assert a.macro_f1 == pytest.approx(b.macro_f1)
    assert {s.label: s for s in a.per_label} == {s.label: s for s in b.per_label}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1))
def test_multiclass(pairs: list[tuple[int, int]]) -> None:
    truth, guess = np.array(pairs).T
    scores = score_predictions(truth, guess, labels=names(5))
    expected = f1_score(truth, guess, labels=range(5), average="macro", zero_division=0)
    assert scores.macro_f1 == pytest.approx(expected)
    assert scores.micro_f1 == pytest.approx(float(np.mean(truth == guess)))


def test_absent_label_counts_as_zero_and_stays_in_the_mean() -> None:
    truth = np.array([[True, False]])
    scores = score_predictions(truth, truth, labels=["a", "b"])
    assert scores.macro_f1 == 0.5


@pytest.mark.parametrize(
    ("truth", "guess", "message"),
    [
        (np.ones((2, 3), bool), np.ones((3, 3), bool), r"shape \(2, 3\), predictions \(3, 3\)"),
        (np.ones((2, 4), bool), np.ones((2, 4), bool), r"targets must be booleans of shape \(N, 3"),
        (np.ones((2, 3)), np.ones((2, 3)), "got dtype float64"),
        (np.empty((0, 3), bool), np.empty((0, 3), bool), "N at least 1"),
        (np.array([0, 3]), np.array([0, 1]), "targets hold class 3: expected 0 to 2"),
        (np.array([0, 2]), np.array([2, -1]), "predictions hold class -1: expected 0 to 2"),
    ],
)
def test_malformed(truth: np.ndarray, guess: np.ndarray, message: str) -> None:
    with pytest.raises(ScoreError, match=message):
        score_predictions(truth, guess, labels=names(3))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("macro_f1",), 0.9),
        (("micro_f1",), 0.1),
        (("weighted_f1",), 0.1),
        (("per_label", 1, "f1"), 0.9),
        (("per_label", 0, "recall"), 0.3),
        (("per_label", 0, "tp"), 4),
        (("per_label", 2, "support"), 9),
    ],
)
def test_scores_that_do_not_follow_from_their_counts(
    where: tuple[str | int, ...], value: float
) -> None:
    rng = np.random.default_rng(0)
    scores = score_predictions(rng.integers(0, 3, 50), rng.integers(0, 3, 50), labels=names(3))
    content = scores.model_dump(mode="json")
    assert Scores.model_validate(content) == scores
    inner = content
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    with pytest.raises(ValidationError, match="does not follow from tp, fp and fn"):
        Scores.model_validate(content)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score

from goemo_eval.errors import ScoreError
from goemo_eval.measure.metrics import score_predictions


@st.composite
def decisions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 20), st.integers(2, 6)))
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
    scores = score_predictions(truth, guess, labels=names(truth.shape[1]))
    f1 = by_hand(truth, guess)
    assert [s.f1 for s in scores.per_label] == pytest.approx(f1)
    assert scores.macro_f1 == pytest.approx(sum(f1) / len(f1))
    for mean, got in (("micro", scores.micro_f1), ("weighted", scores.weighted_f1)):
        assert got == pytest.approx(f1_score(truth, guess, average=mean, zero_division=0))
    for k, s in enumerate(scores.per_label):
        assert (s.support, s.tp + s.fn) == (int(truth[:, k].sum()),) * 2
        assert s.tp + s.fp == int(guess[:, k].sum())


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
    ("truth", "guess"),
    [
        (np.ones((2, 3), dtype=bool), np.ones((3, 3), dtype=bool)),
        (np.ones((2, 4), dtype=bool), np.ones((2, 4), dtype=bool)),
        (np.ones((2, 3)), np.ones((2, 3))),
        (np.empty((0, 3), dtype=bool), np.empty((0, 3), dtype=bool)),
        (np.array([0, 3]), np.array([0, 1])),
        (np.array([0, -1]), np.array([0, 1])),
    ],
)
def test_malformed(truth: np.ndarray, guess: np.ndarray) -> None:
    with pytest.raises(ScoreError):
        score_predictions(truth, guess, labels=names(3))

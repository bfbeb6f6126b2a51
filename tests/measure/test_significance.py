from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from goemo_eval.errors import ScoreError
from goemo_eval.measure.significance import detectable_drop, holm, holm_levels, swap_test

Bools = np.ndarray


def multilabel(
    n: int = 3000, k: int = 28, noise: float = 0.15, seed: int = 0
) -> tuple[Bools, Bools, Bools]:
    """Truth with rare labels, and two sets of decisions that share most of their score."""
    rng = np.random.default_rng(seed)
    truth = rng.random((n, k)) < np.geomspace(0.0015, 0.33, k)
    score = truth * 2.2 + rng.normal(size=(n, k))
    first, second = (score + noise * rng.normal(size=(n, k)) > 1.8 for _ in range(2))
    return truth, first, second


def macro_f1(truth: Bools, guess: Bools) -> float:
    """Macro-F1 over the columns, from its definition."""
    f1 = []
    for k in range(truth.shape[1]):
        hit, positive = (truth[:, k] & guess[:, k]).sum(), truth[:, k].sum() + guess[:, k].sum()
        f1.append(2 * hit / positive if positive else 0.0)
    return float(np.mean(f1))


def test_swap_test_against_every_exchange() -> None:
    rng = np.random.default_rng(5)
    truth, first, second = rng.random((3, 9, 2)) < 0.5

    def drop(a: Bools, b: Bools) -> float:
        return macro_f1(truth, a) - macro_f1(truth, b)

    measured = drop(first, second)
    exchanges = np.array(list(itertools.product([False, True], repeat=9)))[:, :, None]
    drops = [drop(np.where(e, second, first), np.where(e, first, second)) for e in exchanges]
    exact = np.mean(np.array(drops) >= measured - 1e-12)
    found = swap_test(truth, first, second, n_swaps=20_000)
    assert found.macro_f1 == pytest.approx(exact, abs=0.015)
    assert found.per_label.shape == (2,)


def test_swap_test_sees_the_label_that_broke() -> None:
    truth, first, second = multilabel()
    second[:, 20] &= np.random.default_rng(0).random(len(second)) < 0.5
    found = holm(swap_test(truth, first, second, n_swaps=2000).per_label)
    assert found[20] < 0.05
    assert (np.delete(found, 20) > 0.05).all()


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)))
def test_holm_by_its_definition(p_values: np.ndarray) -> None:
    corrected = holm(p_values)
    m = len(p_values)
    ordered = np.sort(p_values)
    for alpha in (0.01, 0.05, 0.3):
        rejected = 0
        while rejected < m and ordered[rejected] * (m - rejected) <= alpha:
            rejected += 1
        assert (corrected <= alpha).sum() == rejected


@given(hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(0, 1)), st.floats(0.001, 0.49))
def test_levels_and_corrected_p_values_agree(p_values: np.ndarray, alpha: float) -> None:
    levels, corrected = holm_levels(p_values, alpha), holm(p_values)
    clear = np.abs(corrected - alpha) > 1e-12
    assert ((p_values <= levels) == (corrected <= alpha))[clear].all()
    if len(p_values):
        assert levels.min() >= alpha / len(p_values) - 1e-15
        assert levels.max() <= alpha


def test_detectable_drop() -> None:
    assert detectable_drop(0.01, alpha=0.05) == pytest.approx(0.02486, abs=1e-5)


def test_equal_predictions_are_no_finding() -> None:
    truth, first, _ = multilabel(300)
    found = swap_test(truth, first, first, n_swaps=200)
    assert found.macro_f1 == 1
    assert (found.per_label == 1).all()


def test_mistakes() -> None:
    truth, first, second = multilabel(20)
    with pytest.raises(ScoreError, match="at least 100: got 9"):
        swap_test(truth, first, second, n_swaps=9)
    with pytest.raises(ScoreError, match="targets have 20 rows, candidate 19"):
        swap_test(truth, first, second[1:])

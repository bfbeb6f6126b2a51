"""Which rows an epoch shows, and in what order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.models.batches import LengthGroupedOrder, repeat_factors


def order(n: int, seed: int = 0, factors: np.ndarray | None = None) -> LengthGroupedOrder:
    lengths = [3 + (7 * i) % 11 for i in range(n)]
    return LengthGroupedOrder(lengths, batch_size=4, seed=seed, factors=factors)


def test_without_factors_every_row_comes_once() -> None:
    rows = order(50)
    first = list(rows)
    assert sorted(first) == list(range(50))
    assert first == list(rows)
    rows.set_epoch(1)
    assert list(rows) != first


@given(
    factors=st.lists(st.floats(1.0, 20.0), min_size=1, max_size=60),
    seed=st.integers(0, 2**31 - 1),
)
def test_a_row_comes_as_often_as_its_factor_says(factors: list[float], seed: int) -> None:
    drawn = list(order(len(factors), seed, np.array(factors)))
    assert len(drawn) == len(factors)
    expected = len(factors) * np.array(factors) / sum(factors)
    times = np.bincount(drawn, minlength=len(factors))
    assert (times >= np.floor(expected - 1e-6)).all()
    assert (times <= np.ceil(expected + 1e-6)).all()


def test_equal_factors_show_every_row_once() -> None:
    assert sorted(order(37, 5, np.full(37, 1.0))) == list(range(37))


def test_factors_of_labels_and_of_classes() -> None:
    labels = np.zeros((100, 3))
    labels[:60, 0], labels[50:54, 1], labels[99, 2] = 1, 1, 1
    found = repeat_factors(list(labels), labels.sum(axis=0).astype(np.int64), below=0.16)
    assert found[0] == 1.0  # a common label
    assert found[50] == pytest.approx(2.0)  # the rarer of its two: sqrt(0.16 / 0.04)
    assert found[70] == 1.0  # no label
    assert found[99] == pytest.approx(4.0)
    classes = repeat_factors([0] * 96 + [1] * 4, np.array([96, 4]), below=0.16)
    assert classes[[0, 99]].tolist() == pytest.approx([1.0, 2.0])

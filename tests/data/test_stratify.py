from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from goemo_eval.data.stratify import split_rows, stratify

SHARES = (0.8, 0.1, 0.1)
label_rows = hnp.arrays(bool, st.tuples(st.integers(3, 60), st.integers(1, 6)))


def texts_of(rows: int) -> list[str]:
    return [f"text {row}" for row in range(rows)]


@given(label_rows, st.integers(0, 5))
def test_every_row_is_dealt_once_and_no_part_is_empty(labels: np.ndarray, seed: int) -> None:
    parts = split_rows(texts_of(len(labels)), labels, shares=SHARES, seed=seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    assert all(len(part) for part in parts)
    assert all(part.tolist() == sorted(part.tolist()) for part in parts)


@given(label_rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(labels: np.ndarray, random: object) -> None:
    texts = texts_of(len(labels))
    order = list(range(len(labels)))
    random.shuffle(order)  # type: ignore[attr-defined]
    parts = split_rows(texts, labels, shares=SHARES, seed=1)
    shuffled = split_rows([texts[i] for i in order], labels[order], shares=SHARES, seed=1)
    for part, other in zip(parts, shuffled, strict=True):
        assert {texts[i] for i in part} == {texts[order[i]] for i in other}


@given(label_rows, st.lists(st.integers(0, 9), min_size=60, max_size=60))
def test_a_text_stays_in_one_part(labels: np.ndarray, names: list[int]) -> None:
    texts = [f"text {name}" for name in names[: len(labels)]]
    parts = split_rows(texts, labels, shares=SHARES, seed=0)
    owners = [{texts[i] for i in part} for part in parts]
    assert not owners[0] & owners[1]
    assert not (owners[0] | owners[1]) & owners[2]


def draw_labels(rows: int, rates: list[float]) -> np.ndarray:
    return np.random.default_rng(0).random((rows, len(rates))) < np.array(rates)


def test_each_part_has_its_share_of_each_label() -> None:
    """Within one row of the exact share, for rare labels as for frequent ones."""
    labels = draw_labels(2_000, [0.4, 0.2, 0.1, 0.03, 0.01, 0.005])
    parts = split_rows(texts_of(2_000), labels, shares=SHARES, seed=3)
    for share, part in zip(SHARES, parts, strict=True):
        exact = share * labels.sum(axis=0)
        assert np.abs(labels[part].sum(axis=0) - exact).max() <= 1.0 + 1e-9
        assert len(part) == share * 2_000


def test_rare_labels_are_where_random_parts_would_lack_them() -> None:
    labels = draw_labels(1_000, [0.01] * 40)
    parts = split_rows(texts_of(1_000), labels, shares=SHARES, seed=0)
    shuffled = np.random.default_rng(1).permutation(1_000)
    random_parts = (shuffled[:800], shuffled[800:900], shuffled[900:])
    enough = labels.sum(axis=0) >= 10
    assert all((labels[part].sum(axis=0) > 0)[enough].all() for part in parts)
    assert not all((labels[part].sum(axis=0) > 0)[enough].all() for part in random_parts)


def test_the_parts_of_a_seed_are_the_same_everywhere() -> None:
    """The hash is of the parts themselves: another library version may not change them."""
    row = np.arange(500)
    labels = np.stack([row % 10 < 3, row % 11 == 4, row * row % 23 == 2], axis=1)
    digest = hashlib.sha256()
    for part in split_rows(texts_of(500), labels, shares=SHARES, seed=0):
        digest.update(part.astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == "bf1c641ce70ab8aa"
    other = split_rows(texts_of(500), labels, shares=SHARES, seed=1)
    assert other[2].tolist() != split_rows(texts_of(500), labels, shares=SHARES, seed=0)[2].tolist()


@pytest.mark.parametrize("labels", [1, 6, 1_000])
def test_any_number_of_labels(labels: int) -> None:
    hot = draw_labels(300, [min(0.5, 3 / labels)] * labels)
    parts = split_rows(texts_of(300), hot, shares=(0.9, 0.1), seed=0)
    assert [len(part) for part in parts] == [270, 30]


def test_the_published_example_of_the_rule() -> None:
    """Two parts of one half, two labels: the rarest label's rows are dealt first, one each way."""
    labels = np.array([[1, 1], [1, 1], [1, 0], [1, 0], [0, 0], [0, 0]], dtype=bool)
    part = stratify(labels, shares=(0.5, 0.5), order=range(6))
    for group in ((0, 1), (2, 3), (4, 5)):
        assert sorted(part[list(group)].tolist()) == [0, 1]

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.engines.base import check_finite
from goemo_eval.engines.tokens import Encoded, by_counts, by_length, by_tokens
from goemo_eval.errors import ScoreError

lengths = st.lists(st.integers(1, 12), min_size=0, max_size=40)


def rows_of(lengths: list[int]) -> list[Encoded]:
    return [Encoded(np.arange(1, n + 1, dtype=np.int64), None) for n in lengths]


@given(lengths, st.integers(1, 7))
def test_every_row_is_in_one_batch_and_like_lengths_share_it(lengths: list[int], size: int) -> None:
    groups = by_length(rows_of(lengths), batch_size=size)
    seen = [row for group in groups for row in group]
    assert sorted(seen) == list(range(len(lengths)))
    assert all(1 <= len(group) <= size for group in groups)
    assert [lengths[row] for row in seen] == sorted(lengths, reverse=True)
    # Ties keep their order, so that the batches are the same every time.
    for a, b in pairwise(seen):
        assert lengths[a] > lengths[b] or a < b


@given(lengths, st.integers(1, 30))
def test_batches_by_tokens_hold_every_row_and_no_more_tokens_than_allowed(
    lengths: list[int], tokens: int
) -> None:
    groups = by_tokens(rows_of(lengths), tokens)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[row] for row in group) <= tokens


@given(st.lists(st.integers(1, 600), max_size=60))
def test_batches_by_counts_hold_every_row_and_few_numbers_of_tokens(lengths: list[int]) -> None:
    counts = (48, 60)
    groups = by_counts(rows_of(lengths), counts)
    seen = [row for rows, _ in groups for row in rows]
    assert sorted(seen) == list(range(len(lengths)))
    assert [lengths[row] for row in seen] == sorted(lengths, reverse=True)
    for rows, width in groups[:-1]:  # the last may have fewer rows left
        longest = max(lengths[row] for row in rows)
        assert longest <= width <= longest * 9 / 8
        assert len(rows) * width in counts or width == longest
        assert len(rows) * width <= max(counts) or len(rows) == 1


def test_short_lengths_are_rounded_to_what_divides_a_count() -> None:
    groups = by_counts(rows_of([11] * 45 + [7] * 72), (480, 504))
    assert [(len(rows), width) for rows, width in groups] == [(40, 12), (40, 12), (37, 7)]


def test_logits_that_are_not_finite_are_named_by_their_row() -> None:
    check_finite(np.zeros((2, 3), np.float32))
    with pytest.raises(ScoreError, match=r"row 1 are not finite \(1 of 2 rows\)"):
        check_finite(np.array([[0.0], [np.nan]]))

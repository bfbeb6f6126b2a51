from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.engines.base import batches_by_length, batches_by_tokens, pad_batch

lengths = st.lists(st.integers(1, 12), min_size=1, max_size=40)


def rows_of(lengths: list[int]) -> list[np.ndarray]:
    return [np.arange(1, n + 1, dtype=np.int64) + 100 * i for i, n in enumerate(lengths)]


@given(lengths, st.integers(1, 7))
def test_every_row_is_in_one_batch_whole(lengths: list[int], batch_size: int) -> None:
    encoded = rows_of(lengths)
    seen = []
    for batch in batches_by_length(encoded, pad_id=0, batch_size=batch_size):
        assert len(batch.rows) <= batch_size
        assert batch.input_ids.shape[1] == max(lengths[row] for row in batch.rows)
        for row, ids, mask in zip(batch.rows, batch.input_ids, batch.attention_mask, strict=True):
            np.testing.assert_array_equal(ids[mask == 1], encoded[row])
            assert (ids[mask == 0] == 0).all()
        seen += batch.rows
    assert sorted(seen) == list(range(len(lengths)))


@given(lengths)
def test_order_is_by_length_and_stable(lengths: list[int]) -> None:
    order = [
        row for b in batches_by_length(rows_of(lengths), pad_id=0, batch_size=3) for row in b.rows
    ]
    assert order == sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))


def test_padding_to_a_length_cuts_and_fills() -> None:
    batch = pad_batch(rows_of([2, 5]), [0, 1], pad_id=9, length=4)
    assert batch.input_ids.tolist() == [[1, 2, 9, 9], [101, 102, 103, 104]]
    assert batch.attention_mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


@given(lengths, st.integers(1, 60))
def test_batches_by_tokens_hold_every_row_and_no_more_tokens_than_allowed(
    lengths: list[int], tokens: int
) -> None:
    encoded = rows_of(lengths)
    seen: list[int] = []
    for batch in batches_by_tokens(encoded, pad_id=0, tokens=tokens):
        assert batch.input_ids.size <= tokens or len(batch.rows) == 1
        for row, ids, mask in zip(batch.rows, batch.input_ids, batch.attention_mask, strict=True):
            np.testing.assert_array_equal(ids[mask == 1], encoded[row])
        seen += batch.rows
    assert seen == sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))

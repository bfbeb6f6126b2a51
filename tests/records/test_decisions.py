from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from goemo_eval.errors import RecordError
from goemo_eval.records.decisions import pack_decisions, unpack_decisions

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 30))


@given(SHAPES.flatmap(lambda s: st.tuples(hnp.arrays(np.bool_, s), hnp.arrays(np.bool_, s))))
def test_round_trip(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    truth, guess = arrays
    back = unpack_decisions(pack_decisions(truth, guess, truth.shape[1]))
    np.testing.assert_array_equal(back[0], truth)
    np.testing.assert_array_equal(back[1], guess)


def test_class_ids_become_one_bit_in_their_column() -> None:
    truth, guess = unpack_decisions(pack_decisions(np.array([2, 0]), np.array([1, 0]), 3))
    assert truth.tolist() == [[False, False, True], [True, False, False]]
    assert guess.tolist() == [[False, True, False], [True, False, False]]


def test_goemotions_fits_in_some_kilobytes() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((5427, 28)) < 0.04
    packed = pack_decisions(truth, truth, 28)
    assert len(packed.targets) < 20_000


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-4], "damaged|do not hold"),
        (lambda text: "?" + text[1:], "damaged"),
        (lambda text: encoded(zlib.compress(bytes(1000))), "do not hold the stated 40 x 28 bits"),
        (lambda text: encoded(zlib.compress(bytes(3))), "do not hold"),
        (lambda text: encoded(base64.b64decode(text) + b"x"), "do not hold"),
        (lambda text: encoded(zlib.compress(b"")), "do not hold"),
        (lambda text: "é", "damaged"),
    ],
)
def test_damage_is_told(damage: object, message: str) -> None:
    packed = pack_decisions(np.ones((40, 28), bool), np.ones((40, 28), bool), 28)
    broken = packed.model_copy(update={"predictions": damage(packed.predictions)})  # type: ignore[operator]
    with pytest.raises(RecordError, match=f"predictions.*({message})|({message})"):
        unpack_decisions(broken)


def test_bits_behind_the_last_row_are_told() -> None:
    packed = pack_decisions(np.ones((3, 3), bool), np.ones((3, 3), bool), 3)
    broken = packed.model_copy(update={"targets": encoded(zlib.compress(b"\xff\xff"))})
    with pytest.raises(RecordError, match="behind the last row"):
        unpack_decisions(broken)

"""A test split's truth and predictions, small enough to travel inside a record.

One bit per text and label, deflated and in base64: some ten kilobytes for GoEmotions' 5,427
texts. The gate resamples them, the report counts flips and confusions in them.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen

BoolArray = npt.NDArray[np.bool_]


MOST_DECISIONS = 1 << 28
"""Texts times labels that are kept: as booleans they take a quarter of a gigabyte."""


class Decisions(Frozen):
    """Truth and predictions of one split, in the order of its rows."""

    rows: Annotated[int, Field(ge=1, le=MOST_DECISIONS)]
    labels: Annotated[int, Field(ge=1, le=MOST_DECISIONS)]
    targets: str
    """Base64 of the zlib stream of the packed bits, row by row, most significant bit first."""
    predictions: str

    @model_validator(mode="after")
    def _not_endless(self) -> Self:
        # A small text may state, and unpack to, any number of bits.
        if self.rows * self.labels > MOST_DECISIONS:
            raise ValueError(
                f"{self.rows} texts x {self.labels} labels: at most {MOST_DECISIONS} decisions are kept"
            )
        return self


def pack_decisions(
    targets: npt.NDArray[Any], predictions: npt.NDArray[Any], n_labels: int
) -> Decisions:
    """Pack a split's truth and predictions.

    Parameters
    ----------
    targets, predictions : ndarray of bool, shape (N, K), or ndarray of int, shape (N,)
        Class ids are kept as one bit in their column.
    n_labels : int
        K.

    Raises
    ------
    RecordError
        If there are more than `MOST_DECISIONS`.
    """
    if len(targets) * n_labels > MOST_DECISIONS:
        raise RecordError(
            f"{len(targets):,} texts x {n_labels:,} labels: a record keeps at most {MOST_DECISIONS:,} "
            "decisions: score fewer texts"
        )
    truth, guess = _indicator(targets, n_labels), _indicator(predictions, n_labels)
    return Decisions(
        rows=len(truth), labels=n_labels, targets=_packed(truth), predictions=_packed(guess)
    )


def unpack_decisions(decisions: Decisions) -> tuple[BoolArray, BoolArray]:
    """Return truth and predictions, booleans of shape (N, K) each.

    Raises
    ------
    RecordError
        If either is damaged or holds another number of bits than is stated.
    """
    shape = (decisions.rows, decisions.labels)
    return (
        _unpacked(decisions.targets, shape, "targets"),
        _unpacked(decisions.predictions, shape, "predictions"),
    )


def _indicator(values: npt.NDArray[Any], n_labels: int) -> BoolArray:
    values = np.asarray(values)
    if values.ndim == 1:
        return np.asarray(np.eye(n_labels, dtype=bool)[values])
    return values.astype(bool)


def _packed(bits: BoolArray) -> str:
    return base64.b64encode(zlib.compress(np.packbits(bits).tobytes(), 9)).decode("ascii")


def _unpacked(text: str, shape: tuple[int, int], what: str) -> BoolArray:
    count = shape[0] * shape[1]
    size = (count + 7) // 8
    try:
        stream = zlib.decompressobj()
        # No more than one byte above what is stated: a small text must not unpack to gigabytes.
        content = stream.decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise RecordError(f"decisions.{what} are damaged ({error}): run the cell again") from None
    if len(content) != size or not stream.eof or stream.unused_data:
        raise RecordError(
            f"decisions.{what} do not hold the stated {shape[0]} x {shape[1]} bits: run the cell again"
        )
    bits = np.unpackbits(np.frombuffer(content, np.uint8))
    if bits[count:].any():
        raise RecordError(f"decisions.{what} hold bits behind the last row: run the cell again")
    return np.asarray(bits[:count].reshape(shape).astype(bool))

"""The interface of every engine: a classifier that turns texts into logits, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from goemo_eval.errors import ScoreError

BATCH_SIZE = 32
PRECISIONS = ("fp32", "int8")


class Batch(NamedTuple):
    """Padded token ids of some rows.

    Attributes
    ----------
    rows : tuple of int, length B
        Positions of the rows in the sequence that was batched.
    input_ids, attention_mask : ndarray of int64, shape (B, T)
    """

    rows: tuple[int, ...]
    input_ids: npt.NDArray[np.int64]
    attention_mask: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Runtime:
    """What ran the forward pass.

    Attributes
    ----------
    engine : str
    version : str
        Of the engine's package.
    kernels : str
        The matrix kernels, such as ``"fp32 (mkldnn)"`` or ``"int8 dynamic linear (x86)"``.
    quantized_engine : str or None
        Backend of the INT8 kernels; None in FP32.
    isa : str
        Highest instruction set that the engine says it uses.
    """

    engine: str
    version: str
    kernels: str
    quantized_engine: str | None
    isa: str


@dataclass(frozen=True, eq=False)
class Classifier:
    """A fine-tuned encoder, loaded into an engine at a precision.

    Attributes
    ----------
    labels : tuple of str, length K
    precision : {"fp32", "int8"}
    runtime : Runtime
    forward : callable
        ``Batch -> ndarray of float32, shape (B, K)``.
    tokenizer : transformers.PreTrainedTokenizerBase
    max_length : int
        Tokens to which texts are cut.
    vocab_size : int
        Token ids are folded below it: a no-op but for the stand-in tokenizer of random weights.
    parameters : int
        Trainable parameters of the FP32 model.
    size_bytes : int
        Of the weights as this engine would write them to disk.
    """

    labels: tuple[str, ...]
    precision: str
    runtime: Runtime
    forward: Callable[[Batch], npt.NDArray[np.float32]]
    tokenizer: Any
    max_length: int
    vocab_size: int
    parameters: int
    size_bytes: int

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Tokenize texts: one array of token ids each, cut to `max_length`, not padded."""
        encoded = self.tokenizer(list(texts), truncation=True, max_length=self.max_length)
        return [np.asarray(ids, dtype=np.int64) % self.vocab_size for ids in encoded["input_ids"]]

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Score texts.

        The order of batches is fixed (`batches_by_length`), since dynamically quantized logits
        depend on what shares a batch: the same texts always give the same bits.

        Parameters
        ----------
        texts : sequence of str, length N

        Returns
        -------
        ndarray of float32, shape (N, K)

        Raises
        ------
        ScoreError
            If a logit is not finite.
        """
        out = np.empty((len(texts), len(self.labels)), dtype=np.float32)
        batches = list(batches_by_length(self.encode(texts), pad_id=self.pad_id))
        # disable=None: silent when stderr is no terminal
        for batch in tqdm(batches, desc=f"scoring {self.precision}", leave=False, disable=None):
            out[list(batch.rows)] = self.forward(batch)
        check_finite(out)
        return out

    @property
    def pad_id(self) -> int:
        """Id of the padding token."""
        return int(self.tokenizer.pad_token_id or 0)


def check_finite(logits: npt.NDArray[np.floating[Any]]) -> None:
    """Refuse logits that cannot be scored.

    Raises
    ------
    ScoreError
        Naming the first row with a NaN or an infinity.
    """
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        raise ScoreError(
            f"logits of row {bad[0]} are not finite ({len(bad)} of {len(logits)} rows): the weights "
            "or the quantization are broken; train again or use fp32"
        )


def pad_batch(
    encoded: Sequence[npt.NDArray[np.int64]],
    rows: Sequence[int],
    *,
    pad_id: int,
    length: int | None = None,
) -> Batch:
    """Pad some rows to one length: the longest of them, or `length`."""
    width = length or max(len(encoded[row]) for row in rows)
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(input_ids)
    for i, row in enumerate(rows):
        ids = encoded[row][:width]
        input_ids[i, : len(ids)] = ids
        mask[i, : len(ids)] = 1
    return Batch(tuple(rows), input_ids, mask)


def batches_by_length(
    encoded: Sequence[npt.NDArray[np.int64]], *, pad_id: int, batch_size: int = BATCH_SIZE
) -> Iterator[Batch]:
    """Yield batches of rows of like length, longest first, each padded to its longest row.

    Sorting spares the padding that mixed lengths would cost; ties keep their order, so the
    batches are the same every time.
    """
    order = sorted(range(len(encoded)), key=lambda row: -len(encoded[row]))
    for start in range(0, len(order), batch_size):
        yield pad_batch(encoded, order[start : start + batch_size], pad_id=pad_id)

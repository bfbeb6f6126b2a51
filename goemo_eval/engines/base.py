"""The interface of every engine: a classifier that turns texts into logits, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from goemo_eval.errors import EngineError, ScoreError

BATCH_SIZE = 32
PRECISIONS = ("fp32", "int8")
_STRETCH = 32  # batches between two updates of a progress bar


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


class Layer(NamedTuple):
    """A linear layer, which INT8 may quantize or leave.

    Attributes
    ----------
    name : str
        As torch's module is called, whatever the engine: ``bert.encoder.layer.0.output.dense``.
    weights : int
        Number of its weights, counted once if the model passes it several times.
    """

    name: str
    weights: int


class Model(Protocol):
    """A checkpoint inside an engine, before a precision is chosen: what its classifiers share."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The linear layers, in the order in which the model holds them."""
        ...

    def classifier(self, precision: str, *, kept_fp32: Collection[str] = ()) -> Classifier:
        """Return a classifier at a precision.

        Parameters
        ----------
        precision : {"fp32", "int8"}
        kept_fp32 : collection of str, default ()
            Linear layers that stay in FP32 under INT8.
        """
        ...


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
    encode : callable
        ``sequence of str -> list of ndarray of int64``: each text's token ids, not padded.
    pad_id : int
        Id of the padding token.
    parameters : int
        Trainable parameters of the FP32 model.
    size_bytes : int
        Of the model as this engine would write it to disk.
    kept_fp32 : tuple of str, default ()
        Linear layers that INT8 left in FP32.
    forward_many : callable, optional
        ``sequence of Batch -> list of ndarray``: many batches at once, faster than one by one.
    tokens_per_batch : int, optional
        Padded tokens that a batch of `split_batches` holds at most, in place of 32 texts.
    """

    labels: tuple[str, ...]
    precision: str
    runtime: Runtime
    forward: Callable[[Batch], npt.NDArray[np.float32]]
    encode: Callable[[Sequence[str]], list[npt.NDArray[np.int64]]]
    pad_id: int
    parameters: int
    size_bytes: int
    kept_fp32: tuple[str, ...] = ()
    forward_many: Callable[[Sequence[Batch]], list[npt.NDArray[np.float32]]] | None = None
    tokens_per_batch: int | None = None

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Score texts.

        Order and padding of the batches are fixed (`split_batches`), since dynamically quantized
        logits depend on what shares a batch: the same texts always give the same bits.

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
        batches = self.split_batches(texts)
        # disable=None: silent when stderr is no terminal
        bar = tqdm(total=len(batches), desc=f"scoring {self.precision}", leave=False, disable=None)
        with bar:
            for start in range(0, len(batches), _STRETCH):
                stretch = batches[start : start + _STRETCH]
                for batch, logits in zip(stretch, self.run(stretch), strict=True):
                    out[list(batch.rows)] = logits
                bar.update(len(stretch))
        check_finite(out)
        return out

    def split_batches(self, texts: Sequence[str]) -> list[Batch]:
        """Return the batches of a whole split, in the one order and padding that score and time it."""
        encoded = self.encode(texts)
        if self.tokens_per_batch is None:
            return list(batches_by_length(encoded, pad_id=self.pad_id))
        return list(batches_by_tokens(encoded, pad_id=self.pad_id, tokens=self.tokens_per_batch))

    def run(self, batches: Sequence[Batch]) -> list[npt.NDArray[np.float32]]:
        """Return the logits of each batch, by `forward_many` where the engine has it."""
        if self.forward_many is not None:
            return self.forward_many(batches)
        return [self.forward(batch) for batch in batches]


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


def batches_by_tokens(
    encoded: Sequence[npt.NDArray[np.int64]], *, pad_id: int, tokens: int
) -> Iterator[Batch]:
    """Yield batches of rows of like length, longest first, of at most `tokens` padded tokens.

    Short texts so share a batch in larger number, and every batch is about as much work: two
    that run side by side end together. A row that is longer than `tokens` has a batch of its own.
    """
    order = sorted(range(len(encoded)), key=lambda row: -len(encoded[row]))
    start = 0
    while start < len(order):
        rows = max(1, tokens // len(encoded[order[start]]))
        yield pad_batch(encoded, order[start : start + rows], pad_id=pad_id)
        start += rows


def check_layers(kept_fp32: Collection[str], layers: Sequence[Layer]) -> None:
    """Refuse names of layers that the model does not have.

    Raises
    ------
    EngineError
        Naming the first, and a layer that exists.
    """
    known = {layer.name for layer in layers}
    for name in kept_fp32:
        if name not in known:
            raise EngineError(
                f"kept_fp32 names the layer {name!r}, which the model lacks: its linear layers are "
                f"called like {layers[0].name!r}"
            )

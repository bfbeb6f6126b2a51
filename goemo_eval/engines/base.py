"""The interface of every engine: a predictor, which turns texts into logits, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.artifact import ArtifactInfo
from goemo_eval.errors import ScoreError
from goemo_eval.progress import progress

BATCH_SIZE = 32
PADDED_LENGTH = 128
Shape = Literal["scored", "real", "padded128", "single"]
"""How texts are batched. ``scored``: by length, as the engine is fastest, the one order and padding in
which cells are scored; ``real``: 32 in the given order, padded to the longest of them;
``padded128``: those padded to 128 tokens; ``single``: each text alone."""
_STRETCH = 64  # batches between two updates of a progress bar
_AT_ONCE = 65_536  # texts whose token ids or features are in memory at a time


class Batch(Protocol):
    """Rows that are passed together; what else it holds is between an engine's own functions."""

    @property
    def rows(self) -> tuple[int, ...]:
        """Positions of the rows in the sequence that was batched."""
        ...


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


class Predictor(Protocol):
    """What an artifact becomes in memory."""

    @property
    def info(self) -> ArtifactInfo:
        """The artifact's description: labels, parameters, layers kept in FP32."""
        ...

    @property
    def runtime(self) -> Runtime:
        """What runs it."""
        ...

    def prepare(self, texts: Sequence[str], *, shape: Shape = "scored") -> list[Any]:
        """Return batches (`Batch`) of the texts.

        Not timed in the scenarios ``real`` and ``padded128``: tokenization is not their matter.
        """
        ...

    def run(self, batches: Sequence[Any]) -> list[npt.NDArray[np.float32]]:
        """Return each batch's logits, shape (B, K) float32; several batches may run side by side."""
        ...


class TokenBatch(NamedTuple):
    """Padded token ids of some rows.

    Attributes
    ----------
    rows : tuple of int, length B
    input_ids, attention_mask : ndarray of int64, shape (B, T)
    token_type_ids : ndarray of int64, shape (B, T), or None
        Where the model is given token types.
    beside : bool
        To be run beside other batches, each by one thread; otherwise alone, by all threads.
    """

    rows: tuple[int, ...]
    input_ids: npt.NDArray[np.int64]
    attention_mask: npt.NDArray[np.int64]
    token_type_ids: npt.NDArray[np.int64] | None = None
    beside: bool = False

    @property
    def inputs(self) -> dict[str, npt.NDArray[np.int64]]:
        """The arrays by the names that models give them."""
        found = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        if self.token_type_ids is not None:
            found["token_type_ids"] = self.token_type_ids
        return found


def logits(predictor: Predictor, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Score texts.

    Order and padding of the batches are fixed, since dynamically quantized logits depend on what
    shares a batch: the same texts always give the same bits.

    Parameters
    ----------
    predictor : Predictor
    texts : sequence of str, length N

    Returns
    -------
    ndarray of float32, shape (N, K)

    Raises
    ------
    TypeError
        If `texts` is one text, not a sequence of them.
    ScoreError
        If a logit is not finite.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be a sequence of str: got one str; pass [text]")
    out = np.empty((len(texts), len(predictor.info.labels)), dtype=np.float32)
    # A text alone is answered soonest by all threads; many of them by a thread each.
    shape: Shape = "single" if len(texts) == 1 else "scored"
    with progress(desc=f"scoring {predictor.info.variant.precision}", total=len(texts)) as bar:
        for first in range(0, len(texts), _AT_ONCE):
            batches = predictor.prepare(texts[first : first + _AT_ONCE], shape=shape)
            for start in range(0, len(batches), _STRETCH):
                stretch = batches[start : start + _STRETCH]
                for batch, found in zip(stretch, predictor.run(stretch), strict=True):
                    out[first + np.array(batch.rows)] = found
                    bar.update(len(batch.rows))
    check_finite(out)
    return out


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

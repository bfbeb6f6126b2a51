"""An encoder's artifact with the floor's beside it, in any engine: their logits are added.

``logits = (1 - w) * encoder + w * floor``, where w is `ArtifactInfo.floor_weight`. The floor is run by
numpy whatever runs the encoder, and is INT8 where that is. Finding n-grams, like finding token ids, is
preparation; both sums are part of the forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.artifact import Artifact, ArtifactInfo, Variant
from goemo_eval.engines.artifact import describe as describe_artifact
from goemo_eval.engines.base import Predictor, Runtime, Shape
from goemo_eval.engines.linear import KERNELS, sparse_logits
from goemo_eval.errors import CheckpointError, EngineError
from goemo_eval.models.linear_files import (
    BESIDE,
    LinearModel,
    quantized,
    read_linear,
    write_linear,
)
from goemo_eval.models.ngrams import Features, Vectorizer

if TYPE_CHECKING:
    from goemo_eval.engines.registry import Converter
    from goemo_eval.models.checkpoint import Checkpoint
    from goemo_eval.models.pretrained import Layer


class MixedBatch(NamedTuple):
    """Some rows as the encoder reads them, and their features."""

    rows: tuple[int, ...]
    own: Any
    features: Features


@dataclass(frozen=True, eq=False)
class MixedPredictor:
    """Both in memory; see `goemo_eval.engines.base.Predictor`."""

    info: ArtifactInfo
    runtime: Runtime
    _encoder: Predictor
    _floor: LinearModel
    _vectorizer: Vectorizer
    _weight: float

    def prepare(self, texts: Sequence[str], *, shape: Shape = "scored") -> list[MixedBatch]:
        """Return the encoder's batches, each with its rows' features."""
        return [
            MixedBatch(
                tuple(batch.rows),
                batch,
                self._vectorizer.features([texts[row] for row in batch.rows]),
            )
            for batch in self._encoder.prepare(texts, shape=shape)
        ]

    def run(self, batches: Sequence[MixedBatch]) -> list[npt.NDArray[np.float32]]:
        """Return each batch's logits, shape (B, K) float32."""
        weight = np.float32(self._weight)
        own = self._encoder.run([batch.own for batch in batches])
        return [
            (1 - weight) * logits + weight * sparse_logits(self._floor, batch.features)
            for logits, batch in zip(own, batches, strict=True)
        ]


class MixedConverter:
    """Writes any variant of an encoder with the floor beside it.

    Parameters
    ----------
    encoder : Converter
        Of the encoder alone.
    checkpoint : Checkpoint
        With a `floor_weight`.

    Raises
    ------
    CheckpointError
        If the floor's files do not fit together.
    """

    def __init__(self, encoder: Converter, checkpoint: Checkpoint) -> None:
        self._encoder = encoder
        self._weight = checkpoint.floor_weight
        self._floor = read_linear(
            checkpoint.path, n_labels=len(checkpoint.labels), error=CheckpointError, names=BESIDE
        )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The encoder's linear layers."""
        return self._encoder.layers

    def write(self, variant: Variant, out: Path) -> Artifact:
        """Write a variant's artifact into an empty directory: the encoder's files, and the floor's."""
        info = self._encoder.write(variant, out).info
        int8 = variant.precision == "int8"
        floor = quantized(self._floor) if int8 else self._floor
        write_linear(out, floor, names=BESIDE)
        mixed = info.model_copy(
            update={
                "parameters": info.parameters + floor.weights.size + floor.bias.size,
                "kernels": f"{info.kernels}; floor: {KERNELS[_floor_precision(info)]}",
                "floor_weight": self._weight,
            }
        )
        describe_artifact(out, mixed)
        return Artifact(out, mixed)


def _floor_precision(info: ArtifactInfo) -> str:
    """Return what the floor is in: INT8 where the encoder is, else FP32."""
    return "int8" if info.variant.precision == "int8" else "fp32"


def beside_floor(encoder: Predictor, artifact: Artifact) -> MixedPredictor:
    """Load the floor beside an encoder that is loaded.

    Parameters
    ----------
    encoder : Predictor
        Of the artifact's own files.
    artifact : Artifact
        With a `floor_weight`.

    Raises
    ------
    EngineError
        If the floor's files do not fit together.
    """
    info = artifact.info
    assert info.floor_weight is not None
    floor = read_linear(artifact.path, n_labels=len(info.labels), error=EngineError, names=BESIDE)
    if (floor.scales is not None) != (info.variant.precision == "int8"):
        raise EngineError(
            f"{artifact.path / BESIDE.weights}: {floor.weights.dtype} weights in an artifact of precision "
            f"{info.variant.precision}: export the cell again"
        )
    runtime = replace(
        encoder.runtime,
        kernels=f"{encoder.runtime.kernels}; floor: {KERNELS[_floor_precision(info)]}",
    )
    return MixedPredictor(
        info, runtime, encoder, floor, Vectorizer(floor.vocabulary), info.floor_weight
    )

"""The engine of linear models: n-grams and a sparse product, by numpy alone.

FP32, and INT8 weights with one scale per label: the features stay float, so that INT8 spares memory,
not time. There is no ONNX export: finding the features takes most of the time, ONNX has no operator
for n-grams within words, and the product alone is a few lines of numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.artifact import Artifact, ArtifactInfo, Variant
from goemo_eval.engines.artifact import describe as describe_artifact
from goemo_eval.engines.base import BATCH_SIZE, Runtime, Shape
from goemo_eval.errors import CheckpointError, EngineError
from goemo_eval.models.linear_files import LinearModel, quantized, read_linear, write_linear
from goemo_eval.models.ngrams import Features, Vectorizer

if TYPE_CHECKING:
    from goemo_eval.models.checkpoint import Checkpoint
    from goemo_eval.models.pretrained import Layer

KERNELS = {
    "fp32": "fp32 sparse rows (numpy)",
    "int8": "int8 weights, one scale per label, fp32 sparse rows (numpy)",
}
_SCORED = 256  # texts in a scored batch: a row's logits are the same in any company


class SparseBatch(NamedTuple):
    """Features of some rows."""

    rows: tuple[int, ...]
    features: Features


@dataclass(frozen=True, eq=False)
class LinearPredictor:
    """A linear artifact in memory; see `goemo_eval.engines.base.Predictor`."""

    info: ArtifactInfo
    runtime: Runtime
    _model: LinearModel
    _vectorizer: Vectorizer

    def prepare(self, texts: Sequence[str], *, shape: Shape = "scored") -> list[SparseBatch]:
        """Return batches of the texts in their order; there is nothing to pad."""
        size = {"scored": _SCORED, "single": 1}.get(shape, BATCH_SIZE)
        return [
            SparseBatch(
                tuple(range(start, min(start + size, len(texts)))),
                self._vectorizer.features(texts[start : start + size]),
            )
            for start in range(0, len(texts), size)
        ]

    def run(self, batches: Sequence[SparseBatch]) -> list[npt.NDArray[np.float32]]:
        """Return each batch's logits, shape (B, K) float32."""
        return [sparse_logits(self._model, batch.features) for batch in batches]


def sparse_logits(model: LinearModel, features: Features) -> npt.NDArray[np.float32]:
    """Return a linear model's logits of rows of features, shape (B, K)."""
    out = np.zeros((len(features.starts) - 1, len(model.bias)), dtype=np.float32)
    filled = np.flatnonzero(np.diff(features.starts))  # reduceat knows no empty rows
    if len(filled):
        weights = model.weights[features.ids]
        terms = weights * features.values.astype(np.float32)[:, None]
        out[filled] = np.add.reduceat(terms, features.starts[filled], axis=0)
    if model.scales is not None:
        out *= model.scales
    out += model.bias
    return out


class LinearConverter:
    """Writes any variant of one checkpoint.

    Parameters
    ----------
    checkpoint : Checkpoint
    model : LinearModel
        In FP32.
    """

    layers: tuple[Layer, ...] = ()
    """None that INT8 could leave: there is one matrix."""

    def __init__(self, checkpoint: Checkpoint, model: LinearModel) -> None:
        self._checkpoint = checkpoint
        self._model = model

    def write(self, variant: Variant, out: Path) -> Artifact:
        """Write a variant's artifact into an empty directory.

        Raises
        ------
        EngineError
            If layers are to be kept in FP32, or outliers spread: there is nothing of the kind.
        """
        if variant.kept_fp32 or variant.smoothed:
            raise EngineError(
                "engine linear has one matrix: kept_fp32 and smoothed do not apply; leave them out"
            )
        int8 = variant.precision == "int8"
        write_linear(out, quantized(self._model) if int8 else self._model)
        info = ArtifactInfo(
            variant=variant,
            engine_version=np.__version__,
            labels=self._checkpoint.labels,
            parameters=self._model.weights.size + self._model.bias.size,
            int8_share=float(int8),
            kernels=KERNELS[variant.precision],
            quantized_engine="numpy" if int8 else None,
            checkpoint_sha256=self._checkpoint.content_sha256,
        )
        describe_artifact(out, info)
        return Artifact(out, info)


def converter(
    checkpoint: Checkpoint, *, calibration: Sequence[str] = (), threads: int
) -> LinearConverter:
    """Load a checkpoint for conversion.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of a linear model.
    calibration, threads
        Not needed.

    Raises
    ------
    CheckpointError
        If it is of another model, or its files do not fit together.
    """
    del calibration, threads
    if checkpoint.model != "linear":
        raise CheckpointError(
            f"{checkpoint.path}: a {checkpoint.model} model, and engine linear runs linear ones: choose "
            "torch, onnxruntime or openvino"
        )
    model = read_linear(checkpoint.path, n_labels=len(checkpoint.labels), error=CheckpointError)
    return LinearConverter(checkpoint, model)


def convert(
    checkpoint: Checkpoint,
    variant: Variant,
    out: Path,
    *,
    calibration: Sequence[str] = (),
    threads: int,
) -> Artifact:
    """Convert a checkpoint into one variant's artifact; see `converter`."""
    return converter(checkpoint, calibration=calibration, threads=threads).write(variant, out)


def load(artifact: Artifact, *, threads: int) -> LinearPredictor:
    """Load an artifact.

    Parameters
    ----------
    artifact : Artifact
    threads : int
        Not used: everything runs on one.

    Raises
    ------
    EngineError
        If its files do not fit together.
    """
    del threads
    info = artifact.info
    model = read_linear(artifact.path, n_labels=len(info.labels), error=EngineError)
    if (model.scales is not None) != (info.variant.precision == "int8"):
        raise EngineError(
            f"{artifact.path}: {model.weights.dtype} weights in an artifact of precision "
            f"{info.variant.precision}: export the cell again"
        )
    runtime = Runtime(
        engine="linear",
        version=np.__version__,
        kernels=KERNELS[info.variant.precision],
        quantized_engine=info.quantized_engine,
        isa=_isa(),
    )
    return LinearPredictor(info, runtime, model, Vectorizer(model.vocabulary))


def describe() -> str:
    """Say version and instruction set in a line."""
    return f"numpy {np.__version__}, {_isa()}, INT8 weights"


def _isa() -> str:
    """Return the highest instruction set that numpy says it found."""
    config: Any = np.show_config(mode="dicts")
    found = config.get("SIMD Extensions", {}).get("found") or ["baseline"]
    return str(found[-1])

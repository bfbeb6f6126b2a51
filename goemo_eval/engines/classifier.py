"""A fine-tuned checkpoint in an engine, for a look from Python without a store."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from goemo_eval.cpu import available_threads
from goemo_eval.engines.artifact import Variant
from goemo_eval.engines.base import Predictor, logits
from goemo_eval.engines.registry import convert, load
from goemo_eval.errors import EngineError, unknown_name
from goemo_eval.frozen import PRECISIONS


@dataclass(frozen=True, eq=False)
class Classifier:
    """A fine-tuned checkpoint in an engine, at a precision.

    Attributes
    ----------
    labels : tuple of str, length K
    predictor : Predictor
    """

    labels: tuple[str, ...]
    predictor: Predictor

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Score texts: float32 of shape (N, K); see `goemo_eval.engines.base.logits`."""
        return logits(self.predictor, texts)


def load_classifier(
    checkpoint: str | Path,
    engine: str = "torch",
    precision: str = "fp32",
    *,
    threads: int | None = None,
    calibration: Sequence[str] = (),
    smoothed: bool = False,
    kept_fp32: Collection[str] = (),
) -> Classifier:
    """Convert a fine-tuned checkpoint and load it, for a look from Python.

    Parameters
    ----------
    checkpoint : str or Path
        Directory.
    engine : str, default "torch"
    precision : {"fp32", "bf16", "int8"}, default "fp32"
    threads : int, optional
        CPU threads; all available by default.
    calibration : sequence of str, default ()
        Training texts on which INT8 ranges are fitted; openvino needs them for INT8.
    smoothed : bool, default False
        Spread outliers by exact rescaling before INT8.
    kept_fp32 : collection of str, default ()
        Names of linear layers that stay in FP32 under INT8.

    Returns
    -------
    Classifier

    Raises
    ------
    CheckpointError
        If the checkpoint is missing or altered.
    EngineError
        If engine, precision or a layer is unknown, or cannot run here.
    """
    from goemo_eval.models.checkpoint import read_checkpoint

    if precision not in PRECISIONS:
        raise EngineError(unknown_name("precision", precision, PRECISIONS))
    variant = Variant.model_validate(
        {
            "engine": engine,
            "precision": precision,
            "smoothed": smoothed,
            "kept_fp32": tuple(kept_fp32),
        }
    )
    threads = threads or available_threads()
    directory = Path(tempfile.mkdtemp(prefix="goemo-eval-"))
    try:
        artifact = convert(
            read_checkpoint(Path(checkpoint)),
            variant,
            directory,
            calibration=calibration,
            threads=threads,
        )
        classifier = Classifier(artifact.info.labels, load(artifact, threads=threads))
    except BaseException:
        shutil.rmtree(directory)
        raise
    # Engines may read the artifact as they need it: it goes with the classifier.
    weakref.finalize(classifier, shutil.rmtree, directory, ignore_errors=True)
    return classifier

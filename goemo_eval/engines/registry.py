"""The engines by name, and the calls that load a checkpoint into any of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from goemo_eval.engines.base import PRECISIONS, Classifier, Model
from goemo_eval.errors import EngineError, unknown_name
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint


@dataclass(frozen=True)
class Engine:
    """Where an engine is, and what it needs.

    Attributes
    ----------
    module : str
        Imported on use. Has ``load(checkpoint, *, threads, calibration) -> Model`` and
        ``describe() -> str``.
    packages : tuple of str
        Modules that must be installed.
    extra : str
        The extra of this distribution that installs them; empty if they always are.
    """

    module: str
    packages: tuple[str, ...] = ()
    extra: str = ""


ENGINES = {
    "torch": Engine("goemo_eval.engines.torch"),
    "onnxruntime": Engine(
        "goemo_eval.engines.onnxruntime", ("onnx", "onnxruntime", "onnxscript"), "onnxruntime"
    ),
    "openvino": Engine("goemo_eval.engines.openvino", ("openvino", "nncf"), "openvino"),
}


def missing_engine(name: str) -> str | None:
    """Say what an engine lacks here, with the command that installs it; None if nothing."""
    engine = ENGINES[name]
    missing = [package for package in engine.packages if find_spec(package) is None]
    if not missing:
        return None
    return f"engine {name} needs {' and '.join(missing)}: pip install 'goemo-eval[{engine.extra}]'"


def load_model(
    checkpoint: str | Path | Checkpoint,
    engine: str = "torch",
    *,
    threads: int | None = None,
    calibration: Sequence[str] | None = None,
) -> Model:
    """Load a fine-tuned checkpoint into an engine, for classifiers at any precision.

    Parameters
    ----------
    checkpoint : str, Path or Checkpoint
        Directory, or what `goemo_eval.models.checkpoint.read_checkpoint` made of it.
    engine : str, default "torch"
    threads : int, optional
        CPU threads of the forward pass; torch has one such number for the whole process.
    calibration : sequence of str, optional
        Training texts on which INT8 ranges are fitted; openvino needs them for INT8.

    Returns
    -------
    Model

    Raises
    ------
    CheckpointError
        If the checkpoint is missing or altered.
    EngineError
        If the engine is unknown or not installed.
    """
    if engine not in ENGINES:
        raise EngineError(unknown_name("engine", engine, ENGINES))
    if (reason := missing_engine(engine)) is not None:
        raise EngineError(reason)
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = read_checkpoint(Path(checkpoint))
    model: Model = import_module(ENGINES[engine].module).load(
        checkpoint, threads=threads, calibration=calibration
    )
    return model


def load_classifier(
    checkpoint: str | Path | Checkpoint,
    engine: str = "torch",
    precision: str = "fp32",
    *,
    threads: int | None = None,
    calibration: Sequence[str] | None = None,
    kept_fp32: Collection[str] = (),
) -> Classifier:
    """Load a fine-tuned checkpoint.

    Parameters
    ----------
    checkpoint, engine, threads, calibration
        See `load_model`.
    precision : {"fp32", "int8"}, default "fp32"
    kept_fp32 : collection of str, default ()
        Names of linear layers that stay in FP32 under INT8.

    Returns
    -------
    Classifier
        ``Classifier.logits(texts)`` gives float32 logits of shape (N, K).

    Raises
    ------
    CheckpointError
        If the checkpoint is missing or altered.
    EngineError
        If engine, precision or a layer is unknown, or cannot run here.
    """
    if precision not in PRECISIONS:
        raise EngineError(unknown_name("precision", precision, PRECISIONS))
    model = load_model(checkpoint, engine, threads=threads, calibration=calibration)
    return model.classifier(precision, kept_fp32=kept_fp32)


def describe_engine(name: str) -> str:
    """Say in a line what an engine can do on this machine."""
    text: str = import_module(ENGINES[name].module).describe()
    return text

"""The engines by name, and the one call that loads a checkpoint into any of them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from goemo_eval.engines.base import PRECISIONS, Classifier
from goemo_eval.engines.checkpoint import Checkpoint, read_checkpoint
from goemo_eval.errors import EngineError, unknown_name

ENGINES: dict[str, str] = {"torch": "goemo_eval.engines.torch"}
"""Engine name -> module with ``load(checkpoint, precision, *, threads) -> Classifier``, imported on use."""


def load_classifier(
    checkpoint: str | Path | Checkpoint,
    engine: str = "torch",
    precision: str = "fp32",
    *,
    threads: int | None = None,
) -> Classifier:
    """Load a fine-tuned checkpoint.

    Parameters
    ----------
    checkpoint : str, Path or Checkpoint
        Directory, or what `goemo_eval.engines.checkpoint.read_checkpoint` made of it.
    engine : str, default "torch"
    precision : {"fp32", "int8"}, default "fp32"
    threads : int, optional
        CPU threads of the forward pass; torch has one such number for the whole process.

    Returns
    -------
    Classifier
        ``Classifier.logits(texts)`` gives float32 logits of shape (N, K).

    Raises
    ------
    CheckpointError
        If the checkpoint is missing or altered.
    EngineError
        If engine or precision is unknown, or cannot run here.
    """
    if engine not in ENGINES:
        raise EngineError(unknown_name("engine", engine, ENGINES))
    if precision not in PRECISIONS:
        raise EngineError(unknown_name("precision", precision, PRECISIONS))
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = read_checkpoint(Path(checkpoint))
    classifier: Classifier = import_module(ENGINES[engine]).load(
        checkpoint, precision, threads=threads
    )
    return classifier


def describe_engine(name: str) -> str:
    """Say in a line what an engine can do on this machine."""
    text: str = import_module(ENGINES[name]).describe()
    return text

"""The torch engine: FP32, and INT8 by dynamic quantization of every linear layer."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.base import Batch, Classifier, Runtime
from goemo_eval.engines.checkpoint import Checkpoint
from goemo_eval.engines.quiet import quiet_transformers
from goemo_eval.errors import CheckpointError, EngineError


def load(checkpoint: Checkpoint, precision: str, *, threads: int | None = None) -> Classifier:
    """Load a checkpoint into torch.

    Parameters
    ----------
    checkpoint : Checkpoint
    precision : {"fp32", "int8"}
    threads : int, optional
        For the whole process, since torch has one pool.

    Returns
    -------
    Classifier

    Raises
    ------
    CheckpointError
        If the weights do not fit the labels.
    EngineError
        If this torch build has no INT8 kernels for this CPU.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if threads is not None:
        torch.set_num_threads(threads)
    with quiet_transformers():
        model = AutoModelForSequenceClassification.from_pretrained(
            checkpoint.path, use_safetensors=True, local_files_only=True
        ).eval()
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.path, local_files_only=True)
    if model.config.num_labels != len(checkpoint.labels):
        raise CheckpointError(
            f"{checkpoint.path}: the model has {model.config.num_labels} outputs for "
            f"{len(checkpoint.labels)} labels: train again"
        )
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    vocab_size = int(model.config.vocab_size)
    if precision == "int8":
        model = quantize_dynamic(model)
    quantized_engine = torch.backends.quantized.engine if precision == "int8" else None

    def forward(batch: Batch) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            out = model(
                input_ids=torch.from_numpy(batch.input_ids),
                attention_mask=torch.from_numpy(batch.attention_mask),
            )
        logits: npt.NDArray[np.float32] = out.logits.numpy()
        return logits

    return Classifier(
        labels=checkpoint.labels,
        precision=precision,
        runtime=Runtime(
            engine="torch",
            version=torch.__version__,
            kernels=f"int8 dynamic linear ({quantized_engine})" if quantized_engine else "fp32",
            quantized_engine=quantized_engine,
            isa=torch.backends.cpu.get_cpu_capability(),
        ),
        forward=forward,
        tokenizer=tokenizer,
        max_length=checkpoint.max_length,
        vocab_size=vocab_size,
        parameters=parameters,
        size_bytes=serialized_size(model)
        if precision == "int8"
        else (checkpoint.path / "model.safetensors").stat().st_size,
    )


def describe() -> str:
    """Say version, instruction set and INT8 backends in a line."""
    import torch

    backends = torch.backends.quantized
    supported = ", ".join(e for e in backends.supported_engines if e != "none") or "none"
    return (
        f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
        f"INT8 by {backends.engine} (of {supported})"
    )


def quantize_dynamic(model: Any) -> Any:
    """Return a copy whose linear layers hold INT8 weights and quantize their input per batch.

    Raises
    ------
    EngineError
        If torch has no quantized kernels here.
    """
    import torch

    if torch.backends.quantized.engine in ("none", "NoQEngine"):
        raise EngineError("torch has no INT8 kernels on this CPU: choose --precisions fp32")
    with warnings.catch_warnings():
        # torch announces that torchao will replace this call, and that the tensors it makes will
        # go; both work in every version we allow.
        warnings.filterwarnings("ignore", message=".*torch.ao.quantization is deprecated")
        warnings.filterwarnings("ignore", message=".*quantized tensor creation functions")
        quantize: Any = torch.ao.quantization.quantize_dynamic  # it has no types
        return quantize(model, {torch.nn.Linear}, dtype=torch.qint8)


def serialized_size(model: Any) -> int:
    """Return the bytes that the model's weights take on disk."""
    import torch

    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.getbuffer().nbytes

"""The torch engine: FP32, and INT8 by dynamic quantization of the linear layers.

INT8 keeps the embedding tables as INT8 rows too: they are half of MiniLM's parameters.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.cpu import has_dot_products
from goemo_eval.engines.base import Batch, Classifier, Layer, Runtime, check_layers
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.pretrained import Pretrained, load_pretrained


class TorchModel:
    """A checkpoint in torch; see `goemo_eval.engines.base.Model`."""

    def __init__(self, pretrained: Pretrained) -> None:
        self.pretrained = pretrained

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The linear layers."""
        return self.pretrained.layers

    def classifier(self, precision: str, *, kept_fp32: Collection[str] = ()) -> Classifier:
        """Return a classifier at a precision.

        Raises
        ------
        EngineError
            If torch has no INT8 kernels here, or a layer is unknown.
        """
        import torch

        check_layers(kept_fp32, self.layers)
        module, kernels, quantized_engine = self.pretrained.module, "fp32", None
        size_bytes = (self.pretrained.checkpoint.path / "model.safetensors").stat().st_size
        if precision == "int8":
            module, kernels, quantized_engine = quantize_dynamic(module, kept_fp32=kept_fp32)
            size_bytes = serialized_size(module)

        def forward(batch: Batch) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                out = module(
                    input_ids=torch.from_numpy(batch.input_ids),
                    attention_mask=torch.from_numpy(batch.attention_mask),
                )
            logits: npt.NDArray[np.float32] = out.logits.numpy()
            return logits

        runtime = Runtime(
            engine="torch",
            version=torch.__version__,
            kernels=kernels,
            quantized_engine=quantized_engine,
            isa=torch.backends.cpu.get_cpu_capability(),
        )
        return self.pretrained.classifier(
            forward,
            precision=precision,
            runtime=runtime,
            size_bytes=size_bytes,
            kept_fp32=tuple(kept_fp32),
        )


def load(
    checkpoint: Checkpoint,
    *,
    threads: int | None = None,
    calibration: Sequence[str] | None = None,
) -> TorchModel:
    """Load a checkpoint into torch.

    Parameters
    ----------
    checkpoint : Checkpoint
    threads : int, optional
        For the whole process, since torch has one pool.
    calibration : sequence of str, optional
        Not needed: ranges are taken from each batch.

    Raises
    ------
    CheckpointError
        If the weights do not fit the labels.
    """
    import torch

    del calibration
    if threads is not None:
        torch.set_num_threads(threads)
    return TorchModel(load_pretrained(checkpoint))


def describe() -> str:
    """Say version, instruction set and INT8 backends in a line."""
    import torch

    backends = torch.backends.quantized
    supported = ", ".join(e for e in backends.supported_engines if e != "none") or "none"
    return (
        f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
        f"INT8 by {backends.engine} (of {supported})"
    )


def quantize_dynamic(module: Any, *, kept_fp32: Collection[str] = ()) -> tuple[Any, str, str]:
    """Quantize linear layers and embedding tables.

    Linear layers hold INT8 weights with one scale per output channel, and quantize their input
    per batch. Embedding tables have one scale per row.

    Parameters
    ----------
    module : torch.nn.Module
        Is left as it is; what is not quantized is shared with the copy.
    kept_fp32 : collection of str, default ()
        Linear layers to leave.

    Returns
    -------
    torch.nn.Module
    kernels, quantized_engine : str

    Raises
    ------
    EngineError
        If torch has no quantized kernels here.
    """
    import torch

    tensors = chain(module.parameters(), module.buffers())
    copied = copy.deepcopy(module, memo={id(tensor): tensor for tensor in tensors})
    names = {
        name
        for name, layer in copied.named_modules()
        if isinstance(layer, torch.nn.Linear) and name not in set(kept_fp32)
    }
    for name, layer in list(copied.named_modules()):
        if isinstance(layer, torch.nn.Embedding):
            copied.set_submodule(name, _int8_embedding(layer))
    # torch announces that torchao will replace this call; where it is gone, torchao does.
    if hasattr(torch.ao.quantization, "quantize_dynamic"):
        kernels, engine = _quantize_by_torch(copied, names)
    else:
        kernels, engine = _quantize_by_torchao(copied, names)
    return copied, f"{kernels}, int8 embedding rows", engine


def _quantize_by_torch(module: Any, names: set[str]) -> tuple[str, str]:
    import torch

    engine = torch.backends.quantized.engine
    if engine in ("none", "NoQEngine"):
        raise EngineError("torch has no INT8 kernels on this CPU: choose --precisions fp32")
    qconfig = torch.ao.quantization.per_channel_dynamic_qconfig
    with warnings.catch_warnings():
        # The call works in every version we allow, whatever it says of its future.
        warnings.filterwarnings("ignore", message=".*torch.ao.quantization is deprecated")
        warnings.filterwarnings("ignore", message=".*quantized tensor creation functions")
        quantize: Any = torch.ao.quantization.quantize_dynamic  # it has no types
        quantize(module, dict.fromkeys(names, qconfig), dtype=torch.qint8, inplace=True)
    activations = "7-bit activations"
    if has_dot_products():
        # Inputs have 7 bits by default, lest sums of 16 bits saturate. With dot-product
        # instructions they cannot; version 3 of the layer is the one that uses all 8 bits.
        activations = "8-bit activations"
        for layer in module.modules():
            if isinstance(layer, torch.ao.nn.quantized.dynamic.Linear):
                layer.version = 3
    return f"int8 dynamic linear per channel ({engine}, {activations})", engine


def _quantize_by_torchao(module: Any, names: set[str]) -> tuple[str, str]:
    try:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_
    except ImportError:
        raise EngineError(
            "this torch has no quantize_dynamic any more: pip install 'goemo-eval[torchao]'"
        ) from None
    quantize_(
        module, Int8DynamicActivationInt8WeightConfig(), filter_fn=lambda _, name: name in names
    )
    return "int8 dynamic linear per channel (torchao)", "torchao"


def _int8_embedding(embedding: Any) -> Any:
    """Return an embedding whose table is INT8 with one scale per row."""
    import torch

    class Int8Embedding(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, weight: Any) -> None:
            super().__init__()
            scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
            self.register_buffer("weight", (weight / scale).round().to(torch.int8))
            self.register_buffer("scale", scale)

        def forward(self, ids: Any) -> Any:
            return self.weight[ids] * self.scale[ids]

    return Int8Embedding(embedding.weight.detach())


def serialized_size(module: Any) -> int:
    """Return the bytes that the model's weights take on disk."""
    import torch

    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    return buffer.getbuffer().nbytes

"""The torch engine: FP32, BF16, and INT8 with scales per output channel and per token.

An artifact holds its tensors in one safetensors file; INT8 keeps the linear layers and the
embedding tables, which are half of MiniLM's parameters, in 8 bits there. The model is built from
``config.json`` without memory, and given these tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.cpu import has_dot_products
from goemo_eval.engines.artifact import Artifact, ArtifactInfo, Variant
from goemo_eval.engines.artifact import describe as describe_artifact
from goemo_eval.engines.base import Runtime, Shape, TokenBatch
from goemo_eval.engines.exported import check_layers
from goemo_eval.engines.smoothing import smoothed
from goemo_eval.engines.tokens import Tokens, save_tokens
from goemo_eval.engines.torch_bf16 import KERNELS as BF16
from goemo_eval.engines.torch_bf16 import halved, multiply_in_bf16
from goemo_eval.engines.torch_int8 import Kernels, fill, find_kernels, quantize, state
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.loading import POOLING
from goemo_eval.models.pooling import restore_pooling
from goemo_eval.models.pretrained import Layer, Pretrained, load_pretrained
from goemo_eval.models.quiet import quiet_transformers
from goemo_eval.models.static import register_static

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_SAME = "same"  # key of the file's metadata: name of a tensor -> name of the one that it is


class TorchConverter:
    """Writes any variant of one checkpoint.

    Parameters
    ----------
    pretrained : Pretrained
    """

    def __init__(self, pretrained: Pretrained) -> None:
        self.pretrained = pretrained

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The linear layers."""
        return self.pretrained.layers

    @cached_property
    def _smoothed(self) -> Pretrained:
        return smoothed(self.pretrained)

    def write(self, variant: Variant, out: Path) -> Artifact:
        """Write a variant's artifact into an empty directory.

        Raises
        ------
        EngineError
            If a layer is unknown, or torch has no INT8 kernels here.
        CheckpointError
            If the tokenizer cannot be kept in a file.
        """
        import torch

        pretrained = self.pretrained
        tensors, facts = self._tensors(variant)
        info = ArtifactInfo(
            variant=variant,
            engine_version=torch.__version__,
            labels=pretrained.checkpoint.labels,
            parameters=pretrained.parameters,
            tokens=save_tokens(pretrained, out),
            checkpoint_sha256=pretrained.checkpoint.content_sha256,
            **facts,
        )
        pretrained.module.config.to_json_file(out / CONFIG)
        _save(tensors, out / WEIGHTS)
        describe_artifact(out, info)
        return Artifact(out, info)

    def _tensors(self, variant: Variant) -> tuple[Mapping[str, Any], dict[str, Any]]:
        if variant.precision == "fp32":
            return state(self.pretrained.module), {"kernels": _FP32}
        if variant.precision == "bf16":
            return halved(self.pretrained.module), {"kernels": BF16}
        kernels, bits = _kernels_here()
        check_layers(variant.kept_fp32, self.layers)
        module = (self._smoothed if variant.smoothed else self.pretrained).module
        tensors, count = quantize(module, kept_fp32=variant.kept_fp32, weight_bits=bits)
        return tensors, {
            "kernels": kernels.describe(weight_bits=bits),
            "quantized_engine": kernels.backend,
            "dot_products": bits == 8,
            "int8_share": count / max(1, sum(layer.weights for layer in self.layers)),
        }


class TorchPredictor:
    """An artifact in memory; see `goemo_eval.engines.base.Predictor`.

    Parameters
    ----------
    info : ArtifactInfo
    module : transformers.PreTrainedModel
    tokens : Tokens
    kernels : Kernels or None
        Of INT8; None in FP32 and BF16.
    """

    def __init__(
        self, info: ArtifactInfo, module: Any, tokens: Tokens, kernels: Kernels | None
    ) -> None:
        import torch

        self.info = info
        self.runtime = Runtime(
            engine="torch",
            version=torch.__version__,
            kernels=kernels.describe(weight_bits=_weight_bits(info)) if kernels else info.kernels,
            quantized_engine=kernels.backend if kernels else None,
            isa=torch.backends.cpu.get_cpu_capability(),
        )
        self.module = module
        self._tokens = tokens

    def prepare(self, texts: Sequence[str], *, shape: Shape = "scored") -> list[TokenBatch]:
        """Return padded batches of the texts."""
        return self._tokens.batches(texts, shape=shape)

    def run(self, batches: Sequence[TokenBatch]) -> list[npt.NDArray[np.float32]]:
        """Return each batch's logits, shape (B, K)."""
        return [logits_of(self.module, batch) for batch in batches]


def logits_of(module: Any, batch: TokenBatch) -> npt.NDArray[np.float32]:
    """Return a module's logits of a batch, shape (B, K)."""
    import torch

    with torch.inference_mode():
        out = module(**{name: torch.from_numpy(array) for name, array in batch.inputs.items()})
    found: npt.NDArray[np.float32] = out.logits.numpy()
    return found


def convert(
    checkpoint: Checkpoint,
    variant: Variant,
    out: Path,
    *,
    calibration: Sequence[str] = (),
    threads: int,
) -> Artifact:
    """Write a complete artifact into an empty directory; see `converter`."""
    return converter(checkpoint, calibration=calibration, threads=threads).write(variant, out)


def converter(
    checkpoint: Checkpoint, *, calibration: Sequence[str] = (), threads: int
) -> TorchConverter:
    """Load a checkpoint, to write any of its variants.

    Parameters
    ----------
    checkpoint : Checkpoint
    calibration : sequence of str, default ()
        Not needed: activations are scaled as they come.
    threads : int
        For the whole process, since torch has one pool.

    Raises
    ------
    CheckpointError
        If weights, tokenizer and labels do not belong together.
    """
    import torch

    del calibration
    torch.set_num_threads(threads)
    return TorchConverter(load_pretrained(checkpoint))


def load(artifact: Artifact, *, threads: int) -> TorchPredictor:
    """Load an artifact.

    INT8 that was made with dot-product instructions has weights of 8 bits. On a CPU without them
    its activations take 7 bits, since sums would saturate: the logits are then a little others
    than those that were scored, and `TorchPredictor.runtime` says so. INT8 that was made without
    has weights of 7 bits, and computes the same everywhere.

    Parameters
    ----------
    artifact : Artifact
    threads : int
        For the whole process, since torch has one pool.

    Raises
    ------
    EngineError
        If the files do not make a model, or torch has no INT8 kernels here.
    """
    import torch

    torch.set_num_threads(threads)
    info, path = artifact.info, artifact.path
    if info.tokens is None:
        raise EngineError(f"{path}: says nothing of its tokens: export the cell again")
    kernels = None
    if info.variant.precision == "int8":
        kernels = find_kernels(weight_bits=_weight_bits(info), dot_products=has_dot_products())
    try:
        module = fill(_skeleton(path), _read(path / WEIGHTS), kernels).eval()
        if info.variant.precision == "bf16":
            module = multiply_in_bf16(module)
        module = restore_pooling(module)
    except EngineError as error:
        raise EngineError(f"{path / WEIGHTS}: {error}: export the cell again") from None
    return TorchPredictor(info, module, Tokens(path, info.tokens), kernels)


def describe() -> str:
    """Say version, instruction set and INT8 backends in a line."""
    import torch

    backends = torch.backends.quantized
    supported = ", ".join(e for e in backends.supported_engines if e != "none") or "none"
    return (
        f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
        f"INT8 by {backends.engine} (of {supported})"
    )


_FP32 = "fp32"


def _kernels_here() -> tuple[Kernels, int]:
    """Return this CPU's INT8 kernels, and how many bits weights may have for it."""
    bits = 8 if has_dot_products() else 7
    return find_kernels(weight_bits=bits, dot_products=bits == 8), bits


def _weight_bits(info: ArtifactInfo) -> int:
    return 8 if info.dot_products else 7


def _skeleton(path: Path) -> Any:
    """Build an artifact's model without memory for its tensors."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    register_static()
    with quiet_transformers():
        config = AutoConfig.from_pretrained(path, local_files_only=True)
        with torch.device("meta"):
            module = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    if getattr(config, POOLING, None) == "mean" and hasattr(module.base_model, "pooler"):
        module.base_model.pooler = None  # it is not among the tensors; `restore_pooling` needs them
    return module


def _save(tensors: Mapping[str, Any], file: Path) -> None:
    """Write tensors, each once, however many names it has."""
    from safetensors.torch import save_file

    first: dict[tuple[Any, ...], str] = {}
    kept, same = {}, {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and (other := first.setdefault(place, name)) != name:
            same[name] = other
        else:
            kept[name] = tensor.clone()  # safetensors refuses parts of one memory
    # One entry only: safetensors writes several in any order, and the same model other bytes.
    save_file(kept, file, metadata={_SAME: json.dumps(same)} if same else {"format": "pt"})


def _read(file: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            same = json.loads((opened.metadata() or {}).get(_SAME, "{}"))
    except (SafetensorError, OSError) as error:
        raise EngineError(f"cannot be read ({error})") from None
    return tensors | {name: tensors[other] for name, other in same.items()}

"""INT8 layers in torch: weights of 8 bits by output channel, activations of 8 bits by token.

torch's own dynamic layers give all tokens of a batch one scale. Here each token is divided by its
largest value before the product and multiplied by it after, as torchao does: outliers of one token
cost the others nothing, and a text's logits do not depend on what shares its batch.

Sums of two products must fit 16 bits on a CPU without dot-product instructions, or they saturate.
Weights of 7 bits leave activations their 8, which are worth more: a channel has a scale of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from goemo_eval.errors import EngineError

Tensors = dict[str, Any]
"""Name -> torch.Tensor."""
_LEAST = 1e-12  # of a token's largest value: a token of zeros is divided by it
_EPSILON = 2.0**-23  # float32's, torch's own least scale
_STATIC = ("x86", "fbgemm", "onednn")
"""Backends with a product that takes a scale of the activations in place of looking for one."""


class Kernels(NamedTuple):
    """What multiplies INT8 here.

    Attributes
    ----------
    backend : str
        torch's quantized engine, or ``torchao``.
    activation_bits : int
    """

    backend: str
    activation_bits: int

    def describe(self, *, weight_bits: int) -> str:
        """Say it in words."""
        return (
            f"int8 linear, {weight_bits}-bit weights per channel, {self.activation_bits}-bit "
            f"activations per token ({self.backend}), int8 embedding rows"
        )


def find_kernels(*, weight_bits: int, dot_products: bool) -> Kernels:
    """Find what multiplies INT8 here.

    Parameters
    ----------
    weight_bits : int
        8 or 7, of the weights at hand.
    dot_products : bool
        Whether this CPU has instructions for them. Without, activations have 7 bits where weights
        have 8.

    Raises
    ------
    EngineError
        If torch has no INT8 products here, and torchao is not installed.
    """
    import torch

    bits = 8 if dot_products or weight_bits < 8 else 7
    backend = torch.backends.quantized.engine
    if backend not in ("none", "NoQEngine") and _torch_multiplies():
        return Kernels(backend, bits)
    try:
        import torchao  # noqa: F401
    except ImportError:
        raise EngineError(
            "this torch has no INT8 kernels here: pip install 'goemo-eval[torchao]', or choose fp32"
        ) from None
    return Kernels("torchao", bits)


def _torch_multiplies() -> bool:
    import torch

    return hasattr(torch.ops.quantized, "linear_prepack")


def state(module: Any) -> Tensors:
    """Return a module's parameters and buffers by every name that they have.

    Buffers that transformers does not save are among them: a module that is built without memory
    cannot compute them.
    """
    return {
        name: tensor.detach()
        for name, tensor in (
            *module.named_parameters(remove_duplicate=False),
            *module.named_buffers(remove_duplicate=False),
        )
    }


def quantize(
    module: Any, *, kept_fp32: Collection[str] = (), weight_bits: int = 8
) -> tuple[Tensors, int]:
    """Quantize a module's linear layers and embedding tables.

    Parameters
    ----------
    module : torch.nn.Module
        Is left as it is; what is not quantized is shared with it. Subclasses of ``Linear`` and
        ``Embedding`` stay in FP32: their forward passes do more.
    kept_fp32 : collection of str, default ()
        Linear layers to leave.
    weight_bits : int, default 8
        Of the linear layers.

    Returns
    -------
    tensors : dict of str to torch.Tensor
        As `state` of the module; of a quantized layer, ``weight`` is int8, and ``scale`` is new:
        float32 of shape (out,) of a linear layer, (rows, 1) of a table.
    int
        Number of the linear layers' weights that are INT8.
    """
    tensors = state(module)
    kept = {id(module.get_submodule(name)) for name in kept_fp32}
    made: dict[Any, tuple[Any, Any]] = {}  # weights that several layers share are quantized once
    count = 0
    for name, layer in module.named_modules(remove_duplicate=False):
        kind = kind_of(layer)
        if kind is None or id(layer) in kept:
            continue
        weight = layer.weight.detach()
        key = kind, weight.data_ptr()
        if key not in made:
            made[key] = _int8(weight, weight_bits) if kind == "linear" else _int8_rows(weight)
            count += weight.numel() if kind == "linear" else 0
        tensors[f"{name}.weight"], tensors[f"{name}.scale"] = made[key]
    return tensors, count


def kind_of(layer: Any) -> str | None:
    """Return what of a model can be had in fewer bits: ``linear`` or ``embedding`` layers, or None."""
    import torch

    if type(layer) is torch.nn.Linear:
        return "linear"
    if type(layer) is torch.nn.Embedding and layer.max_norm is None:
        return "embedding"
    return None


def _int8(weight: Any, bits: int) -> tuple[Any, Any]:
    """Return weights as int8 and their scales by output channel; with 8 bits, torch's own values."""
    import torch

    top = 2 ** (bits - 1)
    scale = (weight.abs().amax(dim=1) / (top - 0.5)).clamp(min=_EPSILON)
    steps = (weight * scale.reciprocal().unsqueeze(1)).round_().clamp_(-top, top - 1)
    return steps.to(torch.int8), scale


def _int8_rows(weight: Any) -> tuple[Any, Any]:
    import torch

    scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=_LEAST) / 127
    return (weight / scale).round_().to(torch.int8), scale


def fill(skeleton: Any, tensors: Mapping[str, Any], kernels: Kernels | None) -> Any:
    """Give a module its tensors, and INT8 layers where they are int8.

    Parameters
    ----------
    skeleton : torch.nn.Module
        Changed in place; its own tensors need no memory.
    tensors : mapping of str to torch.Tensor
        Of `state` or `quantize`.
    kernels : Kernels or None
        None where nothing is int8.

    Returns
    -------
    torch.nn.Module
        The same one.

    Raises
    ------
    EngineError
        If a tensor is missing, left over, or of another shape.
    """
    import torch

    left = dict(tensors)
    for name, layer in list(skeleton.named_modules(remove_duplicate=False)):
        if f"{name}.scale" in left and kind_of(layer) is not None:
            skeleton.set_submodule(name, _layer(name, layer, left, kernels))
    for name, module, leaf, like in list(_slots(skeleton)):
        found = _take(left, name, like)
        if leaf in module._buffers:
            module._buffers[leaf] = found
        else:
            module._parameters[leaf] = torch.nn.Parameter(found, requires_grad=False)
    if left:
        raise EngineError(f"tensor {min(left)} belongs to no part of the model")
    return skeleton


def _slots(module: Any) -> Iterator[tuple[str, Any, str, Any]]:
    """Yield what a module is still to be given: its name, owner, attribute, and the tensor there."""
    for prefix, owner in module.named_modules(remove_duplicate=False):
        if isinstance(owner, _modules()):
            continue
        for leaf, tensor in (*owner._parameters.items(), *owner._buffers.items()):
            if tensor is not None:
                yield f"{prefix}.{leaf}" if prefix else leaf, owner, leaf, tensor


def _take(tensors: Tensors, name: str, like: Any) -> Any:
    found = tensors.pop(name, None)
    if found is None or found.shape != like.shape:
        said = "missing" if found is None else f"of shape {tuple(found.shape)}"
        raise EngineError(f"tensor {name} is {said}, expected shape {tuple(like.shape)}")
    return found


def _layer(name: str, layer: Any, tensors: Tensors, kernels: Kernels | None) -> Any:
    """Take a layer's tensors, and return it in INT8."""
    modules = _modules()
    weight, scale = _take(tensors, f"{name}.weight", layer.weight), tensors.pop(f"{name}.scale")
    if kind_of(layer) == "embedding":
        return modules.embedding(weight, scale)
    if kernels is None:
        raise EngineError(f"tensor {name}.weight is int8 in a model that should be fp32")
    bias = None if layer.bias is None else _take(tensors, f"{name}.bias", layer.bias)
    kind = modules.torchao_linear if kernels.backend == "torchao" else modules.packed_linear
    return kind(weight, scale, bias, kernels)


class _Modules(NamedTuple):
    packed_linear: type
    torchao_linear: type
    embedding: type


@cache
def _modules() -> _Modules:
    """Return the classes of INT8 layers; they are made here because torch is loaded on use only."""
    import torch

    class PackedLinear(torch.nn.Module):  # type: ignore[misc]
        """A linear layer by torch's own INT8 kernels."""

        def __init__(self, weight: Any, scale: Any, bias: Any, kernels: Kernels) -> None:
            super().__init__()
            self.out_features, self.in_features = weight.shape
            self.bias = bias
            zeros = torch.zeros(len(scale), dtype=torch.int64)
            with warnings.catch_warnings():
                # They work in every version that we allow, whatever torch says of their future.
                warnings.filterwarnings("ignore", message=".*quantized tensor creation functions")
                steps = torch._make_per_channel_quantized_tensor(weight, scale.double(), zeros, 0)
            self.packed = torch.ops.quantized.linear_prepack(steps, None)
            self.top = 2 ** (kernels.activation_bits - 1)
            self.static = kernels.backend in _STATIC

        def forward(self, x: Any) -> Any:
            largest = x.abs().amax(dim=-1, keepdim=True).clamp_(min=_LEAST)
            tokens, ops = x / largest, torch.ops.quantized  # tokens lie in [-1, 1]
            if self.static:
                y = ops.linear_with_input_q_dq_qweight_dq_output_fp32(
                    tokens, 1 / (self.top - 1), self.top, self.packed
                )
            else:
                y = ops.linear_dynamic(tokens, self.packed, reduce_range=self.top < 128)
            return y * largest if self.bias is None else torch.addcmul(self.bias, y, largest)

        @property
        def weight(self) -> Any:
            """The weights in FP32, for code that reads them itself."""
            return torch.ops.quantized.linear_unpack(self.packed)[0].dequantize()

    class TorchaoLinear(torch.nn.Module):  # type: ignore[misc]
        """A linear layer by torchao, for a torch that no longer has kernels of its own."""

        def __init__(self, weight: Any, scale: Any, bias: Any, kernels: Kernels) -> None:
            from torchao.quantization import Int8Tensor, PerRow
            from torchao.quantization.quantize_.workflows import QuantizeTensorToInt8Kwargs

            super().__init__()
            self.out_features, self.in_features = weight.shape
            self.bias = bias
            self.weight = Int8Tensor(
                weight,
                scale.unsqueeze(1),
                [1, self.in_features],
                torch.float32,
                act_quant_kwargs=QuantizeTensorToInt8Kwargs(
                    granularity=PerRow(), reduce_range=kernels.activation_bits < 8
                ),
            )

        def forward(self, x: Any) -> Any:
            return torch.nn.functional.linear(x, self.weight, self.bias)

    class Int8Embedding(torch.nn.Module):  # type: ignore[misc]
        """An embedding whose table is int8 with one scale per row."""

        def __init__(self, rows: Any, scale: Any) -> None:
            super().__init__()
            self.num_embeddings, self.embedding_dim = rows.shape
            self.rows, self.scale = rows, scale

        def forward(self, ids: Any) -> Any:
            return self.rows[ids] * self.scale[ids]

        @property
        def weight(self) -> Any:
            """The table in FP32, for code that reads it itself."""
            return self.rows * self.scale

    return _Modules(PackedLinear, TorchaoLinear, Int8Embedding)

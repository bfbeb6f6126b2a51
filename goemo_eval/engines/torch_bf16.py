"""BF16 layers in torch: an encoder's linear layers and embedding tables have weights of 16 bits.

Products are bfloat16 by oneDNN, with sums in FP32. What stands between them (attention's softmax, layer norms, the
residual stream) and the head stay in FP32: a logit that is rounded to 8 bits ties with its threshold.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from goemo_eval.engines.torch_int8 import Tensors, kind_of, state
from goemo_eval.errors import EngineError

KERNELS = "bf16 linear, bf16 embedding rows, head and all else fp32 (oneDNN)"
_ROWS = 512  # tokens that oneDNN is told to lay the weights out for


def halved(module: Any) -> Tensors:
    """Return a module's tensors, with the weights of its encoder's layers in bfloat16.

    Parameters
    ----------
    module : transformers.PreTrainedModel
        Is left as it is. Subclasses of ``Linear`` and ``Embedding`` stay in FP32: their forward passes do more.

    Returns
    -------
    dict of str to torch.Tensor
        As `goemo_eval.engines.torch_int8.state` of the module.
    """
    import torch

    tensors = state(module)
    inside = set(module.base_model.modules())
    made: dict[int, Any] = {}  # weights that several layers share are one tensor
    for name, layer in module.named_modules(remove_duplicate=False):
        if layer in inside and kind_of(layer) is not None:
            weight = layer.weight.detach()
            half = made.setdefault(weight.data_ptr(), weight.to(torch.bfloat16).contiguous())
            tensors[f"{name}.weight"] = half
    return tensors


def multiply_in_bf16(module: Any) -> Any:
    """Give a module layers that multiply in bfloat16, where its weights are.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.

    Returns
    -------
    torch.nn.Module
        The same one.

    Raises
    ------
    EngineError
        If this torch was built without oneDNN, or no weight is bfloat16.
    """
    import torch

    if not torch.backends.mkldnn.is_available():
        raise EngineError(
            "this torch has no bfloat16 products (it was built without oneDNN): choose fp32"
        )
    made: dict[int, Any] = {}  # layers that are passed from several places stay one
    for name, layer in list(module.named_modules(remove_duplicate=False)):
        kind = kind_of(layer)
        if kind is None or layer.weight.dtype != torch.bfloat16:
            continue
        if id(layer) not in made:
            made[id(layer)] = getattr(_modules(), kind)(layer)
        module.set_submodule(name, made[id(layer)])
    if not made:
        raise EngineError("no weight is bfloat16 in a model that should be bf16")
    return module


class _Modules(NamedTuple):
    linear: type
    embedding: type


@cache
def _modules() -> _Modules:
    """Return the classes of BF16 layers; they are made here because torch is loaded on use only."""
    import torch

    class Bf16Linear(torch.nn.Module):  # type: ignore[misc]
        """A linear layer by oneDNN, which lays the weights out once and not at every call."""

        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.out_features, self.in_features = layer.weight.shape
            self.bias = layer.bias
            weight = layer.weight.detach()
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)

        def forward(self, x: Any) -> Any:
            halves = x.to(torch.bfloat16)
            product = torch.ops.mkldnn._linear_pointwise
            y = product(halves, self.packed, None, "none", [], "").float()
            return y if self.bias is None else y.add_(self.bias)

        @property
        def weight(self) -> Any:
            """The weights in FP32, for code that reads them itself."""
            return self.packed.to_dense().float()

    class Bf16Embedding(torch.nn.Module):  # type: ignore[misc]
        """An embedding whose table is bfloat16, and whose vectors are FP32."""

        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.num_embeddings, self.embedding_dim = layer.weight.shape
            self.rows = layer.weight.detach()

        def forward(self, ids: Any) -> Any:
            return torch.nn.functional.embedding(ids, self.rows).float()

        @property
        def weight(self) -> Any:
            """The table in FP32, for code that reads it itself."""
            return self.rows.float()

    return _Modules(Bf16Linear, Bf16Embedding)

"""How far the logits move when one linear layer alone is quantized: of every layer, by two passes.

A layer's error in INT8 is what its outputs move by; what that does to the logits is, to first
order, their gradient. Random signs in place of the logits' gradients give the expected square of
the whole move from one pass back, for all layers at once and for each text apart. Layer by layer
it would take a forward pass each, of which a MobileBERT has four hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from goemo_eval.cpu import has_dot_products
from goemo_eval.engines.torch_int8 import quantize
from goemo_eval.models.pretrained import Pretrained
from goemo_eval.models.probing import encode

DRAWS = 2
_BATCH = 16
_LEAST = 1e-12


def rank_layers(
    pretrained: Pretrained, texts: Sequence[str], *, per_token: bool
) -> tuple[str, ...]:
    """Rank linear layers by how far the logits move, per weight, when only that layer is quantized.

    Parameters
    ----------
    pretrained : Pretrained
    texts : sequence of str
        Not of the test split.
    per_token : bool
        Whether activations have a scale per token, as in our torch engine, or one per batch.

    Returns
    -------
    tuple of str
        Names, the most sensitive first, by the mean squared move of the logits over the layer's
        number of weights. Moves of several layers about add up, so that a head of this ranking
        takes most of them away for the weights that it costs.
    """
    moved = sensitivity(pretrained, texts, per_token=per_token)
    weights = {layer.name: layer.weights for layer in pretrained.layers}
    return tuple(sorted(weights, key=lambda name: -moved.get(name, 0.0) / weights[name]))


def sensitivity(
    pretrained: Pretrained, texts: Sequence[str], *, per_token: bool, seed: int = 0
) -> dict[str, float]:
    """Return the mean squared move of the logits by layer that is quantized alone.

    Parameters
    ----------
    pretrained, texts, per_token
        See `rank_layers`.
    seed : int, default 0
        Of the random signs.

    Returns
    -------
    dict of str to float
        By the names of torch's modules; layers that were not called are left out.
    """
    import torch

    module, checkpoint = pretrained.module, pretrained.checkpoint
    tensors, _ = quantize(module, weight_bits=8 if has_dot_products() else 7)
    weights = {
        layer.name: tensors[f"{layer.name}.weight"] * tensors[f"{layer.name}.scale"].unsqueeze(1)
        for layer in pretrained.layers
        if f"{layer.name}.scale" in tensors
    }
    moves = _Moves(weights, per_token=per_token)
    generator, found = torch.Generator().manual_seed(seed), dict.fromkeys(weights, 0.0)
    hooks = [module.get_submodule(name).register_forward_hook(moves.hook(name)) for name in weights]
    required = {p: p.requires_grad for p in module.parameters()}
    module.requires_grad_(False)  # only outputs need a gradient
    try:
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            inputs = encode(module, pretrained.tokenizer, batch, max_length=checkpoint.max_length)
            logits = module(**inputs).logits
            for draw in range(DRAWS):
                signs = torch.randint(0, 2, logits.shape, generator=generator) * 2.0 - 1
                logits.backward(signs, retain_graph=draw < DRAWS - 1)
                for name, squared in moves.take():
                    found[name] += squared / (DRAWS * len(texts))
    finally:
        for hook in hooks:
            hook.remove()
        for parameter, was in required.items():
            parameter.requires_grad_(was)
    return found


class _Moves:
    """What quantizing each layer alone moves the sum of signed logits by, text by text."""

    def __init__(self, weights: dict[str, Any], *, per_token: bool) -> None:
        self.weights, self.per_token = weights, per_token
        self.sums: dict[str, Any] = {}

    def hook(self, name: str) -> Any:
        import torch

        linear = torch.nn.functional.linear

        def forward(layer: Any, args: Any, out: Any) -> Any:
            with torch.no_grad():
                rounded = _rounded(args[0], per_token=self.per_token)
                error = linear(rounded, self.weights[name], layer.bias) - out

            def backward(gradient: Any) -> None:
                sums = (gradient * error).flatten(1).sum(dim=1)
                self.sums[name] = self.sums.get(name, 0) + sums  # a shared layer is called again

            if out.requires_grad:
                out.register_hook(backward)
                return None
            # What comes first in a model depends on nothing that needs a gradient. The model is
            # given a copy, which it may change in place.
            first = out.requires_grad_(True)
            first.register_hook(backward)
            return first.clone()

        return forward

    def take(self) -> list[tuple[str, float]]:
        """Return the sum of squares over the batch's texts, and begin anew."""
        found = [(name, float(sums.square().sum())) for name, sums in self.sums.items()]
        self.sums.clear()
        return found


def _rounded(x: Any, *, per_token: bool) -> Any:
    """Return activations as 8 bits hold them."""
    import torch

    if per_token:
        step = x.abs().amax(dim=-1, keepdim=True).clamp(min=_LEAST) / 127
        return (x / step).round_().mul_(step)
    low, high = torch.aminmax(x)
    step = (high.clamp(min=0) - low.clamp(max=0)).clamp(min=_LEAST) / 255
    return (x / step).round_().mul_(step)

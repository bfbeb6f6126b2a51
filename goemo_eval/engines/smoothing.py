"""Exact rescaling of a model before INT8: outliers are spread, and the function stays what it is.

Attention averages the channels of its value projection and hands them to its output projection: a
channel that is divided on the one side and multiplied on the other changes nothing. The same holds
between queries and keys, whose channels meet in a dot product. A channel a hundred times as large
as its neighbours, which costs them their bits where all share a scale, so becomes one of many.

Factors balance the weights of either side, after Nagel et al., "Data-Free Quantization through
Weight Equalization and Bias Correction", ICCV 2019. They are powers of two: in floating point
not a single bit of the logits moves.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from goemo_eval.models.pretrained import Pretrained
from goemo_eval.models.probing import encode

_QUERIES = ("query", "q_lin", "q_proj", "query_proj", "q_head", "q")
_KEYS = ("key", "k_lin", "k_proj", "key_proj", "k_head", "k")
_VALUES = ("value", "v_lin", "v_proj", "value_proj", "v_head", "v")
_OUTPUTS = ("out_lin", "out_proj", "o_proj", "post_proj", "o", "output.dense", "dense")
"""Of the module that holds the value projection, or of the one around it."""
_TEXTS = (
    "nobody expected that the second half of it would be so much better than the first",
    "thank you",
)
_TOLERANCE = 1e-4  # of the logits' spread
_LEAST = 1e-12


class Pair(NamedTuple):
    """Two linear layers between which channels can be rescaled.

    Attributes
    ----------
    before, after : torch.nn.Linear
    meet : bool
        Whether their outputs meet in a dot product, as of queries and keys; otherwise the one's
        outputs, averaged, are the other's inputs.
    """

    before: Any
    after: Any
    meet: bool


def smoothed(pretrained: Pretrained) -> Pretrained:
    """Return a checkpoint with its model rescaled, or the given one itself if there is nothing to rescale."""
    module = copy.deepcopy(pretrained.module)
    if not smooth(module, encode(module, pretrained.tokenizer, list(_TEXTS))):
        return pretrained
    return replace(pretrained, module=module)


def smooth(module: Any, inputs: Mapping[str, Any]) -> int:
    """Rescale a model in place so that no channel of its attention stands out.

    Parameters
    ----------
    module : transformers.PreTrainedModel
        In evaluation mode.
    inputs : mapping of str to torch.Tensor
        What it is called with to see that the logits stay.

    Returns
    -------
    int
        Pairs of layers that were rescaled. 0 where nothing stands out, where attention has no
        linear layers of the usual names, or where the logits would change, as they do where a dot
        product turns its keys by their positions: the weights are then what they were.
    """
    pairs = find_pairs(module)
    return sum(
        _rescale_if_exact(module, [pair for pair in pairs if pair.meet is meet], inputs)
        for meet in (False, True)
    )


def find_pairs(module: Any) -> list[Pair]:
    """Return the pairs that the names of a model's layers tell, each once."""
    found: dict[tuple[int, int], Pair] = {}
    for name, attention in module.named_modules():
        query, key, value = (_linear(attention, names) for names in (_QUERIES, _KEYS, _VALUES))
        if query is None or key is None or value is None:
            continue
        around = module.get_submodule(name.rpartition(".")[0])
        output = _linear(attention, _OUTPUTS) or _linear(around, _OUTPUTS)
        if output is not None and output.in_features == value.out_features:
            found[id(value), id(output)] = Pair(value, output, meet=False)
        if query.out_features == key.out_features:
            found[id(query), id(key)] = Pair(query, key, meet=True)
    return list(found.values())


def _linear(module: Any, names: Sequence[str]) -> Any | None:
    """Return the first plain linear layer of these names in a module."""
    import torch

    for name in names:
        found = module
        for part in name.split("."):
            found = getattr(found, part, None)
        if type(found) is torch.nn.Linear:
            return found
    return None


def _rescale_if_exact(module: Any, pairs: Sequence[Pair], inputs: Mapping[str, Any]) -> int:
    """Rescale pairs, and take it back if the logits tell; return how many were changed."""
    import torch

    kept = [(tensor, tensor.clone()) for pair in pairs for tensor in _tensors(pair)]
    with torch.inference_mode():
        before = module(**inputs).logits
        changed = sum(_rescale(pair) for pair in pairs)
        if not changed:
            return 0
        moved = (module(**inputs).logits - before).abs().max()
        if moved <= _TOLERANCE * before.std():
            return changed
        for tensor, was in kept:
            tensor.copy_(was)
    return 0


def _tensors(pair: Pair) -> Iterator[Any]:
    for layer in (pair.before, pair.after):
        yield layer.weight.detach()
        if layer.bias is not None:
            yield layer.bias.detach()


def _rescale(pair: Pair) -> bool:
    """Divide channels of the one, and multiply those of the other, where that balances them."""
    before, after = pair.before, pair.after
    ours = before.weight.norm(dim=1)
    theirs = after.weight.norm(dim=1 if pair.meet else 0)
    if before.bias is not None:
        ours = ours + before.bias.abs()
    factors = (ours.clamp(min=_LEAST) / theirs.clamp(min=_LEAST)).log2().div(2).round().exp2()
    before.weight.div_(factors.unsqueeze(1))
    after.weight.mul_(factors.unsqueeze(1) if pair.meet else factors)
    if before.bias is not None:
        before.bias.div_(factors)
    if pair.meet and after.bias is not None:
        after.bias.mul_(factors)
    return bool((factors != 1).any())

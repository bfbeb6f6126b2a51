"""An encoder with some of its layers: ``minilm@3`` has three of MiniLM's six, ``minilm@0.2.5`` those named.

The layers are taken from the pretrained weights before fine-tuning, so that what is trained, converted
and deployed is a smaller model of the same architecture. Which layers to keep of a stack, and that
evenly spread ones serve: Sajjad et al., "On the Effect of Dropping Layers of Pre-trained Transformer
Models", arXiv 2004.03844.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from goemo_eval.errors import CheckpointError
from goemo_eval.frozen import MIXED

_STACKED = re.compile(r"^(\D*?\.)(\d+)(\..*)$")
_PER_LAYER = "layer_types"
"""The list of a config that says what each layer is, such as ModernBERT's."""


class Layers(NamedTuple):
    """Which layers of a stack are kept."""

    count: int  # type: ignore[assignment]
    named: tuple[int, ...] | None
    """Their indices from 0, or None where `count` of them are spread evenly."""

    def of(self, depth: int, *, encoder: str) -> tuple[int, ...]:
        """Return the indices that are kept of a stack of `depth` layers.

        Raises
        ------
        CheckpointError
            If the stack has too few.

        Examples
        --------
        >>> Layers(3, None).of(6, encoder="minilm")
        (0, 2, 5)
        >>> Layers(1, None).of(6, encoder="minilm")
        (0,)
        """
        if self.count > depth or max(self.named or (0,)) >= depth:
            asked = f"{self.count} layers" if self.named is None else f"layer {max(self.named)}"
            raise CheckpointError(
                f"encoder {encoder}: {asked} of a stack of {depth} (counted from 0): name fewer"
            )
        if self.named is not None:
            return self.named
        gaps = max(self.count - 1, 1)
        return tuple((i * (depth - 1)) // gaps for i in range(self.count))


def base_of(name: str) -> str:
    """Return the encoder whose layers a name takes: of ``minilm@3``, and with the floor beside it, ``minilm``.

    Examples
    --------
    >>> base_of("minilm@0.2.5"), base_of("minilm"), base_of("minilm@3+tfidf")
    ('minilm', 'minilm', 'minilm')
    """
    return name.removesuffix(MIXED).partition("@")[0]


def layers_of(name: str) -> Layers | None:
    """Return the layers that an encoder's name takes; None where it takes all.

    Raises
    ------
    CheckpointError
        If it takes none, or names one twice or out of order.

    Examples
    --------
    >>> layers_of("minilm@0.2.5")
    Layers(count=3, named=(0, 2, 5))
    """
    _, at, words = name.removesuffix(MIXED).partition("@")
    if not at:
        return None
    numbers = [int(word) for word in words.split(".")]
    if len(numbers) == 1:
        if numbers[0] < 1:
            raise CheckpointError(f"encoder {name}: expected 1 layer or more after the @")
        return Layers(numbers[0], None)
    if numbers != sorted(set(numbers)):
        raise CheckpointError(
            f"encoder {name}: name each layer once, from the lowest to the highest, as in minilm@0.2.5"
        )
    return Layers(len(numbers), tuple(numbers))


def shallower(config: Any, kept: Layers, *, encoder: str) -> tuple[int, ...]:
    """Lower a transformers config to the layers that are kept, in place, and return their indices.

    Raises
    ------
    CheckpointError
        If the architecture has no single stack of layers, or too few.
    """
    kind = config.model_type
    depth = getattr(config, "num_hidden_layers", None)
    if getattr(config, "is_encoder_decoder", False) or type(depth) is not int:
        raise CheckpointError(
            f"encoder {encoder}: {kind} is no single stack of layers: take it whole, without the @"
        )
    indices = kept.of(depth, encoder=encoder)
    try:
        config.num_hidden_layers = len(indices)
    except (NotImplementedError, AttributeError):
        raise CheckpointError(
            f"encoder {encoder}: the layers of {kind} cannot be counted: take it whole, without the @"
        ) from None
    listed = getattr(config, _PER_LAYER, None)
    if isinstance(listed, Sequence) and len(listed) == depth:
        setattr(config, _PER_LAYER, [listed[i] for i in indices])
    return indices


def keep_layers(
    tensors: Mapping[str, Any], indices: Sequence[int], *, depth: int, encoder: str
) -> dict[str, Any]:
    """Return the tensors of an encoder with some of its layers, renumbered from 0.

    Parameters
    ----------
    tensors : mapping of str to tensor
        Of the whole encoder. What belongs to no layer is kept as it is.
    indices : sequence of int
    depth : int
        Layers of the whole stack.
    encoder : str
        For messages.

    Raises
    ------
    CheckpointError
        If the stack is not found among the names.
    """
    stack = _stack(tensors, depth)
    if stack is None:
        if any("albert_layer_groups" in name for name in tensors):
            return dict(tensors)  # one shared layer, passed fewer times
        raise CheckpointError(
            f"encoder {encoder}: no stack of {depth} layers among its weights: take it whole, without the @"
        )
    place = {old: new for new, old in enumerate(indices)}
    kept = {}
    for name, tensor in tensors.items():
        found = _STACKED.match(name)
        if found is None or found[1] != stack:
            kept[name] = tensor
        elif (new := place.get(int(found[2]))) is not None:
            kept[f"{stack}{new}{found[3]}"] = tensor
    return kept


def _stack(names: Iterable[str], depth: int) -> str | None:
    """Return what stands before the layer's number, in the one stack of this depth."""
    numbers: dict[str, set[int]] = {}
    for name in names:
        if found := _STACKED.match(name):
            numbers.setdefault(found[1], set()).add(int(found[2]))
    whole = [prefix for prefix, found in numbers.items() if found == set(range(depth))]
    return whole[0] if len(whole) == 1 else None

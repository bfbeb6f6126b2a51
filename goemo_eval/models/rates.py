"""Learning rates by depth: lower layers, which hold what pretraining taught, move less."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_LAYER = re.compile(r"\.layers?\.(\d+)\.")


def rate_factors(
    names: Iterable[str], *, encoder: str, layer_decay: float, head_rate_factor: float
) -> dict[str, float]:
    """Return each parameter's learning rate over the recipe's.

    Layer-wise decay, as in Howard and Ruder, "Universal Language Model Fine-tuning for Text
    Classification", ACL 2018, and in ELECTRA's fine-tuning: with L layers, layer l of 1 to L has
    ``layer_decay ** (L - l)``, what lies below (the embeddings) ``layer_decay ** L``, what lies
    above (a pooler) 1. ALBERT's one shared layer counts as one.

    Parameters
    ----------
    names : iterable of str
        Parameter names of a model with a head.
    encoder : str
        Prefix of the encoder's names (transformers' ``base_model_prefix``): the rest is the head.
    layer_decay : float
        In ``(0, 1]``.
    head_rate_factor : float

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> names = ["b.embeddings.w", "b.encoder.layer.0.w", "b.encoder.layer.1.w", "head.w"]
    >>> rate_factors(names, encoder="b", layer_decay=0.5, head_rate_factor=10.0).values()
    dict_values([0.25, 0.5, 1.0, 10.0])
    """
    names = list(names)
    layers = {int(found[1]) for name in names if (found := _LAYER.search(name))}
    shared = any("albert_layer_groups" in name for name in names)
    n_layers = 1 if shared else len(layers)

    def factor(name: str) -> float:
        if not name.startswith(f"{encoder}."):
            return head_rate_factor
        if shared:
            depth = 1 if "albert_layer_groups" in name or "pooler" in name else 0
        elif found := _LAYER.search(name):
            depth = int(found[1]) + 1
        else:
            depth = 0 if "embedding" in name else n_layers
        return float(layer_decay ** (n_layers - depth))

    return {name: factor(name) for name in names}


def parameter_groups(
    model: Any,
    *,
    decayed: Iterable[str],
    learning_rate: float,
    weight_decay: float,
    layer_decay: float,
    head_rate_factor: float,
) -> list[dict[str, Any]]:
    """Group a model's trainable parameters by rate and weight decay, for an optimizer.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    decayed : iterable of str
        Names of the parameters that weight decay applies to.
    learning_rate, weight_decay, layer_decay, head_rate_factor : float

    Returns
    -------
    list of dict
        With ``params``, ``lr`` and ``weight_decay``, in a fixed order.
    """
    decayed = set(decayed)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    factors = rate_factors(
        trained,
        encoder=model.base_model_prefix,
        layer_decay=layer_decay,
        head_rate_factor=head_rate_factor,
    )
    groups: dict[tuple[float, bool], list[Any]] = {}
    for name, parameter in trained.items():
        groups.setdefault((factors[name], name in decayed), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": learning_rate * factor,
            "weight_decay": weight_decay if with_decay else 0.0,
        }
        for (factor, with_decay), parameters in groups.items()
    ]

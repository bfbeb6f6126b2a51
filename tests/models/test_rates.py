from __future__ import annotations

import pytest
import torch

from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.rates import parameter_groups, rate_factors
from goemo_eval.models.weights import Weights, build_model

LAYERS = {"albert": 1, "distilbert": 6, "minilm": 6, "mobilebert": 24}


@pytest.mark.parametrize("name", LAYERS)
def test_every_encoder_has_a_rate_per_depth(name: str) -> None:
    with torch.device("meta"):
        model = build_model(
            get_encoder(name), Weights("random", "random"), ("a", "b"), kind="multilabel"
        )
    names = [n for n, _ in model.named_parameters()]
    factors = rate_factors(
        names, encoder=model.base_model_prefix, layer_decay=0.5, head_rate_factor=10.0
    )
    assert factors.keys() == set(names)
    assert {n for n in names if factors[n] == 10.0} == {
        n for n in names if n.split(".")[0] in ("classifier", "pre_classifier")
    }
    below = [0.5**depth for depth in range(LAYERS[name] + 1)]
    assert sorted(set(factors.values()), reverse=True) == [10.0, *below]
    embedding = next(n for n in names if "word_embeddings" in n)
    assert factors[embedding] == below[-1]


def test_groups_hold_every_parameter_once() -> None:
    with torch.device("meta"):
        model = build_model(
            get_encoder("minilm"), Weights("random", "random"), ("a",), kind="multilabel"
        )
    decayed = {n for n, p in model.named_parameters() if p.ndim > 1}
    groups = parameter_groups(
        model,
        decayed=decayed,
        learning_rate=1e-3,
        weight_decay=0.1,
        layer_decay=0.9,
        head_rate_factor=2.0,
    )
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    for group in groups:
        assert len({p.ndim > 1 for p in group["params"]}) == 1
        assert group["weight_decay"] == (0.1 if group["params"][0].ndim > 1 else 0.0)
    assert max(group["lr"] for group in groups) == pytest.approx(2e-3)
    assert min(group["lr"] for group in groups) == pytest.approx(1e-3 * 0.9**6)

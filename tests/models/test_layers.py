from __future__ import annotations

import itertools
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.errors import CheckpointError
from goemo_eval.frozen import ENCODER_NAME
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.layers import Layers, base_of, keep_layers, layers_of
from goemo_eval.models.weights import Weights, build_model, find_weights

LABELS = ("a", "b", "c")


@given(st.integers(1, 48), st.data())
def test_layers_are_spread_evenly_from_the_first_to_the_last(
    depth: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, depth))
    kept = Layers(count, None).of(depth, encoder="e")
    assert len(set(kept)) == count
    assert kept[0] == 0
    if count > 1:
        assert kept[-1] == depth - 1
        gaps = [b - a for a, b in itertools.pairwise(kept)]
        assert max(gaps) - min(gaps) <= 1
    assert Layers(count, kept).of(depth, encoder="e") == kept


def test_names() -> None:
    assert layers_of("minilm") is None
    assert layers_of("minilm@3") == Layers(3, None)
    assert layers_of("minilm@1.4") == Layers(2, (1, 4))
    assert base_of("minilm@1.4") == base_of("minilm") == "minilm"
    for name in ("minilm@", "minilm@x", "minilm@3.", "mini@lm@3", "@3", "minilm@-1", "minilm@٣"):
        assert not re.fullmatch(ENCODER_NAME, name)
        with pytest.raises(CheckpointError, match="encoder name"):
            get_encoder(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("minilm@0", "1 layer or more"),
        ("minilm@2.1", "from the lowest to the highest"),
        ("minilm@1.1", "each layer once"),
        ("tfidf@2", "no layers"),
        ("nobody@2", "unknown encoder"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(name: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        get_encoder(name)


@pytest.mark.parametrize(("name", "kept"), [("minilm@3", (0, 2, 5)), ("minilm@1.4", (1, 4))])
def test_minilm_with_some_of_its_layers_is_the_whole_one_with_the_others_left_out(
    name: str, kept: tuple[int, ...]
) -> None:
    weights = find_weights(get_encoder("minilm"))
    whole = build_model(get_encoder("minilm"), weights, LABELS, kind="multilabel")
    some = build_model(get_encoder(name), weights, LABELS, kind="multilabel")
    assert some.config.num_hidden_layers == len(some.bert.encoder.layer) == len(kept)
    whole.bert.encoder.layer = torch.nn.ModuleList([whole.bert.encoder.layer[i] for i in kept])
    ids = torch.tensor([[101, 7592, 2088, 102]])
    with torch.inference_mode():
        expected = whole.bert(input_ids=ids).last_hidden_state
        torch.testing.assert_close(some.bert(input_ids=ids).last_hidden_state, expected)


def test_more_layers_than_there_are() -> None:
    weights = find_weights(get_encoder("minilm"))
    for name in ("minilm@7", "minilm@0.6"):
        with pytest.raises(CheckpointError, match="of a stack of 6"):
            build_model(get_encoder(name), weights, LABELS, kind="multilabel")


@pytest.mark.parametrize("base", ["albert", "distilbert", "mobilebert"])
def test_any_architecture_with_one_stack(base: str) -> None:
    model = build_model(
        get_encoder(f"{base}@2"), Weights("random", "random"), LABELS, kind="multiclass"
    )
    assert model.config.num_hidden_layers == 2
    with torch.inference_mode():
        assert model(input_ids=torch.tensor([[1, 2, 3]])).logits.shape == (1, 3)


def test_a_stack_that_is_not_found_is_refused() -> None:
    tensors = {"e.a.0.w": 1, "e.a.1.w": 2, "e.b.0.w": 3, "e.b.1.w": 4, "e.head.w": 5}
    with pytest.raises(CheckpointError, match="no stack of 2 layers"):
        keep_layers(tensors, (0,), depth=2, encoder="e@1")
    assert keep_layers({**tensors, "e.b.2.w": 6}, (1,), depth=2, encoder="e@1") == {
        "e.a.0.w": 2,
        "e.b.0.w": 3,
        "e.b.1.w": 4,
        "e.b.2.w": 6,
        "e.head.w": 5,
    }

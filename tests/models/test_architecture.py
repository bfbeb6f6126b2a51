"""Architectures of tables: what transformers builds, and what it must not be asked to."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from goemo_eval.errors import CheckpointError
from goemo_eval.models.architecture import build_random

BERT = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def test_the_weights_come_from_the_generator_alone() -> None:
    built = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        built.append(build_random("mine", "bert", BERT | {"num_labels": 3}).state_dict())
    assert all(torch.equal(built[0][name], built[1][name]) for name in built[0])
    assert not torch.equal(built[0]["classifier.weight"], built[2]["classifier.weight"])
    assert built[0]["classifier.weight"].shape == (3, 16)


def test_some_of_its_layers() -> None:
    model = build_random("mine@2", "bert", BERT)
    assert (model.config.num_hidden_layers, len(model.bert.encoder.layer)) == (2, 2)


@pytest.mark.parametrize(
    ("model_type", "changed", "message"),
    [
        ("no_such", {}, "model_type 'no_such': transformers"),
        ("clip_text_model", {}, "cannot build clip_text_model of its config"),
        ("bert", {"num_hidden_layers": 10**9}, "num_hidden_layers' asks for 1e[+]09 parts"),
        ("bert", {"hidden_size": 10**6}, "describes .* parameters: at most 2,000,000,000"),
        ("bert", {"vocab_size": 10**9}, "describes .* parameters: at most"),
        ("bert", {"hidden_size": "x"}, "cannot build bert of its config"),
        ("bert", {"hidden_size": -16}, "cannot build bert of its config"),
        ("bert", {"num_attention_heads": 3}, "cannot build bert of its config .ValueError"),
        ("bert", {"hidden_act": "\x1b[2J"}, "cannot build bert of its config .KeyError"),
        ("bert", {"num_hidden_layers": [1]}, "cannot build bert of its config"),
    ],
)
def test_what_cannot_be_built_is_one_line(
    model_type: str, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=f"^encoder mine: .*{message}") as raised:
        build_random("mine", model_type, BERT | changed)
    assert str(raised.value).isprintable()

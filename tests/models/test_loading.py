"""Weights that transformers reads in more than one form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from goemo_eval.errors import CheckpointError
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.weights import build_model, find_weights

from .conftest import LABELS, edit_json, edit_tensors

MODERN = {
    "type_vocab_size": None,
    **dict.fromkeys(("bos_token_id", "cls_token_id"), 2),
    **dict.fromkeys(("eos_token_id", "sep_token_id"), 3),
}


def build(path: Path) -> dict[str, Any]:
    encoder = get_encoder("mine", path)
    torch.manual_seed(0)
    model = build_model(encoder, find_weights(encoder, path), LABELS, kind="multilabel")
    return dict(model.state_dict())


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_table_that_was_saved_as_the_output_layers(
    weights_dir: Callable[..., Path], prefix: str
) -> None:
    """As the hub's conversion of Ettin's pickle has it."""
    directory = weights_dir("modernbert", head=False, **MODERN)
    before = build(directory)
    table = next(n for n in load_file(directory / "model.safetensors") if "tok_embeddings" in n)
    edit_tensors(
        directory,
        lambda t: {("decoder.weight" if n == table else prefix + n): x for n, x in t.items()},
    )
    after = build(directory)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())
    edit_json(directory / "config.json", tie_word_embeddings=False)  # then it is another tensor
    with pytest.raises(CheckpointError, match=r"the weights lack model\.embeddings\.tok_emb"):
        build(directory)


def test_of_two_tensors_of_the_tables_shape_neither_is_taken(
    weights_dir: Callable[..., Path],
) -> None:
    directory = weights_dir("modernbert", head=False, **MODERN)
    table = next(n for n in load_file(directory / "model.safetensors") if "tok_embeddings" in n)

    def twice(tensors: dict[str, Any]) -> dict[str, Any]:
        found = tensors.pop(table)
        return tensors | {"decoder.weight": found, "other.weight": found + 1}

    edit_tensors(directory, twice)
    with pytest.raises(CheckpointError, match=r"the weights lack model\.embeddings\.tok_emb"):
        build(directory)

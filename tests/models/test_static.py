"""Static embeddings: as model2vec defines them, from what it saves, fine-tuned like any encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from goemo_eval.data.dataset import Split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.errors import CheckpointError
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.pretrained import load_pretrained
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.models.weights import Weights, build_model, find_weights

LABELS = ("anger", "joy", "neutral")
ROWS, WIDTH = 30522, 24

Saved = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path, minilm_weights: Weights) -> Saved:
    """A directory as model2vec leaves it: a table, WordPiece without special tokens, four facts."""
    assert minilm_weights.path is not None
    tokenizer = json.loads((minilm_weights.path / "tokenizer.json").read_text())
    tokenizer |= {"post_processor": None, "padding": None, "truncation": None}

    def save(tensors: dict[str, Any] | None = None, **config: Any) -> Path:
        directory = tmp_path / "potion"
        directory.mkdir(exist_ok=True)
        table = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0))
        save_file(tensors or {"embeddings": table}, directory / "model.safetensors")
        facts = {"model_type": "model2vec", "hidden_dim": WIDTH, "normalize": True} | config
        (directory / "config.json").write_text(json.dumps(facts | {"seq_length": 1000000}))
        (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
        return directory

    return save


def build(directory: Path) -> Any:
    encoder = get_encoder("mine", directory)
    return build_model(encoder, find_weights(encoder, directory), LABELS, kind="multilabel")


@pytest.mark.parametrize("normalize", [True, False])
def test_logits_are_the_heads_of_the_tables_mean(saved: Saved, normalize: bool) -> None:
    model = build(saved(normalize=normalize))
    table = model.static.embeddings.weight.detach().numpy()
    assert table.shape == (ROWS, WIDTH)
    weight, bias = (t.detach().numpy() for t in model.classifier.parameters())
    ids, mask = np.array([[7, 9, 7, 0], [4, 0, 0, 0], [0, 0, 0, 0]]), [3, 1, 0]
    with torch.inference_mode():
        found = model(
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.tensor(
                [[i < n for i in range(4)] for n in mask], dtype=torch.long
            ),
        ).logits.numpy()
    for row, count, logits in zip(ids, mask, found, strict=True):
        mean = table[row[:count]].mean(axis=0) if count else np.zeros(WIDTH)
        if normalize and count:
            mean = mean / np.sqrt((mean**2).sum())
        np.testing.assert_allclose(logits, weight @ mean + bias, atol=1e-5)


def test_it_is_fine_tuned_kept_and_read_again(
    saved: Saved, short_sample: dict[str, Split], quick_recipe: Recipe, tmp_path: Path
) -> None:
    directory = saved()
    encoder = get_encoder("mine", directory)
    recipe = quick_recipe.model_copy(update={"pooling": "mean", "layer_decay": 0.9})
    checkpoint = fine_tune(
        encoder,
        get_scheme("raw"),
        short_sample["train"],
        recipe=recipe,
        weights=find_weights(encoder, directory),
        out=tmp_path / "out",
        partial=tmp_path / "partial",
        seed=0,
        threads=1,
    )
    loaded = load_pretrained(checkpoint)
    before, after = build(directory).static, loaded.module.static
    assert not torch.equal(before.embeddings.weight, after.embeddings.weight)
    # No special token is added, so that a text may have none at all.
    assert loaded.tokenizer([""])["input_ids"] == [[]]
    assert loaded.tokenizer.pad_token == "[PAD]"


def test_what_is_not_one_table_of_floats_is_refused(saved: Saved) -> None:
    table = torch.ones(ROWS, WIDTH)
    for tensors in (
        {"embeddings": table.to(torch.int8)},
        {"embeddings": table, "weights": torch.ones(ROWS)},
        {"other": table},
    ):
        directory = saved(tensors)
        with pytest.raises(CheckpointError, match="without quantization of its values") as raised:
            build(directory)
        assert str(raised.value).isprintable()


def test_it_has_no_layers_to_take() -> None:
    encoder = get_encoder("potion_32m@2")
    with pytest.raises(CheckpointError, match="no single stack of layers"):
        build_model(encoder, Weights("random", "random"), LABELS, kind="multilabel")

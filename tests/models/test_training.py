from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tqdm import tqdm
from transformers import Trainer

from goemo_eval.data.dataset import Split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.errors import CheckpointError, DivergedError
from goemo_eval.models import telling
from goemo_eval.models.batches import training_rows
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.pretrained import load_pretrained
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.models.weights import Weights, find_weights, load_tokenizer

from .conftest import save_model, save_tokenizer


def test_rows_are_unpadded_and_carry_the_targets(
    sample: dict[str, Split], minilm_weights: Weights
) -> None:
    tokenizer = load_tokenizer(minilm_weights)
    train = sample["train"]
    raw = training_rows(tokenizer, get_scheme("raw"), train, max_length=16)
    assert len({len(row["input_ids"]) for row in raw}) > 5
    assert max(len(row["input_ids"]) for row in raw) == 16
    np.testing.assert_array_equal(np.array([row["labels"] for row in raw]), train.labels)
    only = get_scheme("simplified", dominance="only")
    rows = training_rows(tokenizer, only, train, max_length=16)
    assert len(rows) == int((train.labels.sum(axis=1) == 1).sum())
    assert all(isinstance(row["labels"], int) for row in rows)


@pytest.fixture
def run(
    weights_dir: Callable[..., Path], short_sample: dict[str, Split], quick_recipe: Recipe
) -> dict[str, Any]:
    """Everything that a fine-tuning run of a tiny encoder takes, but where it writes."""
    directory = weights_dir(head=False)
    encoder = get_encoder("tiny", directory)
    changed = {"epochs": 2, "batch_size": 16, "max_length": 16}
    return {
        "encoder": encoder,
        "scheme": get_scheme("raw"),
        "train": short_sample["train"],
        "recipe": quick_recipe.model_copy(update=changed),
        "weights": find_weights(encoder, directory),
    }


def train(run: dict[str, Any], tmp_path: Path, name: str, **changed: Any) -> Checkpoint:
    return fine_tune(**run | changed, out=tmp_path / name, partial=tmp_path / "states" / name)


def test_same_seed_same_bits_other_seed_others(run: dict[str, Any], tmp_path: Path) -> None:
    first, again, other = (
        train(run, tmp_path, name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.content_sha256 == again.content_sha256
    assert first.sha256 != other.sha256


def test_what_a_checkpoint_says_of_its_training(run: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()  # an empty directory is the store's
    found = train(run, tmp_path, "out", seed=3)
    assert found == read_checkpoint(out, manifest="required")
    assert (found.encoder, found.scheme, found.kind) == ("tiny", "raw", "multilabel")
    assert (found.seed, found.max_length, found.compute) == (3, 16, "fp32")
    assert found.base_sha256 == run["weights"].sha256
    assert found.train_sha256 == run["train"].sha256
    assert found.recipe == run["recipe"].values()
    found.check_fits(run["scheme"])
    # Nothing is invented beside what the caller named.
    assert {path.name for path in tmp_path.iterdir()} == {"out", "states", "weights-bert"}
    assert {path.name for path in (tmp_path / "states").iterdir()} == {"out"}


def test_fine_tuning_learns(minilm_raw: Checkpoint, short_sample: dict[str, Split]) -> None:
    """A few steps of MiniLM rank a training text's own labels above the others."""
    split = short_sample["train"]
    loaded = load_pretrained(minilm_raw)
    inputs = loaded.tokenizer(list(split.texts), padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = loaded.module(**inputs).logits.numpy()
    assert logits[split.labels].mean() > logits[~split.labels].mean()


def test_left_padding_and_token_types_are_trained_with(
    tmp_path: Path, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "xlnet"
    sizes = {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32}
    save_model(directory, "xlnet", head=False, max_position_embeddings=None, **sizes)
    names = ["input_ids", "token_type_ids", "attention_mask"]
    save_tokenizer(directory, types=(2, 0), padding_side="left", model_input_names=names)
    encoder = get_encoder("mine", directory)
    seen: list[dict[str, torch.Tensor]] = []
    step = Trainer.training_step
    monkeypatch.setattr(
        Trainer,
        "training_step",
        lambda self, model, inputs, *a: (seen.append(dict(inputs)), step(self, model, inputs, *a))[
            1
        ],
    )
    train(run, tmp_path, "x", encoder=encoder, weights=find_weights(encoder, directory))
    batch = next(b for b in seen if (b["attention_mask"] == 0).any())
    row = int((batch["attention_mask"] == 0).sum(dim=1).argmax())
    assert batch["attention_mask"][row, 0] == 0
    first = int(batch["attention_mask"][row].argmax())
    assert batch["token_type_ids"][row, first] == 2


def test_refused_before_any_training(
    run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "train", lambda *a, **k: pytest.fail("it was trained"))

    def refused(**changed: Any) -> str:
        with pytest.raises(CheckpointError) as raised:
            train(run, tmp_path, "x", **changed)
        assert not (tmp_path / "x").exists()
        return str(raised.value)

    assert "no pretrained weights of tiny within reach" in refused(
        weights=Weights("random", "random")
    )
    longer = run["recipe"].model_copy(update={"max_length": 128})
    assert "has positions for 64 tokens, and texts are to be cut at 128: set max_length" in refused(
        recipe=longer
    )
    save_tokenizer(run["weights"].path, pad_token=None)
    assert "the tokenizer has no padding token" in refused()
    (run["weights"].path / "tokenizer.json").unlink()
    assert "no tokenizer files" in refused()


def test_an_output_that_holds_something(run: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").write_text("x")
    with pytest.raises(CheckpointError, match="exists already and is not empty: choose another"):
        train(run, tmp_path, "x")


def test_divergence_is_told_and_leaves_no_checkpoint(run: dict[str, Any], tmp_path: Path) -> None:
    wild = run["recipe"].model_copy(update={"learning_rate": 1e30})
    with pytest.raises(DivergedError, match=r"diverged .*lower the recipe's learning_rate"):
        train(run, tmp_path, "x", recipe=wild)
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "x")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_printed_but_one_line_of_progress(
    run: dict[str, Any],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(run, tmp_path, "silent")
    assert capfd.readouterr() == ("", "")
    drawn = Terminal()
    monkeypatch.setattr("sys.stderr", drawn)
    monkeypatch.setattr(telling, "progress", functools.partial(tqdm, mininterval=0, leave=False))
    train(run, tmp_path, "seen")
    assert capfd.readouterr() == ("", "")
    text = drawn.getvalue()
    assert "\n" not in text  # one line, drawn over again
    assert "{" not in text
    last = [line for line in text.split("\r") if "fine-tuning tiny" in line][-1]
    assert "12/12" in last
    assert "loss=" in last

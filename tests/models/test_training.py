from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import Trainer, TrainerCallback

from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.splits import Split
from goemo_eval.engines.registry import load_classifier
from goemo_eval.errors import CheckpointError
from goemo_eval.models.batches import training_rows
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint
from goemo_eval.models.encoders import Weights, find_weights, get_encoder, load_tokenizer
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.training import fine_tune


def test_rows_are_unpadded_and_carry_the_targets(
    sample: dict[str, Split], minilm_weights: Weights
) -> None:
    tokenizer = load_tokenizer(minilm_weights)
    train = sample["train"]
    raw = training_rows(tokenizer, get_scheme("raw"), train, max_length=16)
    assert len({len(row["input_ids"]) for row in raw}) > 5
    assert max(len(row["input_ids"]) for row in raw) == 16
    np.testing.assert_array_equal(np.array([row["labels"] for row in raw]), train.labels)
    only = training_rows(tokenizer, get_scheme("simplified", "only"), train, max_length=16)
    assert len(only) == int((train.labels.sum(axis=1) == 1).sum())
    assert all(isinstance(row["labels"], int) for row in only)


def tensors(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    return load_file(checkpoint.path / "model.safetensors")


@pytest.fixture
def run(
    tiny_weights_dir: Path, short_sample: dict[str, Split], quick_recipe: Recipe
) -> dict[str, object]:
    """Everything that a fine-tuning run of the tiny encoder takes, but where it writes."""
    encoder = get_encoder("tiny", tiny_weights_dir)
    recipe = quick_recipe.model_copy(update={"epochs": 4, "batch_size": 8})
    return {
        "encoder": encoder,
        "scheme": get_scheme("simplified"),
        "train": short_sample["train"],
        "recipe": recipe,
        "weights": find_weights(encoder, tiny_weights_dir),
    }


def test_same_seed_same_bits_other_seed_others(run: dict, tmp_path: Path) -> None:
    a, b, c = (
        tensors(fine_tune(**run, out=tmp_path / name, seed=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert not all(np.array_equal(a[k], c[k]) for k in a)


def test_interrupted_run_goes_on_to_the_same_weights(
    run: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tensors(fine_tune(**run, out=tmp_path / "whole"))

    class Interrupt(TrainerCallback):
        def on_step_end(self, args: object, state: object, control: object, **_: object) -> None:
            if state.global_step == 25:  # type: ignore[attr-defined]
                raise KeyboardInterrupt

    plain_init = Trainer.__init__
    with monkeypatch.context() as patch:
        patch.setattr(
            Trainer,
            "__init__",
            lambda self, *a, **k: plain_init(self, *a, **k | {"callbacks": [Interrupt()]}),
        )
        with pytest.raises(KeyboardInterrupt):
            fine_tune(**run, out=tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    assert list((tmp_path / "cut.partial").glob("checkpoint-*"))
    steps = []
    training_step = Trainer.training_step
    monkeypatch.setattr(
        Trainer,
        "training_step",
        lambda self, *a, **k: (steps.append(1), training_step(self, *a, **k))[1],
    )
    resumed = tensors(fine_tune(**run, out=tmp_path / "cut"))
    assert 0 < len(steps) < 48  # 4 epochs of 12 batches, less what was done before
    assert not (tmp_path / "cut.partial").exists()
    for name, tensor in whole.items():
        np.testing.assert_allclose(resumed[name], tensor, atol=1e-6)


def test_fine_tuning_learns(minilm_raw: Checkpoint, short_sample: dict[str, Split]) -> None:
    """A few steps of MiniLM rank a training text's own labels above the others."""
    train = short_sample["train"]
    logits = load_classifier(minilm_raw).logits(train.texts)
    assert logits[train.labels].mean() > logits[~train.labels].mean()


def test_random_weights_and_existing_output_are_refused(run: dict, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no pretrained weights of tiny within reach"):
        fine_tune(**run | {"weights": Weights("random", "random")}, out=tmp_path / "x")
    (tmp_path / "there").mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        fine_tune(**run, out=tmp_path / "there")


def test_divergence_is_told(run: dict, tmp_path: Path) -> None:
    wild = run["recipe"].model_copy(update={"learning_rate": 1e38})
    with pytest.raises(CheckpointError, match=r"diverged .*lower the recipe's learning_rate"):
        fine_tune(**run | {"recipe": wild}, out=tmp_path / "x")
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "x")

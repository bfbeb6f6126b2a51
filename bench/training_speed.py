"""How fast fine-tuning is, against a plain Trainer loop that pads every text to 128 tokens.

    python bench/training_speed.py --data DIR --rows 2048 --epochs 1

Both fine-tune the same encoder on the same rows with the same recipe and seed, one after the
other; the difference is the padding and the order of batches. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from goemo_eval.data.dataset import Split, subset
from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.measure.environment import available_threads, load_average
from goemo_eval.models.batches import training_rows
from goemo_eval.models.encoders import build_model, find_weights, get_encoder, load_tokenizer
from goemo_eval.models.recipes import Recipe, load_recipe
from goemo_eval.models.training import fine_tune


def ours(train: Split, recipe: Recipe, scratch: Path, threads: int) -> tuple[float, Path]:
    """Return the seconds of `fine_tune`, loading and writing included, and the checkpoint."""
    encoder = get_encoder("minilm")
    weights, out = find_weights(encoder), scratch / "ours"
    began = time.perf_counter()
    fine_tune(
        encoder,
        get_scheme("raw"),
        train,
        recipe=recipe,
        weights=weights,
        out=out,
        partial=scratch / "states",
        threads=threads,
    )
    return time.perf_counter() - began, out


def plain(train: Split, recipe: Recipe, scratch: Path, threads: int) -> tuple[float, Path]:
    """Return the seconds of a Trainer as its tutorials set it up, and where it saved the model."""
    import torch
    from transformers import Trainer, TrainingArguments, set_seed

    torch.set_num_threads(threads)
    set_seed(0)
    encoder, scheme = get_encoder("minilm"), get_scheme("raw")
    weights, out = find_weights(encoder), scratch / "plain"
    began = time.perf_counter()
    tokenizer = load_tokenizer(weights)
    model = build_model(encoder, weights, scheme.labels, kind=scheme.kind)
    rows = training_rows(tokenizer, scheme, train, max_length=128)

    def collate(batch: list[dict[str, Any]]) -> Any:
        return tokenizer.pad(batch, padding="max_length", max_length=128, return_tensors="pt")

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(out / "states"),
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            warmup_steps=recipe.warmup_ratio,
            lr_scheduler_type="linear" if recipe.schedule == "linear" else "constant_with_warmup",
            save_strategy="no",
            report_to="none",
            remove_unused_columns=False,
        ),
        train_dataset=rows,
        data_collator=collate,
    )
    trainer.train()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return time.perf_counter() - began, out


def loss_of(checkpoint: Path, train: Split) -> float:
    """Return the binary cross-entropy of a checkpoint on the rows that it was fine-tuned on."""
    from goemo_eval.engines.registry import load_classifier

    logits = load_classifier(checkpoint).logits(train.texts).astype(np.float64)
    signs = np.where(get_scheme("raw").targets(train.labels), -1, 1)
    return float(np.logaddexp(0, signs * logits).mean())


def say(line: str) -> None:
    """Write a line of the result."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Time both and print steps per second, their ratio and the final losses."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", default="sample", help="as load_dataset takes it")
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=available_threads())
    options = parser.parse_args()
    recipe = load_recipe("study").model_copy(update={"epochs": options.epochs})
    train = subset(load_dataset(options.data).splits["train"], options.rows, seed=0)
    steps = -(-options.rows // recipe.batch_size) * options.epochs
    found = {}
    say(f"load {load_average()}, {options.threads} threads, {options.rows} rows, {steps} steps")
    with tempfile.TemporaryDirectory() as scratch:
        for name, run in (("ours", ours), ("plain", plain)):
            seconds, checkpoint = run(train, recipe, Path(scratch), options.threads)
            found[name] = seconds
            loss = loss_of(checkpoint, train)
            say(f"{name}: {seconds:.1f} s, {steps / seconds:.2f} steps/s, final loss {loss:.4f}")
    say(f"ratio: {found['plain'] / found['ours']:.2f}")


if __name__ == "__main__":
    main()

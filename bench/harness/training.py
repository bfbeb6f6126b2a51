"""Fine-tuning, steps a second, beside a Trainer that pads every text to 128 tokens.

All fine-tune the same encoder on the same rows with the same recipe and seed, from loading the weights
to writing the checkpoint. Ours groups texts of like length, and computes in bfloat16 where the processor
has instructions for it; both with that and without, it is measured.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from goemo_eval.data.dataset import Split, subset
from goemo_eval.data.schemes import get_scheme
from goemo_eval.engines.classifier import load_classifier
from goemo_eval.models.batches import training_rows
from goemo_eval.models.compute import has_bf16
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.recipes import Recipe, load_recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.models.weights import build_model, find_weights, load_tokenizer

from .settings import SCHEME, Settings
from .turns import in_turns

ROWS, ROUNDS = 384, 3
PADDED_TO = 128
TRAINER = "Trainer"


def training(settings: Settings, *, began: float) -> dict[str, Any]:
    """Time one epoch over some rows, in turns, and say what loss each ends with."""
    del began
    rows = min(ROWS, settings.rows or ROWS)
    train = subset(settings.dataset().splits["train"], rows, seed=0)
    recipes = {
        name: load_recipe("study").model_copy(update={"epochs": 1, "compute": compute})
        for name, compute in (("ours fp32", "fp32"), ("ours auto", "auto"))
    }
    losses: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)

        def ours(name: str) -> None:
            out = _empty(where / "ours")
            _ours(train, recipes[name], out, threads=settings.threads)
            losses[name] = _loss(out / "checkpoint", train)

        def theirs() -> None:
            out = _empty(where / "theirs")
            _theirs(train, recipes["ours fp32"], out, threads=settings.threads)
            losses[TRAINER] = _loss(out / "checkpoint", train)

        calls: dict[str, Any] = {TRAINER: lambda _: theirs()}
        for name in recipes:
            calls[name] = lambda _, n=name: ours(n)
        seconds, load = in_turns(calls, rounds=ROUNDS, warm_up=False)
    return {
        "rows": rows,
        "steps": -(-rows // recipes["ours fp32"].batch_size),
        "seconds": seconds,
        "final_loss": losses,
        "bf16": has_bf16(),
        "load": load.model_dump(),
    }


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory


def _ours(train: Split, recipe: Recipe, out: Path, *, threads: int) -> None:
    encoder = get_encoder("minilm")
    fine_tune(
        encoder,
        get_scheme(SCHEME),
        train,
        recipe=recipe,
        weights=find_weights(encoder),
        out=out / "checkpoint",
        partial=out / "states",
        threads=threads,
    )


def _theirs(train: Split, recipe: Recipe, out: Path, *, threads: int) -> None:
    """Fine-tune by a Trainer as its tutorials set it up."""
    import torch
    from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

    torch.set_num_threads(threads)
    set_seed(0)
    encoder, scheme = get_encoder("minilm"), get_scheme(SCHEME)
    weights = find_weights(encoder)
    tokenizer = load_tokenizer(weights)
    model = build_model(encoder, weights, scheme.labels, kind=scheme.kind)
    rows = training_rows(tokenizer, scheme, train, max_length=PADDED_TO)

    def collate(batch: list[dict[str, Any]]) -> Any:
        return tokenizer.pad(batch, padding="max_length", max_length=PADDED_TO, return_tensors="pt")

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
            disable_tqdm=True,
            dataloader_pin_memory=False,  # it warns where there is no GPU
            remove_unused_columns=False,
        ),
        train_dataset=rows,
        data_collator=collate,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.save_pretrained(out / "checkpoint")
    tokenizer.save_pretrained(out / "checkpoint")


def _loss(checkpoint: Path, train: Split) -> float:
    """Return the binary cross-entropy of a checkpoint on the first rows that it was fine-tuned on."""
    some = slice(128)
    logits = load_classifier(checkpoint).logits(train.texts[some]).astype(np.float64)
    signs = np.where(get_scheme(SCHEME).targets(train.labels), -1, 1)[some]
    return float(np.logaddexp(0, signs * logits).mean())

"""Fine-tuning of one encoder under one scheme, with transformers' Trainer."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.data.schemes import Scheme
from goemo_eval.data.splits import Split
from goemo_eval.engines.checkpoint import (
    Checkpoint,
    read_checkpoint,
    sha256_of_file,
    write_manifest,
)
from goemo_eval.engines.quiet import quiet_transformers
from goemo_eval.errors import CheckpointError
from goemo_eval.models.encoders import Encoder, Weights, build_model, load_tokenizer
from goemo_eval.models.recipes import Recipe


def fine_tune(
    encoder: Encoder,
    scheme: Scheme,
    train: Split,
    *,
    recipe: Recipe,
    weights: Weights,
    out: Path,
    seed: int = 0,
    threads: int | None = None,
) -> Checkpoint:
    """Fine-tune an encoder and write a checkpoint.

    An interrupted run leaves its state in ``OUT.partial``; the same call goes on from there.
    The checkpoint itself appears in one step, when it is complete.

    Parameters
    ----------
    encoder : Encoder
    scheme : Scheme
    train : Split
    recipe : Recipe
    weights : Weights
        Pretrained: fine-tuning random weights says nothing about the encoder.
    out : Path
        Directory to write; it must not exist.
    seed : int, default 0
        Of the head's initial weights, dropout and the order of batches.
    threads : int, optional
        CPU threads; the bits of the result depend on their number.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        If the weights are random, `out` exists, or the loss is not finite.
    """
    import torch
    from transformers import Trainer, TrainingArguments, set_seed
    from transformers.data.data_collator import DataCollatorWithPadding
    from transformers.trainer_utils import get_last_checkpoint

    if weights.kind == "random":
        raise CheckpointError(
            f"no pretrained weights of {encoder.name} within reach: pass --weights {encoder.name}=DIR"
        )
    if out.exists():
        raise CheckpointError(f"{out}: exists already: choose another directory")
    partial = out.with_name(out.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    if threads is not None:
        torch.set_num_threads(threads)
    set_seed(seed)
    with quiet_transformers():
        tokenizer = load_tokenizer(weights)
        model = build_model(encoder, weights, scheme.labels, kind=scheme.kind)
        rows = training_rows(tokenizer, scheme, train, max_length=recipe.max_length)
        arguments = TrainingArguments(
            output_dir=str(partial),
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            warmup_steps=recipe.warmup_ratio,
            lr_scheduler_type="linear" if recipe.schedule == "linear" else "constant_with_warmup",
            save_strategy="steps",
            save_steps=0.1,
            save_total_limit=1,
            logging_strategy="steps",
            logging_steps=0.02,
            logging_nan_inf_filter=False,  # a diverged run must show
            report_to="none",
            seed=seed,
            data_seed=seed,
            disable_tqdm=not sys.stderr.isatty(),
            log_level="error",
            remove_unused_columns=False,
            dataloader_pin_memory=torch.cuda.is_available(),
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=rows,
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        trainer.get_train_dataloader = functools.partial(_train_batches, trainer, seed)
        _say_losses_only_in_the_progress_bar(trainer)
        result = trainer.train(resume_from_checkpoint=get_last_checkpoint(str(partial)))
    if not np.isfinite(result.training_loss):
        raise CheckpointError(
            f"fine-tuning {encoder.name} diverged (loss {result.training_loss}): lower the "
            f"recipe's learning_rate, now {recipe.learning_rate}"
        )
    checkpoint = _write_checkpoint(
        model,
        tokenizer,
        out,
        encoder=encoder,
        scheme=scheme,
        weights=weights,
        max_length=recipe.max_length,
        seed=seed,
        recipe=recipe,
        train_sha256=train.sha256,
    )
    shutil.rmtree(partial)
    return checkpoint


def training_rows(
    tokenizer: Any, scheme: Scheme, train: Split, *, max_length: int
) -> list[dict[str, Any]]:
    """Tokenize a training split, unpadded, with its targets in the form that the loss takes."""
    keep = scheme.keeps(train.labels)
    votes = None if train.votes is None else train.votes[keep]
    targets: npt.NDArray[Any] = scheme.targets(
        train.labels[keep], train_labels=train.labels, votes=votes
    )
    if scheme.kind == "multilabel":
        targets = targets.astype(np.float32)  # binary cross-entropy takes floats
    texts = [text for text, kept in zip(train.texts, keep, strict=True) if kept]
    encoded = tokenizer(texts, truncation=True, max_length=max_length)
    return _rows(encoded["input_ids"], encoded["attention_mask"], targets)


def _rows(
    ids: Sequence[Any], masks: Sequence[Any], targets: npt.NDArray[Any]
) -> list[dict[str, Any]]:
    return [
        {"input_ids": i, "attention_mask": m, "labels": t}
        for i, m, t in zip(ids, masks, targets.tolist(), strict=True)
    ]


class LengthGroupedOrder:
    """The order of the rows in an epoch: batches of like length, shuffled by seed and epoch.

    Trainer's own sampler for this draws from the global generator, so that an interrupted run
    would go on in another order than an uninterrupted one.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each row.
    batch_size, seed : int
    """

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        self._lengths = list(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the loader does so before each one."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        import torch
        from transformers.trainer_pt_utils import get_length_grouped_indices

        [seed] = np.random.SeedSequence([self._seed, self._epoch]).generate_state(1)
        generator = torch.Generator().manual_seed(int(seed))
        return iter(
            get_length_grouped_indices(self._lengths, self._batch_size, generator=generator)
        )


def _train_batches(trainer: Any, seed: int) -> Any:
    """Return the loader of `LengthGroupedOrder`, on the devices that the trainer uses."""
    from torch.utils.data import DataLoader

    size = trainer.args.train_batch_size
    order = LengthGroupedOrder(
        [len(row["input_ids"]) for row in trainer.train_dataset], batch_size=size, seed=seed
    )
    loader = DataLoader(
        trainer.train_dataset,
        batch_size=size,
        sampler=order,
        collate_fn=trainer.data_collator,
        pin_memory=trainer.args.dataloader_pin_memory,
    )
    return trainer.accelerator.prepare(loader)


def _say_losses_only_in_the_progress_bar(trainer: Any) -> None:
    """Keep Trainer from printing its log lines to stdout, which is for results."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def write_untrained(
    encoder: Encoder,
    scheme: Scheme,
    *,
    weights: Weights,
    out: Path,
    max_length: int,
    seed: int = 0,
) -> Checkpoint:
    """Write a checkpoint that was never trained: to be timed and sized, not scored.

    Parameters
    ----------
    encoder : Encoder
    scheme : Scheme
    weights : Weights
        Random, or pretrained (the head is random then).
    out : Path
    max_length : int
    seed : int, default 0

    Returns
    -------
    Checkpoint
    """
    import torch

    torch.manual_seed(seed)
    with quiet_transformers():
        model = build_model(encoder, weights, scheme.labels, kind=scheme.kind)
        tokenizer = load_tokenizer(weights)
    return _write_checkpoint(
        model,
        tokenizer,
        out,
        encoder=encoder,
        scheme=scheme,
        weights=weights,
        max_length=max_length,
        seed=seed,
    )


def _write_checkpoint(
    model: Any,
    tokenizer: Any,
    out: Path,
    *,
    encoder: Encoder,
    scheme: Scheme,
    weights: Weights,
    max_length: int,
    seed: int,
    recipe: Recipe | None = None,
    train_sha256: str | None = None,
) -> Checkpoint:
    """Write model, tokenizer and manifest to a temporary directory, then rename it to `out`."""
    building = out.with_name(out.name + ".building")
    if building.exists():
        shutil.rmtree(building)
    building.mkdir(parents=True)
    with quiet_transformers():
        model.save_pretrained(building)
        tokenizer.save_pretrained(building)
    write_manifest(
        Checkpoint(
            path=building,
            encoder=encoder.name,
            scheme=scheme.name,
            labels=scheme.labels,
            dominance=scheme.dominance,
            max_length=max_length,
            weights=weights.kind,
            sha256=sha256_of_file(building / "model.safetensors"),
            base_sha256=weights.sha256,
            recipe=recipe.model_dump() if recipe else None,
            seed=seed,
            train_sha256=train_sha256,
        )
    )
    building.rename(out)
    return read_checkpoint(out)

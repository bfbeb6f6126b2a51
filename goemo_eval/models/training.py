"""Fine-tuning of one encoder under one scheme, with transformers' Trainer."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.data.schemes import Scheme
from goemo_eval.data.splits import Split
from goemo_eval.errors import CheckpointError, DivergedError
from goemo_eval.models.batches import train_batches, training_rows
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint
from goemo_eval.models.encoders import Encoder, Weights, build_model, load_tokenizer
from goemo_eval.models.head import fit_head, shift_prior
from goemo_eval.models.losses import loss_of
from goemo_eval.models.quiet import quiet_transformers
from goemo_eval.models.rates import parameter_groups
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.validation import Validation, watch
from goemo_eval.models.writing import write_checkpoint


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
    validation: Validation | None = None,
) -> Checkpoint:
    """Fine-tune an encoder and write a checkpoint.

    An interrupted run leaves its state in ``OUT.partial``; the same call goes on from there.
    The checkpoint itself appears in one step, when it is complete. Under ``torchrun`` the
    processes share each batch, so that a recipe means the same on any number of them.

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
    validation : Validation, optional
        Scores every epoch. A recipe that stops early or shifts the prior needs it; watching alone
        changes no weight.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        If the weights are random, `out` exists, the recipe needs a validation split and has none,
        or this processor cannot compute as the recipe asks.
    DivergedError
        If the loss or a validation logit is not finite.
    """
    import torch
    from transformers import Trainer, set_seed
    from transformers.data.data_collator import DataCollatorWithPadding

    if weights.kind == "random":
        raise CheckpointError(
            f"no pretrained weights of {encoder.name} within reach: pass --weights {encoder.name}=DIR"
        )
    if out.exists():
        raise CheckpointError(f"{out}: exists already: choose another directory")
    if recipe.needs_validation and validation is None:
        raise CheckpointError(
            f"recipe {recipe.name} has early_stopping_patience {recipe.early_stopping_patience} and "
            f"prior_shift {recipe.prior_shift}: pass validation=, or set them to 0 and none"
        )
    _check_processes(recipe)
    _check_compute(recipe)
    partial = out.with_name(out.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    if threads is not None:
        torch.set_num_threads(threads)
    set_seed(seed)
    with quiet_transformers():
        tokenizer = load_tokenizer(weights)
        model = build_model(encoder, weights, scheme.labels, kind=scheme.kind)
        rows = training_rows(tokenizer, scheme, train, max_length=recipe.max_length)
        counts = _counts(rows, len(scheme.labels))
        fit_head(model, recipe, counts, n_rows=len(rows), kind=scheme.kind)
        judged = None
        if validation is not None:
            judged = training_rows(
                tokenizer,
                scheme,
                validation.split,
                max_length=recipe.max_length,
                train_labels=train.labels,
            )
            # By length, so that batches carry little padding; any order gives the same score.
            judged.sort(key=lambda row: -len(row["input_ids"]))
        loss = loss_of(recipe, kind=scheme.kind, counts=counts)
        trainer = Trainer(
            model=model,
            args=_arguments(recipe, partial, seed=seed, watched=validation is not None),
            train_dataset=rows,
            eval_dataset=judged,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_loss_func=loss and (lambda out, targets, **_: loss(out.logits, targets)),
        )
        trainer.get_train_dataloader = functools.partial(train_batches, trainer, seed)
        if (recipe.layer_decay, recipe.head_rate_factor) != (1.0, 1.0):
            trainer.optimizer = _optimizer(trainer, recipe)
        if validation is not None:
            watch(trainer, validation, patience=recipe.early_stopping_patience)
        _say_losses_only_in_the_progress_bar(trainer)
        result = trainer.train(resume_from_checkpoint=_last_state(partial))
        shift = (
            _shift(trainer, judged, recipe, counts, validation)
            if scheme.kind == "multiclass"
            else None
        )
    if not np.isfinite(result.training_loss):
        raise DivergedError(
            f"fine-tuning {encoder.name} diverged (loss {result.training_loss}): lower the "
            f"recipe's learning_rate, now {recipe.learning_rate}"
        )
    if trainer.is_world_process_zero():
        write_checkpoint(
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
            prior_shift=shift,
        )
        shutil.rmtree(partial)
    trainer.accelerator.wait_for_everyone()
    return read_checkpoint(out)


def _shift(
    trainer: Any,
    judged: list[dict[str, Any]] | None,
    recipe: Recipe,
    counts: npt.NDArray[np.int64],
    validation: Validation | None,
) -> float | None:
    """Move the trained head's bias as the recipe asks, and return how far."""
    if recipe.prior_shift == "none" or validation is None:
        return None
    found = trainer.predict(judged)
    return shift_prior(
        trainer.model, found.predictions, found.label_ids, counts, score=validation.score
    )


def _last_state(partial: Path) -> str | None:
    """Return where the last complete state of an interrupted run lies; remove incomplete ones.

    Trainer writes a state's ``trainer_state.json`` after all else, so that one which a killed
    process left half written has none, or half of one.
    """
    from transformers.trainer_utils import get_last_checkpoint

    while (last := get_last_checkpoint(str(partial))) is not None:
        try:
            json.loads((Path(last) / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(last)
            continue
        return str(last)
    return None


def _arguments(recipe: Recipe, partial: Path, *, seed: int, watched: bool) -> Any:
    import torch
    from transformers import TrainingArguments

    schedule = {"constant": "constant_with_warmup"}.get(recipe.schedule, recipe.schedule)
    # Where epochs are scored, states are saved after the score: a resumed run has seen it.
    saving: dict[str, Any] = {"save_strategy": "steps", "save_steps": 0.1}
    if watched:
        saving = {
            "save_strategy": "epoch",
            "eval_strategy": "epoch",
            "per_device_eval_batch_size": 64,
            "restore_callback_states_from_checkpoint": True,
        }
    if recipe.early_stopping_patience:
        saving |= {
            "load_best_model_at_end": True,
            "metric_for_best_model": "macro_f1",
            "greater_is_better": True,
        }
    return TrainingArguments(
        output_dir=str(partial),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size // _processes(),
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_ratio,
        lr_scheduler_type=schedule,
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
        bf16=recipe.compute == "bf16",
        # Said outright, or Trainer would start neither bfloat16 nor several processes on a CPU.
        use_cpu=not torch.cuda.is_available() and (recipe.compute == "bf16" or _processes() > 1),
        **saving,
    )


def _optimizer(trainer: Any, recipe: Recipe) -> Any:
    """Return Trainer's own optimizer with a learning rate per depth."""
    kind, options = trainer.get_optimizer_cls_and_kwargs(trainer.args, trainer.model)
    groups = parameter_groups(
        trainer.model,
        decayed=trainer.get_decay_parameter_names(trainer.model),
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        layer_decay=recipe.layer_decay,
        head_rate_factor=recipe.head_rate_factor,
    )
    return kind(groups, **options)


def _processes() -> int:
    """Return how many processes ``torchrun`` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _check_processes(recipe: Recipe) -> None:
    if recipe.batch_size % _processes():
        raise CheckpointError(
            f"recipe {recipe.name} has batch_size {recipe.batch_size}, which {_processes()} processes "
            "cannot share evenly: start a number of them that divides it"
        )


def _check_compute(recipe: Recipe) -> None:
    """Refuse bfloat16 where it would be emulated: that is slower than FP32, and no less coarse."""
    import torch

    if recipe.compute == "fp32":
        return
    # Older releases of torch do not say what the processor has.
    has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if torch.cuda.is_available():
        able = torch.cuda.is_bf16_supported()
    else:
        able = any(has.get(flag) for flag in ("avx512_bf16", "amx_bf16", "bf16"))
    if not able:
        raise CheckpointError(
            f"recipe {recipe.name} has compute bf16, for which this processor has no instructions "
            "(avx512_bf16 or amx_bf16): set it to fp32"
        )


def _counts(rows: list[dict[str, Any]], n_labels: int) -> Any:
    """Count the rows of each label."""
    targets = np.array([row["labels"] for row in rows])
    if targets.ndim == 1:
        return np.bincount(targets, minlength=n_labels)
    return targets.sum(axis=0).astype(np.int64)


def _say_losses_only_in_the_progress_bar(trainer: Any) -> None:
    """Keep Trainer from printing its log lines to stdout, which is for results."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)

"""Fine-tuning of one encoder under one scheme, with transformers' Trainer."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import CheckpointError, DivergedError
from goemo_eval.models.averaging import Averaging
from goemo_eval.models.batches import repeat_factors, train_batches, training_rows
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint
from goemo_eval.models.directory import sha256_of_files
from goemo_eval.models.distillation import Teacher, taught_loss, with_teacher
from goemo_eval.models.encoders import Encoder
from goemo_eval.models.head import fit_head, shift_prior
from goemo_eval.models.losses import loss_of
from goemo_eval.models.manifest import Compute
from goemo_eval.models.probing import needs_types
from goemo_eval.models.quiet import quiet_transformers
from goemo_eval.models.recipes import Recipe, effective_compute
from goemo_eval.models.states import discard_broken_states, last_state, state_keeper
from goemo_eval.models.telling import ProgressLine
from goemo_eval.models.trainer import optimizer_by_depth, processes, trainer_arguments
from goemo_eval.models.validation import Validation, watch
from goemo_eval.models.weights import Weights
from goemo_eval.models.writing import check_empty, start, write_checkpoint

if TYPE_CHECKING:
    from goemo_eval.data.dataset import Split
    from goemo_eval.data.schemes import Scheme


def fine_tune(
    encoder: Encoder,
    scheme: Scheme,
    train: Split,
    *,
    recipe: Recipe,
    weights: Weights,
    out: Path,
    partial: Path,
    seed: int = 0,
    threads: int | None = None,
    validation: Validation | None = None,
    teacher: Teacher | None = None,
) -> Checkpoint:
    """Fine-tune an encoder and write a checkpoint.

    An interrupted run leaves its states in `partial`; the same call goes on from the last whole one,
    to the same bits. Under ``torchrun`` the processes share each batch, so that a recipe means the
    same on any number of them.

    Parameters
    ----------
    encoder : Encoder
    scheme : Scheme
    train : Split
    recipe : Recipe
    weights : Weights
        Pretrained: fine-tuning random weights says nothing about the encoder.
    out : Path
        Directory to write; empty, or not there yet. Its manifest is written last.
    partial : Path
        Directory for the states; the caller removes it when it has taken the checkpoint.
    seed : int, default 0
        Of the head's initial weights, dropout and the order of batches.
    threads : int, optional
        CPU threads; the bits of the result depend on their number.
    validation : Validation, optional
        Scores every epoch. A recipe that stops early or shifts the prior needs it; watching alone
        changes no weight.
    teacher : Teacher, optional
        A recipe with a `teacher_weight` needs it, and no other takes it.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        Before any training: if the weights are random or cannot be loaded as they were saved, `out`
        holds something, the model has no positions for the recipe's length, the recipe needs a
        validation split or a teacher and has none, or this processor cannot compute as it asks.
    DivergedError
        If the loss or a validation logit is not finite.
    """
    import torch
    from transformers import Trainer, set_seed
    from transformers.data.data_collator import DataCollatorWithPadding

    _check(encoder, recipe, weights, validation, teacher)
    compute = effective_compute(recipe)
    check_empty(out)
    if threads is not None:
        torch.set_num_threads(threads)
    set_seed(seed)
    model, tokenizer = start(encoder, scheme, weights, max_length=recipe.max_length)
    read = functools.partial(
        training_rows,
        tokenizer,
        scheme,
        max_length=recipe.max_length,
        train_labels=train.labels,
        types=needs_types(model, tokenizer),
    )
    line = ProgressLine(encoder.name, learning_rate=recipe.learning_rate)
    with quiet_transformers():
        rows = read(train)
        counts = _counts(rows, len(scheme.labels))
        fit_head(model, recipe, counts, n_rows=len(rows), kind=scheme.kind)
        judged = None
        if validation is not None:
            # By length, so that batches carry little padding; any order gives the same score.
            judged = sorted(read(validation.split), key=lambda row: -len(row["input_ids"]))
        factors = _factors(rows, counts, recipe)
        loss = loss_of(recipe, kind=scheme.kind, counts=counts)
        if teacher is not None:
            rows = with_teacher(rows, teacher.logits)
            loss = taught_loss(recipe, loss, kind=scheme.kind)
        facts = _facts(
            encoder,
            scheme,
            train,
            recipe=recipe,
            weights=weights,
            validation=validation,
            teacher=teacher,
            compute=compute,
            seed=seed,
        )
        averaging = Averaging(recipe.averaged_share) if recipe.averaged_share else None
        trainer = Trainer(
            model=model,
            args=trainer_arguments(
                recipe, compute, partial, seed=seed, watched=validation is not None
            ),
            train_dataset=rows,
            eval_dataset=judged,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_loss_func=loss and (lambda out, targets, **_: loss(out.logits, targets)),
            # The keeper comes last: it lists what the others have written into a state.
            callbacks=[
                line.callback(),
                *([] if averaging is None else [averaging.callback()]),
                state_keeper(facts, timed=_timed(validation)),
            ],
        )
        trainer.get_train_dataloader = functools.partial(train_batches, trainer, seed, factors)
        if (recipe.layer_decay, recipe.head_rate_factor) != (1.0, 1.0):
            trainer.optimizer = optimizer_by_depth(trainer, recipe)
        if validation is not None:
            watch(trainer, validation, patience=recipe.early_stopping_patience)
            if averaging is not None:
                averaging.judge_by_mean(trainer)
        _keep_off_stdout(trainer)
        try:
            _train(trainer, partial, facts, averaging)
        finally:
            line.close()
        _check_finite(model, encoder, recipe)
        shift = (
            _shift(trainer, judged, recipe, counts, validation)
            if scheme.kind == "multiclass"
            else None
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
            compute=compute,
            notes=() if teacher is None else teacher.notes,
        )
    trainer.accelerator.wait_for_everyone()
    return read_checkpoint(out, manifest="required")


def _check(
    encoder: Encoder,
    recipe: Recipe,
    weights: Weights,
    validation: Validation | None,
    teacher: Teacher | None,
) -> None:
    """Refuse what cannot be trained, before anything is loaded."""
    if weights.kind == "random":
        raise CheckpointError(
            f"no pretrained weights of {encoder.name} within reach: pass --weights {encoder.name}=DIR"
        )
    if recipe.needs_validation and validation is None:
        raise CheckpointError(
            f"recipe {recipe.name} has early_stopping_patience {recipe.early_stopping_patience} and "
            f"prior_shift {recipe.prior_shift}: pass validation=, or set them to 0 and none"
        )
    if (recipe.teacher_weight > 0) != (teacher is not None):
        has = "no teacher" if teacher is None else "a teacher"
        raise CheckpointError(
            f"recipe {recipe.name} has teacher_weight {recipe.teacher_weight:g} and {has}: pass one with "
            "the recipe distil, and none with a recipe of weight 0"
        )
    if recipe.batch_size % processes():
        raise CheckpointError(
            f"recipe {recipe.name} has batch_size {recipe.batch_size}, which {processes()} processes "
            "cannot share evenly: start a number of them that divides it"
        )


def _facts(
    encoder: Encoder,
    scheme: Scheme,
    train: Split,
    *,
    recipe: Recipe,
    weights: Weights,
    validation: Validation | None,
    teacher: Teacher | None,
    compute: Compute,
    seed: int,
) -> str:
    """Return the hash of what a state belongs to."""
    return sha256_of_files(
        {},
        encoder=encoder.name,
        scheme=scheme.facts(),
        train=train.sha256,
        # Watching changes no weight, but states are saved at other steps.
        validation=None if validation is None else validation.split.sha256,
        recipe=recipe.values(),
        teacher=None if teacher is None else teacher.sha256,
        weights=weights.sha256,
        compute=compute,
        seed=seed,
        processes=processes(),
    )


def _train(trainer: Any, partial: Path, facts: str, averaging: Averaging | None) -> None:
    """Train from the start, or from the last whole state; then take the mean of the weights, if there is one."""
    state = _resumed(trainer, partial, facts)
    if averaging is not None and state is not None:
        averaging.go_on_from(trainer.model, Path(state))
    trainer.train(resume_from_checkpoint=state)
    if averaging is not None:
        averaging.put_into(trainer.model)


def _resumed(trainer: Any, partial: Path, facts: str) -> str | None:
    """Return where the last whole state of an interrupted run lies, after removing broken ones."""
    if trainer.is_world_process_zero():
        discard_broken_states(partial, facts)
    trainer.accelerator.wait_for_everyone()
    state = last_state(partial)
    return None if state is None else str(state)


def _factors(
    rows: list[dict[str, Any]], counts: npt.NDArray[np.int64], recipe: Recipe
) -> npt.NDArray[np.float64] | None:
    """Return how much more often each row is seen, where the recipe asks for it."""
    if not recipe.repeat_below:
        return None
    return repeat_factors([row["labels"] for row in rows], counts, below=recipe.repeat_below)


def _check_finite(model: Any, encoder: Encoder, recipe: Recipe) -> None:
    import torch

    if not all(torch.isfinite(parameter).all() for parameter in model.parameters()):
        raise DivergedError(
            f"fine-tuning {encoder.name} diverged (its weights are not finite): lower the recipe's "
            f"learning_rate, now {recipe.learning_rate}"
        )


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


def _timed(validation: Validation | None) -> bool:
    """Say whether states are saved by the clock."""
    return validation is None and processes() == 1


def _counts(rows: list[dict[str, Any]], n_labels: int) -> Any:
    """Count the rows of each label."""
    targets = np.array([row["labels"] for row in rows])
    if targets.ndim == 1:
        return np.bincount(targets, minlength=n_labels)
    return targets.sum(axis=0).astype(np.int64)


def _keep_off_stdout(trainer: Any) -> None:
    """Keep Trainer from printing its log lines to stdout, which is for results."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)

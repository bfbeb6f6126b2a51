"""What transformers' Trainer is told of a recipe: its arguments, and the optimizer with a rate per depth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from goemo_eval.models.manifest import Compute
from goemo_eval.models.rates import parameter_groups
from goemo_eval.models.recipes import Recipe


def trainer_arguments(
    recipe: Recipe, compute: Compute, partial: Path, *, seed: int, watched: bool
) -> Any:
    """Return what Trainer is told of a recipe; `watched` says whether every epoch is scored on validation."""
    import torch
    from transformers import TrainingArguments

    schedule = {"constant": "constant_with_warmup"}.get(recipe.schedule, recipe.schedule)
    saving: dict[str, Any] = {"save_strategy": "no"}  # `state_keeper` asks for states
    if processes() > 1:  # which must agree when
        saving = {"save_strategy": "steps", "save_steps": 0.1}
    if watched:
        # States are saved after an epoch's score: a resumed run has seen it.
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
        per_device_train_batch_size=recipe.batch_size // processes(),
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_ratio,
        lr_scheduler_type=schedule,
        save_total_limit=2,
        logging_strategy="steps",
        logging_steps=0.02,
        logging_nan_inf_filter=False,  # a diverged run must show
        report_to="none",
        seed=seed,
        data_seed=seed,
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        bf16=compute == "bf16",
        # Said outright, or Trainer would start neither bfloat16 nor several processes on a CPU.
        use_cpu=not torch.cuda.is_available() and (compute == "bf16" or processes() > 1),
        **saving,
    )


def optimizer_by_depth(trainer: Any, recipe: Recipe) -> Any:
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


def processes() -> int:
    """Return how many processes ``torchrun`` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))

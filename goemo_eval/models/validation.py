"""Scoring of every epoch on the validation split, to stop early or to be told how it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import DivergedError

if TYPE_CHECKING:
    from goemo_eval.data.dataset import Split

METRIC = "eval_macro_f1"


@dataclass(frozen=True, eq=False)
class Validation:
    """How the epochs of a fine-tuning run are scored.

    Attributes
    ----------
    split : Split
    score : callable
        ``(logits, targets) -> Macro-F1``; see `goemo_eval.measure.scoring.validation_score`.
    after_epoch : callable, optional
        ``(epoch, Macro-F1) -> None``, from epoch 1; what it raises ends the run. A resumed run
        tells the earlier epochs again.
    """

    split: Split
    score: Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]
    after_epoch: Callable[[int, float], None] | None = None


def watch(trainer: Any, validation: Validation, *, patience: int) -> None:
    """Make a Trainer score each epoch, without touching what it trains.

    Parameters
    ----------
    trainer : transformers.Trainer
        Whose arguments say to evaluate per epoch, and which has the validation split's rows.
    validation : Validation
    patience : int
        Epochs without a better score after which to stop; 0 never stops.
    """
    import torch
    from transformers import EarlyStoppingCallback

    def metrics(prediction: Any) -> dict[str, float]:
        if not np.isfinite(prediction.predictions).all():
            raise DivergedError(
                "fine-tuning diverged (validation logits are not finite): lower the recipe's "
                f"learning_rate, now {trainer.args.learning_rate}"
            )
        targets = np.asarray(prediction.label_ids)
        if targets.ndim == 2:
            targets = targets.astype(bool)
        return {METRIC.removeprefix("eval_"): validation.score(prediction.predictions, targets)}

    trainer.compute_metrics = metrics
    evaluate = trainer.evaluate

    def apart(*args: Any, **kwargs: Any) -> Any:
        # A loader draws from the global generator, which dropout goes on to use.
        with torch.random.fork_rng():
            return evaluate(*args, **kwargs)

    trainer.evaluate = apart
    if patience:
        trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=patience))
    if validation.after_epoch is not None:
        trainer.add_callback(_teller(validation.after_epoch))


def _teller(after_epoch: Callable[[int, float], None]) -> Any:
    from transformers import TrainerCallback

    class Teller(TrainerCallback):  # type: ignore[misc]
        """Passes on each epoch's score."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            del args, control
            for entry in state.log_history:  # of the run that this one resumes
                if METRIC in entry:
                    after_epoch(round(entry["epoch"]), entry[METRIC])

        def on_evaluate(
            self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any
        ) -> None:
            del args, control
            after_epoch(round(state.epoch), metrics[METRIC])

    return Teller()

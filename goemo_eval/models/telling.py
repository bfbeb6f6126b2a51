"""One line of progress while a model is trained: steps, loss, score, time left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from goemo_eval.errors import DivergedError
from goemo_eval.progress import progress


class ProgressLine:
    """A line of progress, and the end of a run that diverged.

    Parameters
    ----------
    name : str
        What is trained.
    learning_rate : float
        For the message of a run that diverged.
    """

    def __init__(self, name: str, *, learning_rate: float) -> None:
        self._name = name
        self._learning_rate = learning_rate
        self._bar: Any = None
        self._shown: dict[str, str] = {}

    def begin(self, steps: int, *, done: int) -> None:
        """Show the line; steps that an earlier run did took no time of this one's."""
        self._bar = progress(desc=f"fine-tuning {self._name}", total=steps, unit="step")
        self._bar.n = self._bar.initial = done

    def step(self, done: int) -> None:
        """Move it on."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def log(self, logs: Mapping[str, float]) -> None:
        """Take loss and score from what Trainer logs.

        Raises
        ------
        DivergedError
            If the loss is not finite.
        """
        for key, word in (("loss", "loss"), ("eval_macro_f1", "Macro-F1")):
            if key in logs:
                self._shown[word] = f"{logs[key]:.3f}"
        if self._bar is not None:
            self._bar.set_postfix(self._shown, refresh=False)
        if not math.isfinite(logs.get("loss", 0.0)):
            raise DivergedError(
                f"fine-tuning {self._name} diverged (loss {logs['loss']}): lower the recipe's "
                f"learning_rate, now {self._learning_rate}"
            )

    def close(self) -> None:
        """Take the line away, however the run ended."""
        if self._bar is not None:
            self._bar.close()

    def callback(self) -> Any:
        """Return the callback of Trainer that moves the line."""
        from transformers import TrainerCallback

        line = self

        class Callback(TrainerCallback):  # type: ignore[misc]
            """Tells the line where training is."""

            def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                del args, control
                if state.is_world_process_zero:
                    line.begin(state.max_steps, done=state.global_step)

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                del args, control
                line.step(state.global_step)

            def on_log(
                self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any
            ) -> None:
                del args, state, control
                line.log(logs)

        return Callback()

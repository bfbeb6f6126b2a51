"""The mean of the weights over the last steps of fine-tuning, which takes the noise of single batches out of them.

Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018; here under the
recipe's own schedule.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

_FILE = "averaged.pt"


class Averaging:
    """The mean of a model's weights after each of the last steps.

    It is saved with Trainer's states, so that a resumed run ends with the same bits.

    Parameters
    ----------
    share : float
        Of all steps, in (0, 1): how many of the last ones count. One does at least.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._mean: Any = None

    def callback(self) -> Any:
        """Return the callback of Trainer that averages, and saves the mean with each state."""
        from transformers import TrainerCallback

        ours = self

        class Averager(TrainerCallback):  # type: ignore[misc]
            """Tells what Trainer does."""

            def on_step_end(
                self, args: Any, state: Any, control: Any, model: Any, **_: Any
            ) -> None:
                del args, control
                ours.add(model, step=state.global_step, steps=state.max_steps)

            def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                del control
                if state.is_world_process_zero:
                    ours.save(Path(args.output_dir) / f"checkpoint-{state.global_step}")

        return Averager()

    def add(self, model: Any, *, step: int, steps: int) -> None:
        """Count the weights after a step, if it is one of the last of all steps."""
        from torch.optim.swa_utils import AveragedModel

        if step <= steps - max(1, round(self._share * steps)):
            return
        if self._mean is None:
            self._mean = AveragedModel(model)
        self._mean.update_parameters(model)

    def save(self, state: Path) -> None:
        """Write the mean into a state's directory, once there is one."""
        import torch

        if self._mean is not None:
            torch.save(self._mean.state_dict(), state / _FILE)

    def go_on_from(self, model: Any, state: Path) -> None:
        """Take up the mean that lies in the state of an interrupted run of this model."""
        import torch
        from torch.optim.swa_utils import AveragedModel

        if (state / _FILE).is_file():
            self._mean = AveragedModel(model)
            self._mean.load_state_dict(torch.load(state / _FILE, weights_only=True))

    def judge_by_mean(self, trainer: Any) -> None:
        """Let a Trainer's evaluations be of the mean, once it has begun: of what the run will end with."""
        evaluate = trainer.evaluate

        def by_mean(*args: Any, **kwargs: Any) -> Any:
            if self._mean is None:
                return evaluate(*args, **kwargs)
            trained = [parameter.detach().clone() for parameter in trainer.model.parameters()]
            self.put_into(trainer.model)
            try:
                return evaluate(*args, **kwargs)
            finally:
                _copy(trained, trainer.model)

        trainer.evaluate = by_mean

    def put_into(self, model: Any) -> None:
        """Give the model the mean in place of its last weights."""
        assert self._mean is not None  # the last step always counts
        _copy(self._mean.module.parameters(), model)


def _copy(values: Iterable[Any], model: Any) -> None:
    import torch

    with torch.no_grad():
        for own, value in zip(model.parameters(), values, strict=True):
            own.copy_(value)

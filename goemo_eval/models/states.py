"""States of an interrupted fine-tuning: whole, or not gone on from.

Trainer goes on from a state that lost its optimizer or its generator without a word, to other
weights. Here each state lists its files with their sha256 when it is complete; one that differs in any
of them is removed, and the run goes on from an earlier one, or from the start, to the same weights.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from goemo_eval.errors import CheckpointError
from goemo_eval.files import read_json, sha256_of_file, write_atomic

SECONDS_BETWEEN = 30.0
"""Between two states: one of MiniLM takes 270 MB, and a rerun repeats what came after the last."""
_LIST = "goemo_state.json"
_TRAINER = "trainer_state.json"
_MOST_BYTES = 64 << 20
_log = logging.getLogger(__name__)


def state_keeper(facts: str, *, timed: bool) -> Any:
    """Return a callback of Trainer that asks for states and lists the files of each once it is written.

    Parameters
    ----------
    facts : str
        Hash of what decides the run: a state of another one is not gone on from.
    timed : bool
        Ask for a state every `SECONDS_BETWEEN`; else Trainer's arguments say when. Writing one
        changes no weight, so that it may depend on the clock.
    """
    from transformers import TrainerCallback

    class StateKeeper(TrainerCallback):  # type: ignore[misc]
        """Asks for states, and lists their files when they are complete."""

        def __init__(self) -> None:
            self._last = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            del args, state
            if timed and time.monotonic() - self._last >= SECONDS_BETWEEN:
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            del control
            _wait_for_everyone()  # each process writes its own generator's state
            self._last = time.monotonic()
            if state.is_world_process_zero:
                _list_files(Path(args.output_dir) / f"checkpoint-{state.global_step}", facts)

    return StateKeeper()


def discard_broken_states(partial: Path, facts: str) -> None:
    """Remove the states that cannot be gone on from, each with a line that says why.

    Parameters
    ----------
    partial : Path
        Directory of the states.
    facts : str
        See `state_keeper`.
    """
    # The oldest first: a state is broken if that of the best epoch, which it refers to, is.
    for state in sorted(_states(partial), key=_step):
        if (problem := _problem(state, facts)) is not None:
            _log.warning(
                "%s: %s: removed, and fine-tuning goes on from an earlier state or the start",
                state,
                problem,
            )
            shutil.rmtree(state)


def last_state(partial: Path) -> Path | None:
    """Return the last state; None if there is none."""
    return max(_states(partial), key=_step, default=None)


def _states(partial: Path) -> Iterator[Path]:
    for path in partial.glob("checkpoint-*"):
        if path.is_dir() and path.name.removeprefix("checkpoint-").isdigit():
            yield path


def _step(state: Path) -> int:
    return int(state.name.removeprefix("checkpoint-"))


def _wait_for_everyone() -> None:
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def _list_files(state: Path, facts: str) -> None:
    files = {file.name: sha256_of_file(file) for file in sorted(state.iterdir())}
    text = json.dumps({"facts": facts, "files": files}, indent=1)
    write_atomic(state / _LIST, (text + "\n").encode())


def _problem(state: Path, facts: str) -> str | None:
    """Say why a state cannot be gone on from; None if it can."""
    try:
        listed = read_json(state / _LIST, error=CheckpointError, most_bytes=_MOST_BYTES)
        if listed["facts"] != facts:
            return "is another run's"
        for name, sha256 in listed["files"].items():
            if not (state / name).is_file():
                return f"lost {name}"
            if sha256_of_file(state / name) != sha256:
                return f"{name} was altered since it was written"
        best = json.loads((state / _TRAINER).read_bytes())["best_model_checkpoint"]
    except (CheckpointError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return "is incomplete"
    if best is not None and not (state.parent / Path(best).name / _LIST).is_file():
        return f"{Path(best).name}, the best epoch's, is gone"
    return None

"""Work in processes of its own: what crashes there fails one cell, and what it holds goes with it.

Two kinds. `in_new_process` starts an interpreter that imports what the function needs and no
more: its memory and its start are those of the work. `in_fork` asks a server, which has torch and
transformers loaded, for a copy of itself: that takes milliseconds where importing them takes
seconds. Both kinds end when this process does.

Functions and arguments travel as pickles between processes of one run, over pipes that nobody
else can write to.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from goemo_eval.errors import CellError

_NAMES = {int(signal.SIGKILL): "killed, perhaps for want of memory (signal 9)"}
_FORKED_WITH = (
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.modeling_utils",  # what every architecture imports: seconds in each fork otherwise
    "goemo_eval.pipeline.work",
)


def in_new_process(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a module's function in a new interpreter and return what it returns.

    The function is given ``began`` as well, the time of `time.monotonic` at which the process was started.

    Raises
    ------
    CellError
        If the process was killed or crashed.
    BaseException
        What the function raises.
    """
    process = _Process([])
    try:
        kwargs["began"] = process.began
        process.send((function, args, kwargs))
        answer = process.receive(function.__name__)
    finally:
        process.close()
    return _value_of(answer, function.__name__)


def in_fork(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a module's function in a fork of a server with torch loaded; see `in_new_process`."""
    global _server  # noqa: PLW0603 - one server per process, started at need
    if _server is None or not _server.is_alive:
        # Threads that wait by spinning take turns with whatever else runs: beside one busy process,
        # fine-tuning took ten times as long. Nothing is timed in a fork.
        _server = _Process(list(_FORKED_WITH), OMP_WAIT_POLICY="PASSIVE")
        atexit.register(_server.close)
    try:
        _server.send((function, args, kwargs))
        answer = _server.receive(function.__name__)
    except BaseException:
        # An interrupted conversation cannot be taken up again. One that ended can, whatever became of the fork.
        _server.close()
        raise
    return _value_of(answer, function.__name__)


_server: _Process | None = None


class _Process:
    """A child interpreter and the pipes to it."""

    def __init__(self, preload: list[str], **environment: str) -> None:
        self.began = time.monotonic()
        ours, theirs = os.pipe()
        self._popen = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-m", "goemo_eval.pipeline.child", str(theirs), *preload],
            stdin=subprocess.PIPE,
            stdout=sys.stderr.fileno() if _has_fileno(sys.stderr) else subprocess.DEVNULL,
            pass_fds=[theirs],
            env={**environment, **os.environ},
        )
        os.close(theirs)
        self._answers = os.fdopen(ours, "rb")

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def send(self, call: Any) -> None:
        assert self._popen.stdin is not None
        with suppress(BrokenPipeError):  # it is gone: `receive` says how
            pickle.dump(call, self._popen.stdin)
            self._popen.stdin.flush()

    def receive(self, what: str) -> tuple[str, Any]:
        try:
            ended, value = pickle.load(self._answers)  # noqa: S301 - our own child's, over a pipe
        except (EOFError, pickle.UnpicklingError):
            raise CellError(f"{what}: the process {_ending(self._popen.wait())}") from None
        return ended, value

    def close(self) -> None:
        assert self._popen.stdin is not None
        with suppress(BrokenPipeError):
            self._popen.stdin.close()  # its sign to end
        self._answers.close()
        try:
            self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


def _value_of(answer: tuple[str, Any], what: str) -> Any:
    """Return what a function returned; raise what it raised, or that its process died."""
    ended, value = answer
    if ended == "died":
        raise CellError(f"{what}: the process {_ending(value)}")
    if ended == "raised":
        raise value
    return value


def _ending(code: int) -> str:
    """Say how a process ended, from its return code as subprocess gives it."""
    if code < 0:
        number = -code
        name = f"ended by signal {number} ({signal.Signals(number).name})"
        return f"was {_NAMES.get(number, name)}"
    return f"ended with exit code {code} before it answered"


def _has_fileno(stream: Any) -> bool:
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True

"""``python -m goemo_eval.pipeline.child FD [MODULE ...]``: the other end of `goemo_eval.pipeline.children`.

Calls come as pickles on stdin, answers go to the descriptor FD. With modules it imports these and
answers each call from a fork of itself; without, it answers one call itself. It ends with stdin,
and what it works at ends with it: nobody is left to hear the answer.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import select
import signal
import sys
import threading
import traceback
from typing import IO, Any

from goemo_eval.errors import CellError, GoemoError
from goemo_eval.imports import large_imports

_TICK_S = 0.01


def main() -> None:
    """Answer calls until stdin ends."""
    answers = os.fdopen(int(sys.argv[1]), "wb")
    calls = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # whoever reads stdin here finds nothing
    modules = sys.argv[2:]
    with large_imports():
        for module in modules:
            importlib.import_module(module)
    # Each fork collects (Trainer asks for it): what was imported is no garbage, and stays on shared pages.
    gc.freeze()
    if not modules:
        call = pickle.load(calls)  # noqa: S301 - our own parent's, over a pipe
        threading.Thread(target=_end_with, args=[calls], daemon=True).start()
        _answer(call, answers)
        os._exit(0)  # threads of engines have nothing left to do
    while True:
        try:
            call = pickle.load(calls)  # noqa: S301 - our own parent's, over a pipe
        except EOFError:
            return
        except KeyboardInterrupt:  # it was meant for whoever asks, who will close stdin
            continue
        _answer_from_fork(call, calls, answers)


def _answer_from_fork(call: Any, calls: IO[bytes], answers: IO[bytes]) -> None:
    pid = os.fork()
    if pid == 0:
        _answer(call, answers)
        os._exit(0)
    status = _wait(pid, calls)
    if status != 0:
        pickle.dump(("died", status), answers)
        answers.flush()


def _wait(pid: int, calls: IO[bytes]) -> int:
    """Wait for a fork; end with it when nobody holds the other end of stdin any more."""
    tick, hung_up = _TICK_S, select.poll()
    hung_up.register(calls, 0)  # no event but that one: the next call may come early
    while True:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if hung_up.poll(tick * 1000):
                os.kill(pid, signal.SIGKILL)
                os._exit(1)
            tick = min(0.2, tick * 1.5)
        except KeyboardInterrupt:  # the fork has it, too, and answers
            continue


def _answer(call: Any, answers: IO[bytes]) -> None:
    function, args, kwargs = call
    try:
        content = pickle.dumps(("returned", function(*args, **kwargs)))
    except BaseException as error:
        content = pickle.dumps(("raised", _sendable(error)))
    answers.write(content)
    answers.flush()


def _sendable(error: BaseException) -> BaseException:
    """Return an error as the caller will see it: its own mistakes as they are, all else in a line."""
    if isinstance(error, GoemoError | CellError | OSError | KeyboardInterrupt):
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - some cannot be built again
        except Exception:
            return CellError(f"{type(error).__name__}: {error}")
        return error
    traceback.print_exception(error)
    line = " ".join(str(error).split())[:500]
    return CellError(f"{type(error).__name__}: {line}" if line else type(error).__name__)


def _end_with(calls: IO[bytes]) -> None:
    """End this process when the one that started it is gone."""
    calls.read(1)
    os._exit(1)


if __name__ == "__main__":
    main()

from __future__ import annotations

import json
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from goemo_eval.errors import CellError, CheckpointError
from goemo_eval.files import is_alive
from goemo_eval.models.checkpoint import read_checkpoint
from goemo_eval.pipeline import children
from goemo_eval.pipeline.children import in_fork, in_new_process


@pytest.fixture(autouse=True)
def light_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give these tests a server of their own, without torch."""
    monkeypatch.setattr(children, "_FORKED_WITH", ("json", "goemo_eval.models.checkpoint"))
    monkeypatch.setattr(children, "_server", None)


def test_a_fork_returns_what_the_function_returns() -> None:
    assert in_fork(operator.add, [1], [2]) == [1, 2]
    assert in_fork(json.loads, "[1]") == [1]


def test_the_callers_mistakes_arrive_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such"):
        in_fork(read_checkpoint, tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        in_fork(os.stat, str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        (os.abort, (), "signal 6"),
        (os._exit, (3,), "exit code 3"),
        (operator.truediv, (1, 0), "ZeroDivisionError: division by zero"),
        (signal.raise_signal, (signal.SIGKILL,), "want of memory"),
    ],
)
def test_a_process_that_dies_fails_its_cell_and_the_next_goes_on(
    function: object, arguments: tuple[int, ...], said: str
) -> None:
    with pytest.raises(CellError, match=said):
        in_fork(function, *arguments)  # type: ignore[arg-type]
    assert children._server is not None
    server = children._server
    assert in_fork(operator.add, 1, 2) == 3
    assert children._server is server  # seconds to start: a fork's end is not its own


def test_a_server_that_dies_is_started_again() -> None:
    in_fork(operator.add, 1, 2)
    assert children._server is not None
    children._server._popen.kill()
    children._server._popen.wait()
    assert in_fork(operator.add, 1, 2) == 3


def test_a_new_process_knows_when_it_was_started() -> None:
    before = time.monotonic()
    found = in_new_process(dict, a=1)
    assert found.pop("began") >= before
    assert found == {"a": 1}
    with pytest.raises(CellError, match="TypeError"):
        in_new_process(os.abort)  # it takes no ``began``


PARENT = """
import sys, time
from goemo_eval.pipeline import children
children._FORKED_WITH = ("json",)
children.in_fork(print)
print(children._server._popen.pid, flush=True)
children.in_fork(time.sleep, 600)
"""


def test_what_works_for_a_killed_run_ends_with_it() -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )
    assert run.stdout is not None
    server = int(run.stdout.readline())
    forks: list[int] = []
    deadline = time.monotonic() + 60
    while not forks and time.monotonic() < deadline:
        forks = [int(p) for p in Path(f"/proc/{server}/task/{server}/children").read_text().split()]
        time.sleep(0.01)
    run.kill()
    run.wait()
    run.stdout.close()
    while any(map(is_alive, [server, *forks])) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert forks
    assert not any(map(is_alive, [server, *forks]))

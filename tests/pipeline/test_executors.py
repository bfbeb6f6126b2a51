from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from goemo_eval.errors import CellError, CheckpointError
from goemo_eval.pipeline import executors
from goemo_eval.pipeline.executors import prepare
from goemo_eval.pipeline.fitting import Run
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.steps import scores
from goemo_eval.records.schema import Cell

ray = pytest.importorskip("ray")
CELLS = [
    Cell(encoder="tiny", scheme="raw", engine="torch", precision=precision)
    for precision in ("fp32", "int8")
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_in_order_nothing_is_prepared(run_of: Callable[..., Run], tmp_path: Path) -> None:
    run = run_of(store=tmp_path)
    prepare(run, CELLS)
    assert not run.store.made
    assert not list(tmp_path.iterdir())


def workers_at_work() -> list[int]:
    """The Ray workers of this process that have a cell."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
    found = [os.getpid()]
    for known in found:  # it grows as it is walked
        found.extend(child for child, parent in parents.items() if parent == known)
    working = []
    for pid in found:
        with suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::_score"):
                working.append(pid)
    return working


def kill_a_worker_at_work(store: Path, killed: list[int]) -> None:
    deadline = time.monotonic() + 300
    while not killed and time.monotonic() < deadline:
        if list(store.glob("partial/*")):
            for pid in workers_at_work()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker in /proc")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray's own sockets
@pytest.mark.filterwarnings("ignore::FutureWarning")  # Ray's own, of accelerators
def test_a_cluster_that_loses_a_worker_fills_the_shared_store_all_the_same(
    run_of: Callable[..., Run], plan: Plan, tmp_path: Path, cluster: None
) -> None:
    longer = plan.recipe.model_copy(update={"name": "longer", "epochs": 12, "batch_size": 8})
    run = run_of(store=tmp_path / "store", recipe=longer)
    killed: list[int] = []
    killer = threading.Thread(
        target=kill_a_worker_at_work, args=[tmp_path / "store", killed], daemon=True
    )
    killer.start()
    prepare(run, CELLS, executor="ray")
    assert len(killed) == 1
    found = [scores(run, cell) for cell in CELLS]
    assert all(found)
    assert not run.store.made  # all of it was there
    in_order = run_of(store=tmp_path / "in order", recipe=longer)
    assert [scores(in_order, cell) for cell in CELLS] == found


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_a_task_raises_is_raised_here_but_for_a_process_that_failed(cluster: None) -> None:
    @ray.remote(max_retries=0)
    def raises(error: Exception) -> None:
        raise error

    with pytest.raises(CheckpointError, match="altered"):
        executors._result(raises.remote(CheckpointError("altered")))
    executors._result(raises.remote(CellError("killed")))
    with pytest.raises(ray.exceptions.RayTaskError, match="other"):
        executors._result(raises.remote(KeyError("other")))


def test_without_ray_the_install_command_is_named(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    with pytest.raises(executors.EngineError, match="pip install 'goemo-eval\\[ray\\]'"):
        prepare(run_of(), CELLS, executor="ray")

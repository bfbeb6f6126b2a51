from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goemo_eval.pipeline import executors
from goemo_eval.pipeline.executors import prepare
from goemo_eval.pipeline.steps import Run, scores
from goemo_eval.records.schema import Cell

ray = pytest.importorskip("ray")
CELLS = [
    Cell(encoder="tiny", scheme="raw", engine="torch", precision=precision)
    for precision in ("fp32", "int8")
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_in_order_nothing_is_prepared(run_of: Callable[..., Run], tmp_path: Path) -> None:
    run = run_of(store=tmp_path)
    prepare(run, CELLS)
    assert not run.store.made
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray's own sockets
@pytest.mark.filterwarnings("ignore::FutureWarning")  # Ray's own, of accelerators
def test_a_cluster_fills_the_shared_store(
    run_of: Callable[..., Run], tmp_path: Path, cluster: None
) -> None:
    run = run_of(store=tmp_path / "store")
    prepare(run, CELLS, executor="ray")
    found = [scores(run, cell) for cell in CELLS]
    assert all(found)
    assert not run.store.made  # all of it was there
    assert [scores(run_of(), cell) for cell in CELLS] == found


def test_without_ray_the_install_command_is_named(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    with pytest.raises(executors.EngineError, match="pip install 'goemo-eval\\[ray\\]'"):
        prepare(run_of(), CELLS, executor="ray")

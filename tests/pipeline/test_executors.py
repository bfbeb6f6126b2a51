"""Cells on a local Ray cluster, one of whose workers is killed at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from goemo_eval.pipeline.evaluate import Workbench
from goemo_eval.pipeline.matrix import matrix

from goemo_eval.errors import EngineError
from goemo_eval.models.recipes import load_recipe
from goemo_eval.pipeline.executors import check_executor, install, prepare
from goemo_eval.pipeline.plan import Plan


def test_executors_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_executor("order") == "order"
    with pytest.raises(EngineError, match="unknown executor 'dask': known are order, ray"):
        check_executor("dask")
    monkeypatch.setattr("goemo_eval.pipeline.executors.find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"needs Ray: pip install 'goemo-eval\[ray\]'"):
        check_executor("ray")


def test_in_order_prepares_nothing() -> None:
    prepare(None, [])  # type: ignore[arg-type]


def test_files_are_installed_once(tmp_path: Path) -> None:
    out = tmp_path / "there"
    install({"a": b"1"}, out)
    install({"a": b"2"}, out)
    assert (out / "a").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


DRIVER = """
import sys
from pathlib import Path

import numpy as np
import ray

from goemo_eval.pipeline.evaluate import Workbench
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.executors import prepare
from goemo_eval.pipeline.matrix import matrix
from goemo_eval.models.recipes import load_recipe

weights, data, recipe, store, out = sys.argv[1:]
plan = Plan(data, load_recipe(recipe), Path(store), threads=1, weights={"tiny": Path(weights)})
cells = matrix(encoders="tiny", schemes="raw", engines="torch", precisions="",
               seeds=(1, 2), weights=plan.weights, checkpoints={})
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
with Workbench(plan) as bench:
    handed_in = []
    take = bench.hand_in
    bench.hand_in = lambda cell, logits: (handed_in.append(cell.id), take(cell, logits))
    prepare(bench, cells, executor="ray")
    assert sorted(handed_in) == sorted(cell.id for cell in cells), handed_in
    np.savez(out, **{cell.id: bench.logits(cell)["test"] for cell in cells})
"""

RECIPE = """epochs = 6
batch_size = 8
learning_rate = 1e-3
schedule = 'linear'
weight_decay = 0.01
warmup_ratio = 0.1
max_length = 16
"""


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for known in found:  # it grows as it is walked
        found.extend(child for child, parent in parents.items() if parent == known)
    return found[1:]


def at_work(pid: int) -> list[int]:
    """The Ray workers under a process that are fine-tuning now."""
    found = []
    for child in descendants(pid):
        try:
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"ray::_train"):
                found.append(child)
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker in /proc")
def test_a_worker_killed_mid_cell(
    tmp_path: Path, tsv_dir: Callable[..., Path], tiny_weights_dir: Path
) -> None:
    pytest.importorskip("ray")
    recipe = tmp_path / "r.toml"
    recipe.write_text(RECIPE)
    (tmp_path / "driver.py").write_text(textwrap.dedent(DRIVER))
    store, out = tmp_path / "store", tmp_path / "logits.npz"
    inputs = [str(tiny_weights_dir), str(tsv_dir()), str(recipe), str(store), str(out)]
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py"), *inputs],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"RAY_DEDUP_LOGS": "0"},
    )
    killed = None
    while driver.poll() is None and killed is None:
        if list((store / "checkpoints").glob("*.partial/checkpoint-*")):
            for worker in at_work(driver.pid)[:1]:
                os.kill(worker, signal.SIGKILL)
                killed = worker
        time.sleep(0.05)
    _, errors = driver.communicate(timeout=600)
    assert killed is not None, errors
    assert driver.returncode == 0, errors

    plan = Plan(
        tsv_dir(),
        load_recipe(str(recipe)),
        tmp_path / "in-order",
        threads=1,
        weights={"tiny": tiny_weights_dir},
    )
    cells = matrix(
        encoders="tiny",
        schemes="raw",
        engines="torch",
        precisions="",
        seeds=(1, 2),
        weights=plan.weights,
        checkpoints={},
    )
    on_ray = np.load(out)
    assert sorted(on_ray.files) == sorted(cell.id for cell in cells)
    with Workbench(plan) as bench:
        for cell in cells:
            np.testing.assert_allclose(on_ray[cell.id], bench.logits(cell)["test"], atol=1e-5)
            assert np.array_equal(on_ray[cell.id] >= 0, bench.logits(cell)["test"] >= 0)
    names = [path.name for path in (store / "checkpoints").iterdir()]
    assert sorted(names) == sorted(p.name for p in (tmp_path / "in-order/checkpoints").iterdir())

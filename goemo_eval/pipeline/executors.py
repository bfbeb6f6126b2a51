"""Where the cells of a run are fine-tuned and scored: here in order, or on a Ray cluster.

Cells are independent but for what they share: the precisions and engines of one encoder, scheme
and seed share a checkpoint. On a cluster, each checkpoint is a task and so is each cell's
scoring; a task whose worker is lost is run again, from the state that fine-tuning kept if it
comes to the same machine. Latency is none of their business: it is measured by the machine that
asked, one cell at a time, when they are done.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm import tqdm

from goemo_eval.data.splits import Split
from goemo_eval.engines.registry import missing_engine
from goemo_eval.errors import EngineError, GoemoError, unknown_name
from goemo_eval.measure.environment import cpu
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.pipeline.decide import Logits
from goemo_eval.pipeline.evaluate import Workbench
from goemo_eval.pipeline.plan import Plan
from goemo_eval.records.schema import Cell

EXECUTORS = ("order", "ray")
_RETRIES = 3

Files = Mapping[str, bytes]
"""A checkpoint's files by name."""
Family = tuple[str, str, int]
"""Encoder, scheme and seed: what shares a checkpoint."""


def check_executor(name: str) -> str:
    """Return the name of an executor that can run here.

    Raises
    ------
    EngineError
        If it is unknown or its package is not installed.
    """
    if name not in EXECUTORS:
        raise EngineError(unknown_name("executor", name, EXECUTORS))
    if name == "ray" and find_spec("ray") is None:
        raise EngineError("--executor ray needs Ray: pip install 'goemo-eval[ray]'")
    return name


def prepare(
    workbench: Workbench, cells: Sequence[Cell], *, executor: str = "order", gpus: float = 0.0
) -> None:
    """Fine-tune and score cells ahead, and hand the results to a workbench.

    Parameters
    ----------
    workbench : Workbench
        Its store receives the checkpoints; `Workbench.measure` then finds everything done.
    cells : sequence of Cell
    executor : {"order", "ray"}
        ``order`` prepares nothing: cells are fine-tuned and scored as they are measured. ``ray``
        uses the cluster that ``RAY_ADDRESS`` names, or starts one on this machine. Its machines
        need this library and, for weights that a user brings, the same path to them.
    gpus : float, default 0
        GPUs that one task claims. It claims as many CPUs as the plan has threads, and uses as
        many, so that the bits are those of a run in order.

    Raises
    ------
    EngineError
        If the executor is unknown or not installed, or a worker was lost too often.
    GoemoError
        What fine-tuning or scoring raises.
    """
    if check_executor(executor) == "order":
        return
    import ray

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    options = {"num_cpus": workbench.plan.threads, "num_gpus": gpus, "max_retries": _RETRIES}
    train, score = (ray.remote(**options)(task) for task in (_train, _score))
    plan, splits = ray.put(workbench.plan), ray.put(workbench.splits)
    families: dict[Family, list[Cell]] = {}
    for cell in cells:
        # A checkpoint that the user brings lies here: its cells are scored here.
        here = (cell.encoder, cell.scheme) in workbench.plan.checkpoints
        if not here and missing_engine(cell.engine) is None:
            families.setdefault((cell.encoder, cell.scheme, cell.seed), []).append(cell)
    trained = {family: train.remote(plan, splits, family) for family in families}
    scored = {
        score.remote(plan, splits, cell, trained[family]): cell
        for family, group in families.items()
        for cell in group
    }
    waiting = list(scored)
    with tqdm(total=len(scored), desc="cells", unit="cell", disable=None) as bar:
        while waiting:
            (done,), waiting = ray.wait(waiting, num_returns=1)
            _take(workbench, scored[done], _result(done))
            bar.update()
    for family, files in trained.items():
        found = _result(files)
        if found is not None:
            install(found, workbench.checkpoint_dir(*family))


def _result(reference: Any) -> Any:
    """Return what a task returned, or raise what it raised as if it had been run here."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, GoemoError):
            raise error.cause from None
        raise
    except ray.exceptions.WorkerCrashedError:
        raise EngineError(
            f"a Ray worker was lost {_RETRIES + 1} times at the same cell: look at its memory"
        ) from None


def _take(workbench: Workbench, cell: Cell, found: tuple[Logits, tuple[str, ...]] | None) -> None:
    """Hand in a cell's logits, if they are those that this machine would have computed.

    INT8 kernels differ from one instruction set to another; FP32 differs in the last digits only.
    """
    if found is None:
        return
    logits, isa_flags = found
    if cell.precision == "fp32" or isa_flags == cpu()[1]:
        workbench.hand_in(cell, logits)


def _train(plan: Plan, splits: Mapping[str, Split], family: Family) -> Files | None:
    """Fine-tune what the worker's store lacks; None where there is nothing to be scored."""
    with Workbench(plan, splits) as workbench:
        obtained = workbench.obtain(*family)
        return None if obtained.unscored_reason else read_files(obtained.checkpoint)


def _score(
    plan: Plan, splits: Mapping[str, Split], cell: Cell, files: Files | None
) -> tuple[Logits, tuple[str, ...]] | None:
    """Return a cell's logits, and the instruction sets of the processor that computed them."""
    if files is None:
        return None
    with Workbench(replace(plan, train="never"), splits) as workbench:
        install(files, workbench.checkpoint_dir(cell.encoder, cell.scheme, cell.seed))
        return workbench.logits(cell), cpu()[1]


def read_files(checkpoint: Checkpoint) -> Files:
    """Return a checkpoint's files as bytes, to be sent to another machine."""
    return {path.name: path.read_bytes() for path in checkpoint.path.iterdir()}


def install(files: Files, out: Path) -> None:
    """Write a checkpoint's files, in one step, where there is none yet.

    Several processes may do so at once: the first wins, with the same bytes as the others.
    """
    if out.exists():
        return
    building = out.with_name(f"{out.name}.{os.getpid()}")
    building.mkdir(parents=True)
    for name, content in files.items():
        (building / name).write_bytes(content)
    try:
        building.rename(out)
    except OSError:
        shutil.rmtree(building)
        if not out.exists():
            raise

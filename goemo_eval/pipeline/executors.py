"""Where the cells of a run are fine-tuned and scored: here in order, or on a Ray cluster.

On a cluster `goemo_eval.pipeline.steps.scores`, with all that it asks for, is mapped over the cells
into a store that all machines share; whoever comes second to a key waits for the first. A task whose worker is lost is
run again, from the state that fine-tuning kept. Latency is none of their business: it is measured by
the machine that asked, one cell at a time, when they are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from goemo_eval.engines.registry import missing_engine
from goemo_eval.errors import CellError, EngineError, GoemoError
from goemo_eval.pipeline.fitting import Run
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.steps import scores
from goemo_eval.pipeline.store import Store
from goemo_eval.progress import progress
from goemo_eval.records.schema import Cell

EXECUTORS = ("order", "ray")
_RETRIES = 3


def prepare(run: Run, cells: Sequence[Cell], *, executor: str = "order", gpus: float = 0.0) -> None:
    """Fine-tune and score cells ahead, into the run's store.

    Parameters
    ----------
    run : Run
    cells : sequence of Cell
    executor : {"order", "ray"}
        ``order`` prepares nothing: cells are fine-tuned and scored as they are measured. ``ray``
        uses the cluster that ``RAY_ADDRESS`` names, or starts one on this machine. Its machines
        need this library and the same paths to the store and to what a user brings.
    gpus : float, default 0
        GPUs that one task claims. It claims as many CPUs as the plan has threads, and uses as
        many, so that the bits are those of a run in order.

    Raises
    ------
    EngineError
        If Ray is not installed, or a worker was lost too often.
    GoemoError
        What the steps raise.
    """
    if executor == "order":
        return
    if find_spec("ray") is None:
        raise EngineError("--executor ray needs Ray: pip install 'goemo-eval[ray]'")
    import ray

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    task: Any = ray.remote(num_cpus=run.plan.threads, num_gpus=gpus, max_retries=_RETRIES)(_score)
    plan, root = ray.put(run.plan), run.store.root.absolute()
    waiting = {
        task.remote(plan, root, cell): cell for cell in cells if missing_engine(cell.engine) is None
    }
    with progress(desc="cells", unit="cell", total=len(waiting)) as bar:
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            del waiting[done]
            _result(done)
            bar.update()


def _score(plan: Plan, root: Path, cell: Cell) -> None:
    """Take a cell to its scores."""
    store = Store(root)
    try:
        scores(Run(plan, store), cell)
    finally:
        store.close()


def _result(reference: Any) -> None:
    """Wait for a task, and raise what it raised as if it had been run here.

    A cell whose own process failed is met again where it is measured: the others go on.
    """
    import ray

    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CellError):
            return
        if isinstance(error.cause, GoemoError):
            raise error.cause from None
        raise
    except ray.exceptions.WorkerCrashedError:
        raise EngineError(
            f"a Ray worker was lost {_RETRIES + 1} times at the same cell: look at its memory"
        ) from None

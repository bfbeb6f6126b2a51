"""The step ``time``: a cell's artifact under the scenarios. A time is never kept under a key."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from statistics import median
from typing import Any

from goemo_eval.engines.base import Predictor
from goemo_eval.engines.registry import LINEAR, load
from goemo_eval.measure.scenarios import (
    Latency,
    Scenario,
    Throughput,
    Timed,
    time_batches,
    time_in_turns,
    time_offline,
    timed_batches,
)
from goemo_eval.pipeline.fitting import Run, fit
from goemo_eval.pipeline.plan import Timing
from goemo_eval.pipeline.steps import artifact
from goemo_eval.records.schema import Cell, Speedup

LOADED = 3
"""Models in memory at once: a cell and the two that it takes turns with."""


@functools.lru_cache(maxsize=LOADED)
def loaded(run: Run, cell: Cell) -> Predictor:
    """Load a cell's artifact. A few are kept; loading one again gives the same bits."""
    return load(artifact(run, cell).content, threads=run.plan.threads)


def timing_of(run: Run, cell: Cell) -> Timing:
    """Return how a cell is timed: as the plan says, but no more than briefly where it is not scored."""
    asked = run.plan.timing
    return asked if fit(run, cell).unscored_reason is None else asked.of_unscored


def timed(run: Run, cell: Cell, scenario: Scenario) -> Timed | None:
    """Return the batches of a scenario, ready to be timed; None where the cell is not timed in it."""
    rounds = timing_of(run, cell).scenarios.get(scenario)
    if rounds is None:
        return None
    return timed_batches(
        loaded(run, cell),
        run.plan.task(cell.scheme).texts["test"],
        scenario,
        batches=rounds.batches,
        rounds=rounds.rounds,
        warm_ups=rounds.warm_ups,
    )


def time_scenario(run: Run, cell: Cell, scenario: Scenario) -> Latency | None:
    """Time a cell under a scenario; None where the cell is not timed in it."""
    batches = timed(run, cell, scenario)
    return None if batches is None else time_batches(batches, threads=run.plan.threads)


def time_split(run: Run, cell: Cell) -> dict[str, Any]:
    """Time whole passes over the test split: FP32 alone, INT8 and BF16 in turns with FP32 of its engine and torch.

    Returns
    -------
    dict
        The fields ``split_latency_s`` and ``speedups`` of a record; empty where the cell is not scored.
    """
    passes = timing_of(run, cell).passes
    if not passes:
        return {}
    references = references_of(cell)
    predictors = [loaded(run, reference) for reference in references]
    (*theirs, own), load_beside = time_in_turns(
        [*predictors, loaded(run, cell)], run.plan.task(cell.scheme).texts["test"], passes=passes
    )
    return {
        "split_latency_s": median(own),
        "speedups": tuple(
            Speedup(
                reference=reference.id,
                reference_s=tuple(seconds),
                candidate_s=tuple(own),
                load=load_beside,
            )
            for reference, seconds in zip(references, theirs, strict=True)
        ),
    }


def references_of(cell: Cell) -> Sequence[Cell]:
    """Return the cells that a cell takes turns with."""
    if cell.precision == "fp32" or cell.engine == LINEAR:
        return [cell.at("fp32")] if cell.precision == "int8" else []
    torch = cell.at("fp32").model_copy(update={"engine": "torch"})
    return list(dict.fromkeys([cell.at("fp32"), torch]))


def time_throughput(run: Run, cell: Cell) -> Throughput | None:
    """Time whole passes, text in, scores out; None where the cell is not timed so."""
    passes = timing_of(run, cell).offline_passes
    if not passes:
        return None
    texts = run.plan.task(cell.scheme).texts["test"]
    return time_offline(loaded(run, cell), texts, passes=passes, threads=run.plan.threads)

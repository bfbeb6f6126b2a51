"""Times that an earlier run took of the very same artifact on the same machine, and need not be taken again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.scenarios import Latency, Scenario, chosen_texts, texts_sha256
from goemo_eval.pipeline.fitting import Run
from goemo_eval.pipeline.plan import Rounds
from goemo_eval.pipeline.timing import references_of, timing_of
from goemo_eval.records.schema import Record

TIMES = ("latency", "split_latency_s", "offline", "speedups")
"""A record's fields with times."""
_SAME_MACHINE = (
    "cpu_model",
    "isa_flags",
    "isa_limit",
    "engine_isa",
    "kernels",
    "threads",
    "versions",
)


def kept_times(run: Run, now: Record, before: Record | None) -> dict[str, Any]:
    """Return the times of an earlier record, where they are what timing a cell now would be about.

    Parameters
    ----------
    run : Run
    now : Record
        Of the cell, without times.
    before : Record or None
        What an earlier run had of the cell.

    Returns
    -------
    dict
        The fields `TIMES` of a record. Empty unless the artifact, data, processor, instruction sets, threads and every
        version are the same, the same texts were timed as often, all beside the same cells, and every time is
        stable. One unstable time has the whole cell timed again.
    """
    if before is None or now.artifact is None or before.artifact != now.artifact:
        return {}
    if before.data.splits != now.data.splits:
        return {}
    theirs, ours = before.environment, now.environment
    if any(getattr(theirs, name) != getattr(ours, name) for name in _SAME_MACHINE):
        return {}
    if not _as_asked(run, before) or not all(load.stable for load in _loads(before)):
        return {}
    return {name: getattr(before, name) for name in TIMES}


def _as_asked(run: Run, before: Record) -> bool:
    """Say whether a cell was timed as this run times it."""
    cell, asked = before.cell, timing_of(run, before.cell)
    texts = run.plan.task(cell.scheme).texts["test"]
    turns = [reference.id for reference in references_of(cell)] if asked.passes else []
    offline = before.offline
    return (
        before.latency.keys() == asked.scenarios.keys()
        and all(
            _timed_as(before.latency[scenario], scenario, rounds, texts)
            for scenario, rounds in asked.scenarios.items()
        )
        and [speedup.reference for speedup in before.speedups] == turns
        and all(len(speedup.candidate_s) == asked.passes for speedup in before.speedups)
        and (before.split_latency_s is not None) == (asked.passes > 0)
        and (len(offline.passes_s) if offline else 0) == asked.offline_passes
    )


def _timed_as(latency: Latency, scenario: Scenario, rounds: Rounds, texts: Sequence[str]) -> bool:
    chosen, size = chosen_texts(texts, scenario, batches=rounds.batches)
    return (
        latency.batch_size == size
        and latency.batches == len(chosen) // size
        and len(latency.times_s) == latency.batches * rounds.rounds
        and latency.texts_sha256 == texts_sha256(chosen)
    )


def _loads(record: Record) -> Iterator[Load]:
    yield from (latency.load for latency in record.latency.values())
    yield from (speedup.load for speedup in record.speedups)
    if record.offline:
        yield record.offline.load

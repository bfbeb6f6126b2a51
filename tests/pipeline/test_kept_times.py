"""Times are kept where they would be of the same work, and where nothing speaks against them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from goemo_eval.measure.machine_load import Load
from goemo_eval.pipeline.assemble import add_times, measure
from goemo_eval.pipeline.fitting import Run
from goemo_eval.pipeline.kept_times import TIMES, kept_times
from goemo_eval.pipeline.plan import Rounds, Timing
from goemo_eval.records.schema import Cell, Record

TimedBeside = Callable[..., Record]

CELL = Cell(encoder="tiny", scheme="raw", engine="torch", precision="int8")
QUIET = Load(load_start=0.0, load_end=0.0, taken_by_others=0.0, spread=0.0)
BUSY = QUIET.model_copy(update={"reason": "others took half of the processors"})


@pytest.fixture
def run(run_of: Callable[..., Run]) -> Run:
    return run_of()


@pytest.fixture
def before(run: Run, timed_beside: TimedBeside) -> Record:
    return timed_beside(add_times(run, measure(run, CELL)), QUIET)


def test_stable_times_of_the_same_artifact_are_kept(run: Run, before: Record) -> None:
    now = measure(run, CELL)
    assert not now.latency
    found = kept_times(run, now, before)
    assert now.model_copy(update=found) == before.model_copy(
        update={"environment": now.environment, "memory": now.memory}
    )
    assert found.keys() == set(TIMES)
    assert kept_times(run, now, None) == {}


@pytest.mark.parametrize("field", ["latency", "speedups", "offline"])
def test_one_unstable_time_has_all_taken_again(
    run: Run, before: Record, timed_beside: TimedBeside, field: str
) -> None:
    assert kept_times(run, measure(run, CELL), timed_beside(before, BUSY, field)) == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"threads": 1},
        {"cpu_model": "another"},
        {"isa_limit": "avx2"},
        {"kernels": "others"},
        {"versions": {"torch": "0.1"}},
    ],
)
def test_another_machine(run: Run, before: Record, changed: dict[str, Any]) -> None:
    other = before.environment.model_copy(update=changed)
    assert (
        kept_times(run, measure(run, CELL), before.model_copy(update={"environment": other})) == {}
    )


def test_another_artifact_or_none(run: Run, before: Record) -> None:
    now = measure(run, CELL)
    assert now.artifact
    other = now.artifact.model_copy(update={"sha256": "0" * 64})
    assert kept_times(run, now, before.model_copy(update={"artifact": other})) == {}
    assert kept_times(run, now, before.model_copy(update={"artifact": None})) == {}
    bare = now.model_copy(update={"artifact": None})
    assert kept_times(run, bare, before.model_copy(update={"artifact": None})) == {}


@pytest.mark.parametrize(
    "timing",
    [
        Timing({"real": Rounds(2, 2)}, passes=2, offline_passes=1),
        Timing({"real": Rounds(1, 4), "single": Rounds(4, 1)}, passes=2, offline_passes=1),
        Timing({"real": Rounds(2, 3), "single": Rounds(4, 1)}, passes=2, offline_passes=1),
        Timing({"real": Rounds(2, 2), "single": Rounds(4, 1)}, passes=3, offline_passes=1),
        Timing({"real": Rounds(2, 2), "single": Rounds(4, 1)}, passes=0, offline_passes=1),
        Timing({"real": Rounds(2, 2), "single": Rounds(4, 1)}, passes=2, offline_passes=2),
        Timing({}, passes=0, offline_passes=0),
    ],
)
def test_timed_in_another_way(run_of: Callable[..., Run], before: Record, timing: Timing) -> None:
    other = run_of(timing=timing)
    assert kept_times(other, measure(other, CELL), before) == {}


def test_other_texts(run: Run, before: Record) -> None:
    real = before.latency["real"].model_copy(update={"texts_sha256": "0" * 64})
    other = before.model_copy(update={"latency": {**before.latency, "real": real}})
    now = measure(run, CELL)
    assert kept_times(run, now, other) == {}
    # The first batches may be the same where the rest of the split is not.
    test = before.data.splits["test"].model_copy(update={"sha256": "0" * 64})
    data = before.data.model_copy(update={"splits": {**before.data.splits, "test": test}})
    assert kept_times(run, now, before.model_copy(update={"data": data})) == {}


def test_timed_beside_other_cells(run: Run, before: Record) -> None:
    alone = before.model_copy(update={"speedups": ()})
    assert kept_times(run, measure(run, CELL), alone) == {}

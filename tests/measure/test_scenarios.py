from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from goemo_eval.engines.base import Predictor
from goemo_eval.errors import DataError
from goemo_eval.measure import machine_load
from goemo_eval.measure.machine_load import Load, Watch
from goemo_eval.measure.scenarios import (
    Latency,
    Timed,
    judge_spread,
    percentiles,
    summarize_times,
    time_batches,
    time_in_turns,
    time_offline,
    timed_batches,
)

QUIET = Load(load_start=0.0, load_end=0.0)
TEXTS = [f"text {i}" for i in range(70)]


class Counting:
    """A predictor that notes what it is asked for and takes its time."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.ran: list[Any] = []
        self.pause_s = pause_s

    def prepare(self, texts: Sequence[str], *, shape: str = "scored") -> list[tuple[str, ...]]:
        size = 1 if shape in ("single", "scored") else 32
        return [tuple(texts[i : i + size]) for i in range(0, len(texts), size)]

    def run(self, batches: Sequence[Any]) -> list[np.ndarray]:
        time.sleep(self.pause_s)
        self.ran += batches
        return [np.zeros((len(batch), 2), np.float32) for batch in batches]


def predictor(pause_s: float = 0.0) -> tuple[Predictor, Counting]:
    made = Counting(pause_s)
    return cast("Predictor", made), made


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=250))
def test_percentiles_are_ordered_and_p99_needs_a_hundred_times(times: list[float]) -> None:
    found = percentiles(times)
    assert found["p50_s"] == pytest.approx(float(np.median(times)))
    assert (found["p99_s"] is None) == (len(times) < 100)
    known = [v for v in found.values() if v is not None]
    assert known == sorted(known)


def test_a_latency_whose_percentiles_are_not_of_its_times_is_refused() -> None:
    times = (0.1, 0.2, 0.3)
    fields = {
        "batch_size": 32,
        "threads": 2,
        "texts_sha256": None,
        "batches": 3,
        "times_s": times,
        "load": QUIET,
    }
    Latency(**fields, **percentiles(times))
    with pytest.raises(ValidationError, match="p50_s"):
        Latency(**fields, **percentiles(times) | {"p50_s": 0.1})
    with pytest.raises(ValidationError, match="p99_s"):
        Latency(**fields, **percentiles(times) | {"p99_s": 0.3})


def test_every_batch_is_timed_equally_often_round_by_round() -> None:
    served, made = predictor()
    timed = timed_batches(served, TEXTS, "real", batches=5, rounds=3)
    latency = time_batches(timed, threads=2)
    assert (latency.batches, len(latency.times_s), latency.batch_size) == (2, 6, 32)
    assert made.ran[2:] == [tuple(TEXTS[:32]), tuple(TEXTS[32:64])] * 3
    again = timed_batches(served, TEXTS, "padded128", batches=2, rounds=1)
    assert again.texts_sha256 == timed.texts_sha256
    assert (
        timed_batches(served, TEXTS, "real", batches=1, rounds=1).texts_sha256 != again.texts_sha256
    )


def test_without_a_batch_one_text_alone_warms_up() -> None:
    served, made = predictor()
    latency = time_batches(
        timed_batches(served, TEXTS, "real", batches=1, rounds=3, warm_ups=0), threads=2
    )
    assert made.ran == [(TEXTS[0],), *[tuple(TEXTS[:32])] * 3]
    assert len(latency.times_s) == 3
    assert latency.p99_s is None


def test_single_is_text_in_scores_out() -> None:
    served, made = predictor()
    timed = timed_batches(served, TEXTS, "single", batches=200, rounds=1)
    assert (timed.batch_size, len(timed.calls)) == (1, 70)
    assert made.ran == []
    timed.calls[3]()
    assert made.ran == [("text 3",)]


def test_too_few_texts() -> None:
    with pytest.raises(DataError, match="at least one batch of 32 texts: got 3"):
        timed_batches(predictor()[0], TEXTS[:3], "real", batches=1, rounds=1)


def test_turns_go_round_and_every_pass_is_whole() -> None:
    (fast, made), (slow, _) = predictor(), predictor(0.001)
    seconds, load = time_in_turns([fast, slow], TEXTS, passes=2)
    assert [len(own) for own in seconds] == [2, 2]
    assert all(a < b for a, b in zip(*seconds, strict=True))
    assert sorted(made.ran[8:]) == sorted([(text,) for text in TEXTS] * 2)
    assert load.load_start is not None


def test_offline_counts_texts_a_second() -> None:
    found = time_offline(predictor(0.001)[0], TEXTS, passes=2, threads=1)
    assert found.texts == 70
    assert found.texts_per_s == pytest.approx(70 / np.median(found.passes_s))


def test_times_of_one_batch_that_scatter_are_unstable_and_batches_that_differ_are_not() -> None:
    even = [0.1, 0.5] * 10
    assert judge_spread(QUIET, even, batches=2).stable
    uneven = [0.1, 0.5, 0.2, 0.9] * 5
    found = judge_spread(QUIET, uneven, batches=2)
    assert not found.stable
    assert "spread by" in found.reason
    assert judge_spread(QUIET, [0.1], batches=1).stable


def test_a_machine_that_others_use_is_unstable(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0])
    busy, own = iter([100.0, 109.0]), iter([50.0, 55.0])
    monkeypatch.setattr(machine_load.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(machine_load, "_busy_s", lambda: next(busy))
    monkeypatch.setattr(machine_load, "_own_s", lambda: next(own))
    monkeypatch.setattr(machine_load.os, "cpu_count", lambda: 2)
    with Watch() as watch:
        pass
    assert watch.load.taken_by_others == 0.2
    assert watch.load.reason == "other processes took 20% of the processors"


def test_a_summary_keeps_every_time() -> None:
    timed = Timed("real", 32, "c" * 64, (lambda: None,) * 2, 2)
    found = summarize_times([0.1, 0.2, 0.1, 0.2], timed, threads=3, load=QUIET)
    assert found.times_s == (0.1, 0.2, 0.1, 0.2)
    assert found.threads == 3
    assert found.load.stable

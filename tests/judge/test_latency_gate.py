from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goemo_eval.judge.gate import gate
from goemo_eval.judge.latency_gate import judge_slowdown, judge_speedup
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.scenarios import Latency
from goemo_eval.records.schema import Record, Speedup

Make = Callable[..., Record]


@pytest.fixture
def timed(make_latency: Callable[..., Latency]) -> Callable[..., Record]:
    """A record with times of its own."""

    def with_times(record: Record, median_s: float, *, rounds: int = 30, **fields: Any) -> Record:
        times = median_s * np.random.default_rng(0).normal(1, 0.05, rounds)
        latency = make_latency(times.tolist(), **fields)
        return record.model_copy(update={"latency": {"real": latency}})

    return with_times


Timed = Callable[..., Record]
BUSY = Load(load_start=3.0, load_end=3.0, reason="other processes took 40% of the processors")


def on(record: Record, **environment: Any) -> Record:
    changed = record.environment.model_copy(update=environment)
    return record.model_copy(update={"environment": changed})


@pytest.mark.parametrize(
    ("slower", "status"),
    [(1.0, "pass"), (1.05, "pass"), (1.104, "inconclusive"), (1.3, "regression")],
)
def test_slowdown(make_record: Make, timed: Timed, slower: float, status: str) -> None:
    old, new = timed(make_record(), 0.1), timed(make_record(), 0.1 * slower)
    verdict = judge_slowdown(old, new, limit=1.1, alpha=0.05)
    assert verdict.status == status
    assert verdict.ratio == pytest.approx(slower)
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.low < slower < verdict.high


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: on(r, cpu_model="another"), "CPU model differs (a cpu and another)"),
        (lambda r: on(r, isa_flags=("avx2", "fma")), "ISA flags differ"),
        (lambda r: on(r, engine_isa="AVX512"), "torch's ISA differs"),
        (
            lambda r: on(r, versions={"torch": "2.14.0"}),
            "torch version differs (2.13.0 and 2.14.0)",
        ),
        (lambda r: on(r, threads=4), "threads differ (2 and 4)"),
        (lambda r: r.model_copy(update={"latency": {}}), "the candidate keeps no latencies"),
    ],
)
def test_another_machine(
    make_record: Make, timed: Timed, change: Callable[[Record], Record], message: str
) -> None:
    old = timed(make_record(), 0.1)
    verdict = judge_slowdown(old, change(timed(make_record(), 0.1)), limit=1.1, alpha=0.05)
    assert verdict.status == "not-comparable"
    assert message in verdict.reason
    assert verdict.differing


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 8}, "real: batch size differs"),
        ({"load": BUSY}, "times are unstable"),
        ({"load": BUSY}, "other processes took 40% of the processors"),
        ({"texts_sha256": "d" * 64}, "real: timed texts differ"),
        ({"rounds": 29}, "real: batches differ"),
    ],
)
def test_times_that_support_no_verdict(
    make_record: Make, timed: Timed, fields: dict[str, Any], message: str, side: int
) -> None:
    pair = [timed(make_record(), 0.1), timed(make_record(), 0.5)]
    pair[side] = timed(make_record(), 0.1, **fields)
    verdict = judge_slowdown(*pair, limit=1.1, alpha=0.05)
    assert verdict.status == "not-comparable"
    assert message in verdict.reason


def test_an_unstable_speedup_supports_no_verdict(make_record: Make) -> None:
    record = raced(make_record("int8"), 1.1, 1.1, 1.1)
    assert judge_speedup(record, limit=1.5, alpha=0.05).status == "regression"
    (speedup,) = record.speedups
    busy = record.model_copy(update={"speedups": (speedup.model_copy(update={"load": BUSY}),)})
    verdict = judge_speedup(busy, limit=1.5, alpha=0.05)
    assert verdict.status == "not-comparable"
    assert "times are unstable: other processes took 40%" in verdict.reason


def raced(record: Record, *ratios: float) -> Record:
    reference = record.cell.at("fp32").id
    speedup = Speedup(
        reference=reference,
        reference_s=tuple(ratios),
        candidate_s=tuple(1.0 for _ in ratios),
        load=Load(load_start=None, load_end=None),
    )
    return record.model_copy(update={"speedups": (speedup,)})


@pytest.mark.parametrize(
    ("ratios", "status"),
    [
        ((1.8, 1.9, 1.85, 1.8), "pass"),
        ((1.45, 1.52, 1.40, 1.50), "inconclusive"),
        ((1.2, 1.21, 1.19, 1.2), "regression"),
        ((1.2,), "inconclusive"),
    ],
)
def test_speedup(make_record: Make, ratios: tuple[float, ...], status: str) -> None:
    verdict = judge_speedup(raced(make_record("int8"), *ratios), limit=1.5, alpha=0.05)
    assert verdict.status == status


def test_speedup_interval_is_students(make_record: Make) -> None:
    from scipy.stats import ttest_1samp

    ratios = (1.8, 1.9, 1.85, 1.7)
    verdict = judge_speedup(raced(make_record("int8"), *ratios), limit=1.5, alpha=0.05)
    interval = ttest_1samp(np.log(ratios), 0).confidence_interval(0.9)
    assert (verdict.low, verdict.high) == pytest.approx(tuple(np.exp(interval)))


def test_a_slow_cell_fails_the_gate(make_record: Make, timed: Timed) -> None:
    old, new = timed(make_record("int8"), 0.1), timed(make_record("int8"), 0.2)
    options: dict[str, Any] = {"n_resamples": 100}
    assert gate([old], [new], **options).status == "pass"
    verdict = gate([old], [new], max_slowdown=1.2, **options)
    assert verdict.status == "regression"
    assert "slowdown: 2.00x" in verdict.cells[0].reason
    assert gate([old], [old], min_speedup=1.5, **options).status == "pass"
    verdict = gate([old], [on(old, threads=1)], max_slowdown=1.2, **options)
    assert verdict.status == "not-comparable"
    assert verdict.cells[0].differing == ("threads differ (2 and 1)",)

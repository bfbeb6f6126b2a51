from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.scenarios import Latency, Throughput
from goemo_eval.records.comparable import comparable, comparable_set
from goemo_eval.records.decisions import pack_decisions, unpack_decisions
from goemo_eval.records.schema import Cell, Record, SplitData

Make = Callable[..., Record]
MakeLatency = Callable[..., Latency]
BUSY = Load(load_start=7.0, load_end=8.0, reason="other processes took 40% of the processors")


def split(record: Record, **splits: SplitData) -> Record:
    data = record.data.model_copy(update={"splits": {**record.data.splits, **splits}})
    return record.model_copy(update={"data": data})


def machine(record: Record, **what: Any) -> Record:
    return record.model_copy(update={"environment": record.environment.model_copy(update=what)})


def timed(record: Record, scenario: str, latency: Latency | None) -> Record:
    latencies = {**record.latency, scenario: latency} if latency else {}
    return record.model_copy(update={"latency": latencies})


def test_a_record_compares_with_itself_and_its_twin(make_record: Make) -> None:
    fp32, int8 = make_record(), make_record("int8", wrong=0.4)
    for what in ("scores", "times"):
        assert comparable(fp32, fp32, what) == comparable(fp32, int8, what) == []  # type: ignore[arg-type]
    assert comparable_set([fp32, int8, fp32], "scores") == []
    assert comparable_set([], "scores") == comparable_set([], "times") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda r: split(r, test=SplitData(sha256="e" * 64, rows=500)),
            "test split sha256 differs",
        ),
        (lambda r: r.model_copy(update={"kind": "multilabel"}), "scheme kind differs"),
        (lambda r: r.model_copy(update={"labels": r.labels[::-1]}), "label order differs (joy and"),
        (
            lambda r: r.model_copy(update={"labels": r.labels[:2]}),
            "label order differs (in one alone: neutral)",
        ),
        (lambda r: r.model_copy(update={"dominance": "votes"}), "dominance rule differs (frequent"),
        (
            lambda r: r.model_copy(update={"cell": r.cell.model_copy(update={"scheme": "mine"})}),
            "scheme differs (simplified and mine)",
        ),
    ],
)
def test_what_keeps_scores_apart(
    make_record: Make, change: Callable[[Record], Record], message: str
) -> None:
    a, b = make_record(), change(make_record())
    (found,) = comparable(a, b, "scores")
    assert found.startswith(message)
    assert len(comparable(b, a, "scores")) == 1


def test_only_the_test_split_counts_for_scores_and_no_name(make_record: Make) -> None:
    a = make_record()
    b = split(a, train=SplitData(sha256="f" * 64, rows=3))
    renamed = b.data.model_copy(update={"name": "tickets", "source": "elsewhere.csv"})
    assert comparable(a, b.model_copy(update={"data": renamed}), "scores") == []


def test_another_truth_under_the_same_names(make_record: Make) -> None:
    a = make_record()
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 500)
    b = a.model_copy(update={"decisions": pack_decisions(truth, truth, 3)})
    assert comparable(a, b, "scores") == [
        f"truth of the test split differs ({a.cell.id} and {a.cell.id})"
    ]
    # the same bits, deflated by another hand
    assert a.decisions
    bits = np.packbits(unpack_decisions(a.decisions)[0]).tobytes()
    stored = base64.b64encode(zlib.compress(bits, 0)).decode()
    assert stored != a.decisions.targets
    again = a.decisions.model_copy(update={"targets": stored})
    assert comparable(a, a.model_copy(update={"decisions": again}), "scores") == []


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"cpu_model": "b"}, "CPU model differs (a cpu and b)"),
        ({"isa_flags": ("avx2", "avx512_vnni")}, "ISA flags differ (in one alone: avx512_vnni)"),
        ({"isa_flags": ("neon",)}, "ISA flags differ (avx2 and neon)"),
        ({"isa_limit": "avx2"}, "ISA limit differs (None and avx2)"),
        ({"engine_isa": "AVX512"}, "torch's ISA differs (AVX2 and AVX512)"),
        ({"threads": 4}, "threads differ (2 and 4)"),
        ({"versions": {"torch": "2"}}, "torch version differs (2.13.0 and 2)"),
    ],
)
def test_what_keeps_times_apart(make_record: Make, what: dict[str, Any], message: str) -> None:
    a, b = make_record(), machine(make_record(), **what)
    assert comparable(a, b, "times") == [message]
    assert comparable(a, b, "scores") == []


def test_engines_of_one_machine_compare(make_record: Make) -> None:
    torch = make_record()
    cell = Cell(encoder="minilm", scheme="simplified", engine="openvino", precision="fp32")
    versions = {"torch": "2.99", "openvino": "2026.1"}
    openvino = machine(make_record(cell=cell), engine_isa="AVX512", versions=versions)
    assert comparable(torch, openvino, "times") == []
    newer = machine(openvino, versions={"openvino": "2027.0"})
    assert comparable_set([torch, openvino, newer], "times") == [
        "openvino version differs (2026.1 and 2027.0)"
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"texts_sha256": "d" * 64}, "real: timed texts differ (cccccccccccc and dddddddddddd)"),
        ({"texts_sha256": None}, "real: timed texts differ (cccccccccccc and None)"),
        ({"batches": 1}, "real: batches differ (3 and 1)"),
        ({"batch_size": 8}, "real: batch size differs (32 and 8)"),
        ({"threads": 1}, "real: threads differ (2 and 1)"),
        (
            {"load": BUSY},
            f"real: times are unstable (minilm-simplified-torch-fp32: {BUSY.reason})",
        ),
    ],
)
def test_the_same_batches_the_same_number_of_times(
    make_record: Make, make_latency: MakeLatency, fields: dict[str, Any], message: str
) -> None:
    a = make_record()
    b = timed(a, "real", make_latency([0.1, 0.2, 0.3], **fields))
    assert comparable(a, b, "times", scenario="real") == [message]
    assert comparable(b, a, "times") != []


def test_more_times_are_not_compared_with_fewer(
    make_record: Make, make_latency: MakeLatency
) -> None:
    a = timed(make_record(), "real", make_latency([0.1] * 4, batches=2))
    b = timed(make_record(), "real", make_latency([0.1] * 6, batches=2))
    assert comparable(a, b, "times") == ["real: number of times differs (4 and 6)"]


def test_schema_2_compares_with_itself(make_record: Make, make_latency: MakeLatency) -> None:
    old = timed(make_record(), "real", make_latency([0.1, 0.2, 0.3], texts_sha256=None))
    assert comparable(old, old, "times") == []


def test_scenarios_are_taken_one_by_one(make_record: Make, make_latency: MakeLatency) -> None:
    a = timed(make_record(), "single", make_latency([0.01] * 3, batch_size=1))
    b = timed(make_record(), "single", make_latency([0.01] * 3, batch_size=1, load=BUSY))
    assert comparable(a, b, "times", scenario="real") == []
    for found in (comparable(a, b, "times", scenario="single"), comparable(a, b, "times")):
        assert found[0].startswith("single: times are unstable")
    # what only one was timed in says nothing against the rest
    assert comparable(a, make_record(), "times") == []
    assert comparable(a, make_record(), "times", scenario="single") == [
        "no times of scenario single: minilm-simplified-torch-fp32"
    ]
    assert comparable(a, timed(a, "real", None), "times") == ["no scenario in which all were timed"]


def test_offline_passes(make_record: Make) -> None:
    load = Load(load_start=0, load_end=0)
    offline = Throughput(texts=500, threads=2, passes_s=(1.0, 1.1), load=load)
    a = make_record(offline=offline)
    assert comparable(a, a, "times", scenario="offline") == []
    for change, message in (
        ({"texts": 400}, "offline: timed texts differ (500 and 400)"),
        ({"passes_s": (1.0,)}, "offline: number of passes differs (2 and 1)"),
        ({"load": BUSY}, "offline: times are unstable (minilm-simplified-torch-fp32: other proc"),
    ):
        b = make_record(offline=offline.model_copy(update=change))
        (found,) = comparable(a, b, "times", scenario="offline")
        assert found.startswith(message)


def test_many_unstable_cells_are_one_line(make_record: Make, make_latency: MakeLatency) -> None:
    busy = make_latency([0.1, 0.2, 0.3], load=BUSY)
    cells = [
        Cell(encoder=f"e{i}", scheme="raw", engine="torch", precision="fp32") for i in range(9)
    ]
    records = [make_record(cell=cell, latency={"real": busy}) for cell in cells]
    (found,) = comparable_set(records, "times", "real")
    assert found.startswith(
        "real: times are unstable (e0-raw-torch-fp32, e1-raw-torch-fp32 and 7 m"
    )


def test_unknown_words(make_record: Make) -> None:
    a = make_record()
    with pytest.raises(RecordError, match="unknown comparison 'speed': known are scores, times"):
        comparable(a, a, "speed")  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="unknown scenario 'batch': known are offline, padded128"):
        comparable(a, a, "times", scenario="batch")

"""Real records of schema 2 (cut from committed reports), read as schema 3."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.records.comparable import comparable
from goemo_eval.records.files import dump_records, join_records, read_records
from goemo_eval.records.migrate import migrate
from goemo_eval.records.verified import verified_decisions

ROOT = Path(__file__).parents[2]
SCHEMA_2 = Path(__file__).parent / "schema2.json"


@pytest.fixture
def old() -> list[dict[str, Any]]:
    """A quiet FP32 and INT8 pair, and an INT8 cell of a busy machine."""
    records: list[dict[str, Any]] = json.loads(SCHEMA_2.read_text())["records"]
    return records


def test_old_records_are_read_and_written_as_new_ones(tmp_path: Path) -> None:
    records = read_records(SCHEMA_2)
    assert [r.cell.id for r in records] == [
        "minilm-raw-torch-fp32-s1",
        "minilm-raw-torch-int8-s1",
        "minilm-simplified-openvino-int8",
    ]
    assert join_records([SCHEMA_2])[1].title == "goemo_eval report: goemotions"
    again = tmp_path / "records.json"
    again.write_text(dump_records(records))
    assert json.loads(again.read_text())["schema_version"] == 3
    assert read_records(again) == records


def test_what_was_measured_stays(old: list[dict[str, Any]]) -> None:
    for before, after in zip(old, read_records(SCHEMA_2), strict=True):
        assert after.scores
        assert after.scores.test.macro_f1 == before["scores"]["test"]["macro_f1"]
        assert after.size_bytes == before["size_bytes"]
        for scenario in ("real", "padded128"):
            ours, theirs = after.latency[scenario], before["latency"][scenario]  # type: ignore[index]
            assert list(ours.times_s) == theirs["times_s"]
            assert (ours.p50_s, ours.p90_s) == (theirs["p50_s"], theirs["p90_s"])
            assert ours.p95_s == pytest.approx(np.percentile(theirs["times_s"], 95))
            assert ours.batches == len(ours.times_s)
        assert [s.ratio for s in after.speedups] == [
            pytest.approx(np.median(np.divide(s["reference_s"], s["candidate_s"])))
            for s in before["speedups"]
        ]
        assert verified_decisions(after)[0].shape[1] == len(after.labels)


def test_what_was_not_kept_is_none() -> None:
    for record in read_records(SCHEMA_2):
        assert record.memory is record.length is record.artifact is record.compute is None
        assert not record.smoothed
        for latency in record.latency.values():
            assert latency.texts_sha256 is None
            assert latency.p99_s is None  # of thirty times it was one of the largest


def test_load_makes_times_unstable() -> None:
    quiet, also_quiet, busy = read_records(SCHEMA_2)
    assert quiet.latency["real"].load.stable
    assert also_quiet.speedups[0].load.stable
    assert busy.environment.load_start == 6.6
    for load in (busy.latency["real"].load, busy.speedups[0].load):
        assert load.reason == "the load average was 6.6 beside 2 threads"
        assert not load.stable
    # the runner's own two threads are no load
    assert quiet.environment.load_end == 1.81


def test_times_of_schema_2_compare_only_where_as_many_were_taken(old: list[dict[str, Any]]) -> None:
    fp32, int8, _ = read_records(SCHEMA_2)
    assert (len(fp32.latency["real"].times_s), len(int8.latency["real"].times_s)) == (23, 30)
    found = comparable(fp32, int8, "times", scenario="real")
    assert "real: number of times differs (23 and 30)" in found
    assert comparable(int8, int8, "times", scenario="real") == []
    now = int8.latency["real"].model_copy(update={"texts_sha256": "d" * 64})
    newer = int8.model_copy(update={"latency": {"real": now}})
    assert comparable(int8, newer, "times", scenario="real") == [
        "real: timed texts differ (None and dddddddddddd)"
    ]


def test_the_data_set_is_known_by_its_test_split(old: list[dict[str, Any]]) -> None:
    assert {r.data.name for r in read_records(SCHEMA_2)} == {"goemotions"}
    other = copy.deepcopy(old[0])
    other["data"]["splits"]["test"]["sha256"] = "0" * 64
    assert migrate(other)["data"]["name"] == "tsv"


def test_a_short_split_was_gone_through_more_than_once(old: list[dict[str, Any]]) -> None:
    short = copy.deepcopy(old[1])
    short["data"]["splits"]["test"]["rows"] = 200
    assert migrate(short)["latency"]["real"]["batches"] == 6
    short["data"]["splits"]["test"]["rows"] = 3
    assert migrate(short)["latency"]["real"]["batches"] == 1


def test_p99_stays_of_a_hundred_times(old: list[dict[str, Any]]) -> None:
    many = copy.deepcopy(old[1])
    times = np.linspace(0.1, 0.2, 100).tolist()
    p50, p90, p99 = np.percentile(times, [50, 90, 99]).tolist()
    many["latency"] = {"real": {"batch_size": 32, "threads": 2, "times_s": times}}
    many["latency"]["real"] |= {"p50_s": p50, "p90_s": p90, "p99_s": p99}
    assert migrate(many)["latency"]["real"]["p99_s"] == p99


def test_migration_is_pure_and_leaves_what_is_malformed(old: list[dict[str, Any]]) -> None:
    before = copy.deepcopy(old)
    for entry in old:
        migrate(entry)
    assert old == before
    strange: dict[str, Any] = {
        "latency": {"real": 3, "padded128": {"times_s": ["x"], "batch_size": 32}},
        "speedups": [None],
        "environment": [],
        "data": {"splits": 5, "source": None},
    }
    found = migrate(strange)
    assert found["latency"] == strange["latency"]
    assert found["speedups"] == [None]
    assert migrate({"latency": 1, "speedups": 2, "data": 3}) == {
        "latency": 1,
        "speedups": 2,
        "data": 3,
    }


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("latency", "real", "p50_s"), 0.001, "p50_s 0.001 does not follow from times_s"),
        (("scores", "test", "macro_f1"), 0.9, "macro_f1, 0.9, does not follow from tp, fp and fn"),
        (("cell", "seed"), True, r"cell.seed: Input should be a valid integer .*schemas 2 to 3"),
        (("environment", "threads"), "2", "environment.threads: Input should be a valid integer"),
        (("memory",), {"x": 1}, "memory"),
    ],
)
def test_lies_of_old_records_are_refused_too(
    old: list[dict[str, Any]], tmp_path: Path, where: tuple[str, ...], value: Any, message: str
) -> None:
    inner: Any = old[0]
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    path = tmp_path / "records.json"
    path.write_text(json.dumps({"schema_version": 2, "records": old}))
    with pytest.raises(RecordError, match=f"record 0: .*{message}"):
        read_records(path)


@pytest.mark.parametrize(
    "file",
    [
        "reports/goemotions/records.json",
        "reports/goemotions-seeds/records.json",
        "reports/goemotions-study/records.json",
        "bench/baselines/sample.json",
    ],
)
def test_committed_records_are_read(file: str) -> None:
    records = read_records(ROOT / file)
    assert {r.data.name for r in records} <= {"goemotions", "sample"}
    assert all(verified_decisions(r)[0].any() for r in records if r.scores)

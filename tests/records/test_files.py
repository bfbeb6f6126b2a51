from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from goemo_eval.errors import RecordError
from goemo_eval.records.files import (
    Provenance,
    dump_records,
    embed,
    join_records,
    read_records,
)
from goemo_eval.records.schema import Data, Record, SplitData

Make = Callable[..., Record]
SCHEMA_2 = Path(__file__).parent / "schema2.json"


def test_round_trip_through_both_forms(make_record: Make, tmp_path: Path) -> None:
    records = [make_record(), make_record("int8")]
    plain = tmp_path / "records.json"
    plain.write_text(dump_records(reversed(records)))
    assert read_records(plain) == records  # sorted by id

    rows = [{"name": "t", "extra_info": {"goemo": embed(r)}} for r in records]
    rows += [rows[0], {"name": "someone else's benchmark", "extra_info": {}}]
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps({"benchmarks": rows}))
    assert read_records(bench) == records


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1]", "neither a records.json nor a pytest-benchmark file"),
        ('{"hello": 1}', "neither a records.json nor a pytest-benchmark file"),
        ('{"benchmarks": []}', "holds no goemo records"),
        ('{"benchmarks": [{"extra_info": {"goemo": {"cell": 3}}}]}', "benchmark 0: cell"),
        ('{"schema_version": 99, "records": []}', "schema_version 99: .* reads schemas 2 to 3"),
        ('{"schema_version": true, "records": []}', "schema_version True: "),
        ('{"schema_version": "3", "records": []}', "schema_version '3': "),
        ('{"records": []}', "schema_version None: "),
        ('{"schema_version": 3, "records": []}', "holds no goemo records"),
        ('{"schema_version": 3, "records": [NaN]}', "record 0: nan is no number"),
        ('{"schema_version": 3, "records": [{"cell": 1e999}]}', "record 0: cell: inf is no number"),
        ('{"schema_version": 3, "records": [[]]}', "record 0: record: Input should be an object"),
        ('{"schema_version": 3, "records": [], "record": []}', "unknown key 'record'"),
        ('{"schema_version": 3, "schema_version": 3, "records": []}', "stands twice"),
        ('{"schema_version": 3, "records": [' + "1" * 5000 + "]}", "not JSON"),
        ('{"benchmarks": [{"extra_info": {"goemo": null}}]}', "benchmark 0: record"),
        ('{"benchmarks": [{"extra_info": {"goemo": {"schema_version": 4}}}]}', "schema_version 4"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=message):
        read_records(path)


def test_two_records_of_one_cell_that_differ(make_record: Make, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text(dump_records([make_record(), make_record(wrong=0.5)]))
    with pytest.raises(RecordError, match="another record of cell minilm-simplified-torch-fp32"):
        read_records(path)


def test_a_record_of_schema_1_says_what_to_do(make_record: Make, tmp_path: Path) -> None:
    """As schema 1 wrote it: one speedup, no decisions."""
    content = json.loads(SCHEMA_2.read_text())
    content["schema_version"] = 1
    record = content["records"][0]
    for name in ("speedups", "decisions", "calibration", "threshold_curves", "precision_search"):
        record.pop(name, None)
    record["speedup"] = None
    path = tmp_path / "old.json"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"schema_version 1: .* 2 to 3; run the bench again"):
        read_records(path)
    rows = [{"extra_info": {"goemo": record}}]
    path.write_text(json.dumps({"benchmarks": rows}))
    with pytest.raises(RecordError, match=r"speedup: Extra inputs .* reads schemas 2 to 3"):
        read_records(path)


def test_nan_in_anothers_row_does_not_hurt(make_record: Make, tmp_path: Path) -> None:
    """pytest-benchmark itself writes NaN where a row has no deviation."""
    ours = {"extra_info": {"goemo": embed(make_record())}, "stats": {"stddev": float("nan")}}
    theirs = {"name": "x", "extra_info": {"share": float("inf")}, "stats": {"mean": float("nan")}}
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"benchmarks": [theirs, ours]}))
    assert "NaN" in path.read_text()
    assert read_records(path) == [make_record()]


def test_text_that_reading_would_refuse_is_escaped_on_writing(
    make_record: Make, tmp_path: Path
) -> None:
    environment = make_record().environment.model_copy(update={"git_commit": "a\x1b[31mb"})
    reason = "line one\nline two\u202e\ud800"
    record = make_record(scored=False, environment=environment, unscored_reason=reason)
    path = tmp_path / "records.json"
    path.write_text(dump_records([record]))
    (found,) = read_records(path)
    assert found.environment.git_commit == "a\\x1b[31mb"
    assert found.unscored_reason == "line one line two\\u202e\\ud800"
    path.write_text(dump_records([record], Provenance(title="\x1b", command="one\ntwo\x07")))
    assert join_records([path])[1] == Provenance(title="\\x1b", command="one\ntwo\\x07")


def test_many_seeds(make_record: Make, tmp_path: Path) -> None:
    base = make_record()
    records = [
        base.model_copy(update={"cell": base.cell.model_copy(update={"seed": seed})})
        for seed in range(300)
    ]
    path = tmp_path / "records.json"
    path.write_text(dump_records(records))
    assert len(read_records(path)) == 300


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot read"):
        read_records(tmp_path / "nowhere.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="byte 0xff at offset 0 is not UTF-8"):
        read_records(tmp_path / "binary")
    with pytest.raises(RecordError, match="no regular file"):
        read_records("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordError, match="no regular file"):
        join_records([tmp_path / "pipe"])


def test_provenance_travels_with_the_records(make_record: Make, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    said = Provenance(title="a title", command="a command")
    path.write_text(dump_records([make_record()], said))
    assert join_records([path])[1] == said
    assert read_records(path) == [make_record()]
    path.write_text(dump_records([make_record()]))
    assert join_records([path])[1] == Provenance()
    content = json.loads(path.read_text()) | {"provenance": {"colour": "red"}}
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="provenance"):
        join_records([path])


def test_records_of_several_runs_are_joined(make_record: Make, tmp_path: Path) -> None:
    fp32, int8 = make_record(), make_record("int8")
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    a.write_text(dump_records([fp32], Provenance(command="first")))
    b.write_text(dump_records([int8, fp32], Provenance(title="a title", command="second")))
    joined, said = join_records([a, b])
    assert joined == [fp32, int8]
    assert said == Provenance(title="a title", command="first\nsecond")

    b.write_text(dump_records([make_record(wrong=0.3)]))
    with pytest.raises(RecordError, match=r"another record of cell .* is in .*a.json: leave one"):
        join_records([a, b])
    elsewhere = Data(
        name="x", source="x", revision=None, splits={"test": SplitData(sha256="c" * 8, rows=500)}
    )
    b.write_text(dump_records([make_record("int8", data=elsewhere)]))
    with pytest.raises(RecordError, match="measured on other data"):
        join_records([a, b])


def test_rows_without_a_schema_are_told_apart_by_what_they_hold(
    make_record: Make, tmp_path: Path
) -> None:
    path = tmp_path / "bench.json"
    old = json.loads(SCHEMA_2.read_text())["records"]
    rows = [{"extra_info": {"goemo": values}} for values in old]
    rows.append({"extra_info": {"goemo": make_record().model_dump(mode="json")}})
    path.write_text(json.dumps({"benchmarks": rows}))
    found = read_records(path)
    assert found == sorted([*read_records(SCHEMA_2), make_record()], key=lambda r: r.cell.id)

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goemo_eval.errors import RecordError
from goemo_eval.records.files import (
    Provenance,
    dump_records,
    join_records,
    read_provenance,
    read_records,
)
from goemo_eval.records.schema import Data, Record, SplitData

Make = Callable[..., Record]


def test_round_trip_through_both_forms(make_record: Make, tmp_path: Path) -> None:
    records = [make_record(), make_record("int8")]
    plain = tmp_path / "records.json"
    plain.write_text(dump_records(reversed(records)))
    assert read_records(plain) == records  # sorted by id

    rows = [{"name": "t", "extra_info": {"goemo": r.model_dump(mode="json")}} for r in records]
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
        ('{"schema_version": 99, "records": []}', "schema_version 99: this goemo_eval reads 2"),
        ('{"schema_version": 1, "records": [NaN]}', "NaN is no number"),
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
    content = json.loads(dump_records([make_record()]))
    content["schema_version"] = 1
    (record,) = content["records"]
    for name in ("speedups", "decisions", "calibration", "threshold_curves", "precision_search"):
        record.pop(name, None)
    record["speedup"] = None
    path = tmp_path / "old.json"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"schema_version 1: .* reads 2; run the bench again"):
        read_records(path)
    rows = [{"extra_info": {"goemo": record}}]
    path.write_text(json.dumps({"benchmarks": rows}))
    with pytest.raises(RecordError, match=r"speedup: Extra inputs .* reads schema 2"):
        read_records(path)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot read"):
        read_records(tmp_path / "nowhere.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="not JSON"):
        read_records(tmp_path / "binary")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_record_is_an_error_or_the_record(
    make_record: Make, tmp_path: Path, data: st.DataObject
) -> None:
    """Replace any one value of the file by any other: never another exception."""
    content: Any = json.loads(dump_records([make_record("int8")]))
    where = content
    while True:
        keys = list(where) if isinstance(where, dict) else range(len(where))
        key = data.draw(st.sampled_from(list(keys)))
        inside = where[key]
        if not isinstance(inside, dict | list) or not inside or data.draw(st.booleans()):
            where[key] = data.draw(json_values)
            break
        where = inside
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(content))
    try:
        assert all(isinstance(record, Record) for record in read_records(path))
    except RecordError as error:
        assert str(path) in str(error)


def test_provenance_travels_with_the_records(make_record: Make, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    said = Provenance(title="a title", command="a command")
    path.write_text(dump_records([make_record()], said))
    assert read_provenance(path) == said
    assert read_records(path) == [make_record()]
    path.write_text(dump_records([make_record()]))
    assert read_provenance(path) == Provenance()
    path.write_text('{"provenance": {"colour": "red"}}')
    with pytest.raises(RecordError, match="provenance"):
        read_provenance(path)


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
    elsewhere = Data(source="x", revision=None, splits={"test": SplitData(sha256="c" * 8, rows=5)})
    b.write_text(dump_records([make_record("int8", data=elsewhere)]))
    with pytest.raises(RecordError, match="measured on other data"):
        join_records([a, b])

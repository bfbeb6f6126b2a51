"""Files that were damaged anywhere: a record that is true of itself, or one line that names the file."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goemo_eval.errors import RecordError
from goemo_eval.records.files import dump_records, read_records
from goemo_eval.records.schema import Record

Make = Callable[..., Record]
SCHEMA_2 = Path(__file__).parent / "schema2.json"

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**301)
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def read_or_refuse(path: Path) -> None:
    try:
        assert all(isinstance(record, Record) for record in read_records(path))
    except RecordError as error:
        assert str(error).startswith(str(path))
        assert str(error).isprintable()
        assert len(str(error)) < len(str(path)) + 700


def damaged(content: Any, data: st.DataObject) -> Any:
    """Replace one value of the content by any other, or take it away."""
    content = copy.deepcopy(content)
    where: Any = content
    while True:
        keys = list(where) if isinstance(where, dict) else range(len(where))
        key = data.draw(st.sampled_from(list(keys)))
        inside = where[key]
        if not isinstance(inside, dict | list) or not inside or data.draw(st.integers(0, 4)) == 0:
            if isinstance(where, dict) and data.draw(st.booleans()):
                del where[key]
            else:
                where[key] = data.draw(json_values)
            return content
        where = inside


@pytest.fixture(scope="module")
def new(make_record: Make) -> Any:
    return json.loads(dump_records([make_record("int8")]))


@pytest.fixture(scope="module")
def old() -> Any:
    content = json.loads(SCHEMA_2.read_text())
    return content | {"records": content["records"][1:2]}


@pytest.mark.parametrize("schema", [2, 3])
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_value_by_any_other(
    new: Any, old: Any, tmp_path: Path, schema: int, data: st.DataObject
) -> None:
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(damaged(new if schema == 3 else old, data)))
    read_or_refuse(path)


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_cut_off_and_flipped(new: Any, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(json.dumps(new).encode())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.json"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    read_or_refuse(path)


@given(content=json_values)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "some.json"
    for wrapped in (
        content,
        {"schema_version": 3, "records": [content]},
        {"schema_version": 2, "records": content},
        {"benchmarks": [{"extra_info": {"goemo": content}}]},
    ):
        path.write_text(json.dumps(wrapped))
        read_or_refuse(path)

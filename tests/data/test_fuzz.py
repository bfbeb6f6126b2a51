"""Whatever bytes come: a data set, or a DataError in one line that can be printed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goemo_eval.data.dataset import Dataset
from goemo_eval.data.describe import describe
from goemo_eval.data.readers.form import SUFFIXES
from goemo_eval.data.sources import load_dataset
from goemo_eval.errors import DataError

NAMES = ("joy", "fear", "anger")
ROWS = [(f"text number {i}", NAMES[i % 3], f"id{i}") for i in range(24)]


def csv_bytes(rows: list[tuple[str, ...]], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    # with "\r\n" between rows, csv.writer quotes a lone "\r", too
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


def parquet_bytes(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


HEADER = ("text", "labels", "id")
GOOD = {
    "published.tsv": b"".join(b"text %d\t%d\tid%d\n" % (i, 27 - i % 3, i) for i in range(24)),
    "quoted.tsv": csv_bytes([HEADER, *((f'"{t}"', n, i) for t, n, i in ROWS)], "\t"),
    "data.csv": csv_bytes([HEADER, *((f"{t}, he said", n, i) for t, n, i in ROWS)]),
    "lines.txt": b"".join(f"{t};{n}\n".encode() for t, n, _ in ROWS),
    "data.jsonl": b"".join(
        json.dumps({"text": t, "labels": [n]}).encode() + b"\n" for t, n, _ in ROWS
    ),
    "data.parquet": parquet_bytes(
        text=[t for t, _, _ in ROWS], labels=[[n] for _, n, _ in ROWS], id=[i for _, _, i in ROWS]
    ),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def check(path: Path, content: bytes, **options: Any) -> Dataset | None:
    path.write_bytes(content)
    found = None
    for look in (lambda: load_dataset(path, **options), lambda: describe(path)):
        try:
            result = look()
        except DataError as error:
            line = str(error)
            assert line
            assert line.isprintable(), repr(line)
            assert len(line) < 1_000
        else:
            found = result if isinstance(result, Dataset) else found
    return found


# bytes that readers care for, so that they are found in few examples
TOKENS = st.sampled_from(
    [
        *(b"\t", b",", b";", b"|", b'"', b'""', b"\n", b"\r\n", b"\r", b"\0", b"\xef\xbb\xbf"),
        *(b"text", b"labels", b"id", b"27", b"-1", b"0", b"1", b"joy", b"\xff", b"\xe2\x80\xa8"),
        *(b'{"text": "a", "labels": ["joy"]}', b"[", b"]", b"{", b"}", b"null", b"NaN", b"1e999"),
        *(b"\\ud800", b"\x1b[31m", b"PAR1", b"\xed\xa0\x80", "\uff13".encode(), b"9" * 400),
    ]
)
JUNK = st.lists(TOKENS | st.binary(max_size=8), max_size=60).map(b"".join)


@given(st.sampled_from(SUFFIXES), JUNK)
@example(".csv", b"text,labels\n" + b'"' * 9)
@example(".txt", b";\n")
def test_any_bytes(directory: Path, suffix: str, content: bytes) -> None:
    check(directory / f"any{suffix}", content)


@given(
    st.sampled_from(sorted(GOOD)),
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 12), TOKENS | st.binary(max_size=6)),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_good_files_with_a_few_bytes_changed(
    directory: Path, name: str, changes: list[tuple[float, int, bytes]], several: bool
) -> None:
    content = GOOD[name]
    for where, length, put in changes:
        at = int(where * len(content))
        content = content[:at] + put + content[at + length :]
    check(directory / name, content, **({"separator": ","} if several else {}))


def test_the_good_files_are_good(directory: Path) -> None:
    for name, content in GOOD.items():
        dataset = check(directory / name, content)
        assert dataset is not None
        assert sum(map(len, dataset.splits.values())) == 24


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
CELLS = JSON | st.sampled_from(NAMES) | st.lists(st.sampled_from(NAMES), max_size=3)


@given(st.lists(st.tuples(CELLS | st.text(), CELLS, CELLS), min_size=1, max_size=16), st.booleans())
def test_any_cells_of_json(directory: Path, rows: list[tuple[Any, Any, Any]], flags: bool) -> None:
    content = "".join(json.dumps(dict(zip(HEADER, row, strict=True))) + "\n" for row in rows)
    options: dict[str, Any] = {"labels": ["labels"]} if flags else {}
    check(directory / "cells.jsonl", content.encode(), ids="id", **options)


ARROW = st.sampled_from(
    [
        *(
            pa.array([None, None]),
            pa.array([1, 2]),
            pa.array([1.5, float("nan")]),
            pa.array(["a", "b"]),
        ),
        *(pa.array([b"a", b"\xff"]), pa.array([[1], None]), pa.array([["a", None], []])),
        *(
            pa.array([{"a": 1}, None]),
            pa.array([True, False]),
            pa.array(["a", "a"]).dictionary_encode(),
        ),
        pa.array([b"\xff", b"a"]).view(pa.string()),
        pa.array(["a\ud7ff", "\0"]),
        pa.array([0, 1], pa.timestamp("s")),
        pa.array([2**63, 1], pa.uint64()),
        pa.array([[[1]], [[2]]]),
        pa.array(["a", "b"], pa.string_view()),
    ]
)


@given(ARROW, ARROW, ARROW)
def test_any_columns_of_parquet(directory: Path, text: Any, labels: Any, ids: Any) -> None:
    check(directory / "columns.parquet", parquet_bytes(text=text, labels=labels, id=ids), ids="id")


# --- what is written is read


TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
).filter(str.strip)
NAME = st.sampled_from(["joy", "fear", "grief", "école", "so so", "4xx"])
TABLE = st.lists(
    st.tuples(TEXT, st.lists(NAME, max_size=3, unique=True)), min_size=12, max_size=20
).filter(
    lambda rows: (
        len({text for text, _ in rows}) >= 12
        and len({name for _, names in rows for name in names}) > 1
    )
)


def read_back(dataset: Dataset) -> list[tuple[str, list[str]]]:
    rows = {}
    for split in dataset.splits.values():
        for number, text, row in zip(split.ids, split.texts, split.labels, strict=True):
            own = [name for name, has in zip(dataset.labels, row, strict=True) if has]
            rows[int(number)] = (text, own)
    return [rows[number] for number in sorted(rows)]


@given(TABLE, st.sampled_from(["csv", "jsonl", "parquet"]))
def test_written_rows_are_read_back(
    directory: Path, rows: list[tuple[str, list[str]]], form: str
) -> None:
    if form == "csv":
        content = csv_bytes(
            [("text", "labels"), *((text, "|".join(names)) for text, names in rows)]
        )
        options = {"separator": "|"}
    elif form == "jsonl":
        content = "".join(
            json.dumps({"text": text, "labels": names}, ensure_ascii=False) + "\n"
            for text, names in rows
        ).encode()
        options = {}
    else:
        content = parquet_bytes(text=[t for t, _ in rows], labels=[names for _, names in rows])
        options = {}
    path = directory / f"back.{form}"
    path.write_bytes(content)
    dataset = load_dataset(path, **options)
    assert read_back(dataset) == [(text, sorted(names)) for text, names in rows]
    again = load_dataset(path, **options)
    assert {n: s.sha256 for n, s in again.splits.items()} == {
        n: s.sha256 for n, s in dataset.splits.items()
    }

"""What a look at a file finds is enough to load it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Value
from datasets import Dataset as HubDataset

from goemo_eval.data.describe import Findings, describe
from goemo_eval.data.goemotions import EMOTIONS
from goemo_eval.data.sources import load_dataset, sample_dir
from goemo_eval.errors import DataError

TICKETS = Path(__file__).parents[2] / "examples" / "tickets" / "tickets.csv"
NAMES = ("joy", "fear", "anger")


def write(path: Path, rows: Sequence[Sequence[Any]], delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def loads(findings: Findings, labels: int) -> None:
    """The file can be loaded with what was found, and has so many labels."""
    assert len(load_dataset(findings.path, **findings.options()).labels) == labels


def test_tickets() -> None:
    found = describe(TICKETS)
    assert (found.form, found.rows, found.columns) == ("csv", 600, ("id", "text", "labels"))
    assert found.options() == {"separator": ",", "ids": "id"}
    assert found.assumed == (
        "texts are in column 'text', by its name",
        "ids are in column 'id', by its name",
        "labels are in column 'labels', by its name",
        "'billing,bug' is several labels, between ','",
    )
    assert found.needed == ()
    loads(found, 6)


@pytest.mark.parametrize(
    ("name", "delimiter", "header", "row", "options", "labels"),
    [
        (
            "semeval.txt",
            "\t",
            ("ID", "Tweet", *NAMES),
            lambda i: (f"2018-En-{i}", f'"so" it is {i}', *(int(i % 3 == k) for k in range(3))),
            {"text": "Tweet", "labels": list(NAMES), "ids": "ID"},
            3,
        ),
        (
            "jigsaw.csv",
            ",",
            ("id", "comment_text", *NAMES),
            lambda i: (f"{i:x}", f"comment, {i}", *(int(i % 7 == k) for k in range(3))),
            {"text": "comment_text", "labels": list(NAMES), "ids": "id"},
            3,
        ),
        (
            "single.csv",
            ",",
            ("text", "label"),
            lambda i: (f"text {i}", NAMES[i % 3]),
            {"labels": "label"},
            3,
        ),
        (
            "unnamed.csv",
            ";",
            ("number", "what they wrote", "desk"),
            lambda i: (i, f"a longer text; of number {i}", NAMES[i % 3]),
            {"text": "what they wrote", "labels": "desk"},
            3,
        ),
        (
            "bars.tsv",
            "\t",
            ("Text", "Tags"),
            lambda i: (f"text {i}", f"{NAMES[i % 3]}|{NAMES[(i + 1) % 3]}" if i % 5 else NAMES[0]),
            {"text": "Text", "labels": "Tags", "separator": "|"},
            3,
        ),
        (
            "one.csv",
            ",",
            ("message", "spam"),
            lambda i: (f"text {i}", int(i % 3 == 0)),
            {"text": "message", "labels": ["spam"]},
            1,
        ),
        (
            "repeated-ids.csv",
            ",",
            ("id", "text", "labels"),
            lambda i: (i % 4, f"text {i}", NAMES[i % 3]),
            {},
            3,
        ),
    ],
)
def test_tables(
    name: str,
    delimiter: str,
    header: tuple[str, ...],
    row: Any,
    options: dict[str, Any],
    labels: int,
    tmp_path: Path,
) -> None:
    path = write(tmp_path / name, [header, *(row(i) for i in range(42))], delimiter)
    found = describe(path)
    assert found.options() == options
    assert found.needed == ()
    assert found.assumed
    loads(found, labels)


def test_forms_without_a_header(tmp_path: Path) -> None:
    found = describe(sample_dir())  # a directory: its training split
    assert (found.form, found.rows, found.options()) == ("published", 1_190, {})
    lines = tmp_path / "emotion.txt"
    lines.write_text("".join(f"i feel {i};{NAMES[i % 3]}\n" for i in range(30)))
    found = describe(lines)
    assert (found.form, found.rows, found.options()) == ("lines", 30, {})
    assert found.assumed == ("text;label stands on each line, without a header",)
    loads(found, 3)


def test_rater_files(tmp_path: Path) -> None:
    header = ("text", "id", "rater_id", "example_very_unclear", *EMOTIONS)
    rows = [
        (f"text {i}", f"id{i}", rater, False, *(int(i % 28 == k) for k in range(28)))
        for i in range(30)
        for rater in range(2)
    ]
    found = describe(write(tmp_path / "goemotions_1.csv", [header, *rows]))
    assert found.options() == {}
    assert found.assumed[0].startswith("these are GoEmotions' rater files")
    loads(found, 28)


def test_json_and_parquet(tmp_path: Path) -> None:
    rows = [{"uid": i, "sentence": f"text {i}", "emotions": [NAMES[i % 3]]} for i in range(30)]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"text": "sentence", "labels": "emotions", "ids": "uid"}
    assert describe(path).options() == options
    loads(describe(path), 3)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data.parquet")
    assert describe(tmp_path / "data.parquet").options() == options


def test_ids_need_names(tmp_path: Path) -> None:
    rows = [("text", "label"), *((f"text {i}", i % 3) for i in range(30))]
    path = write(tmp_path / "ids.csv", rows)
    [needed] = describe(path).needed
    assert needed.startswith("column 'label' holds ids: write ")
    assert "labels.txt with their names" in needed
    with pytest.raises(DataError, match="label '0' is an id, and nothing says"):
        load_dataset(path, **describe(path).options())
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))
    assert describe(path).needed == ()
    loads(describe(path), 3)
    named = HubDataset.from_dict(
        {"text": [f"text {i}" for i in range(30)], "label": [i % 3 for i in range(30)]},
        features=Features({"text": Value("string"), "label": ClassLabel(names=list(NAMES))}),
    )
    (tmp_path / "hub").mkdir()
    named.to_parquet(tmp_path / "hub" / "data.parquet")
    assert describe(tmp_path / "hub" / "data.parquet").needed == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n3,4\n", "no column looks like labels"),
        (b"text\nalone\n", "no column looks like texts: the columns are text"),
        (b"text,labels\n", "no rows under the header"),
        (b"n,m\n\n", "no rows under the header"),
        (
            b"text,other\nabc,x\ndef,y\nghi,z\n",
            "no column looks like labels: the columns are text, other",
        ),
        (b"words\n", "no column 'text': the first row holds"),
        (b"x,y\nsame,a\nsame,b\n", "no column looks like labels"),
    ],
)
def test_what_looks_like_no_data(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        describe(path)
    with pytest.raises(DataError, match="is no file or directory"):
        describe(tmp_path / "nowhere.csv")

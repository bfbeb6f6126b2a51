"""From a file of data to a gate, by the README alone: the same tickets in every form."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goemo_eval.cli.app import main
from goemo_eval.records.files import read_records
from goemo_eval.records.schema import Record

TICKETS = Path(__file__).parents[2] / "examples" / "tickets" / "tickets.csv"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    with TICKETS.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    return [row | {"labels": row["labels"].split(",") if row["labels"] else []} for row in found]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def write_csv(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def as_csv(path: Path, rows: Rows) -> None:
    path.write_bytes(TICKETS.read_bytes())


def as_lists_in_cells(path: Path, rows: Rows) -> None:
    write_csv(path, [row | {"labels": "|".join(row["labels"])} for row in rows])


def as_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def as_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def as_flags(path: Path, rows: Rows) -> None:
    names = sorted({label for row in rows for label in row["labels"]})
    flags = [{name: int(name in row["labels"]) for name in names} for row in rows]
    write_csv(
        path,
        [{"id": r["id"], "text": r["text"]} | f for r, f in zip(rows, flags, strict=True)],
    )


def as_single(path: Path, rows: Rows) -> None:
    write_csv(path, [{"text": r["text"], "label": r["labels"][0]} for r in rows if r["labels"]])


Write = Callable[[Path, Rows], None]


def from_file_to_gate(path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> list[Record]:
    """What someone types, and the records in the end."""

    def typed(*words: object) -> str:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out + err

    typed("init", path.name)
    said = typed("run", "--encoders", "tfidf", "--timing", "off", "--store", store, "--threads", 1)
    assert "report.md" in said
    (records,) = Path("reports").glob("*/records.json")
    assert "-->  tfidf-" in typed("recommend", records)
    typed("baseline", "set", records, "--out", "baseline.json")
    assert "pass: 2 pass" in typed("gate", "--baseline", "baseline.json", "--candidate", records)
    assert (records.parent / "report.html").is_file()
    return read_records(records)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("tickets.csv", as_csv),
        ("tickets.csv", as_lists_in_cells),
        ("tickets.jsonl", as_jsonl),
        ("tickets.parquet", as_parquet),
        ("tickets.csv", as_flags),
    ],
)
def test_one_data_set_whatever_the_form(
    rows: Rows,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    write: Write,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name, rows)
    before = {path.name for path in store.rglob("*-raw-*")}
    found = from_file_to_gate(tmp_path / name, store, capsys)
    assert [r.cell.id for r in found] == ["tfidf-raw-linear-fp32", "tfidf-raw-linear-int8"]
    for record in found:
        assert record.scores is not None
        assert record.scores.test.macro_f1 > 0.95
    # The same texts and labels: what one form made is found by the next.
    assert not before or {path.name for path in store.rglob("*-raw-*")} == before


def test_one_label_a_text(
    rows: Rows,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    as_single(tmp_path / "tickets.csv", rows)
    found = from_file_to_gate(tmp_path / "tickets.csv", store, capsys)
    assert [(r.cell.scheme, r.kind, r.dominance) for r in found] == [
        ("simplified", "multiclass", None)
    ] * 2
    assert len(found[0].labels) == 6

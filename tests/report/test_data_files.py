"""The numbers as data: all three forms hold the same, and it is what the records hold."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.records.schema import Record
from goemo_eval.report.data_files import data_files, data_tables
from goemo_eval.report.findings import find
from goemo_eval.report.render import write_data

Make = Callable[..., Record]


def test_all_forms_hold_the_same(full: list[Record], tmp_path: Path) -> None:
    written = {form: write_data(full, tmp_path, form) for form in ("csv", "parquet", "json")}
    for form, paths in written.items():
        assert [p.name for p in paths] == [f"{t}.{form}" for t in ("cells", "labels", "suspects")]
    for csv_file, parquet_file, json_file in zip(*written.values(), strict=True):
        rows = json.loads(json_file.read_text())
        assert pyarrow.parquet.read_table(parquet_file).to_pylist() == rows
        read = list(csv.DictReader(csv_file.read_text().splitlines()))
        assert len(read) == len(rows) > 0
        for one, other in zip(read, rows, strict=True):
            assert one == {k: "" if v is None else str(v) for k, v in other.items()}


def test_a_row_per_cell_and_one_per_label(full: list[Record]) -> None:
    tables = data_tables(find(full))
    assert [row["cell"] for row in tables["cells"]] == [
        r.cell.id
        for r in sorted(
            full,
            key=lambda r: (
                r.cell.encoder,
                r.cell.scheme,
                r.cell.engine != "torch",
                r.cell.precision,
            ),
        )
    ]
    by_id = {r.cell.id: r for r in full}
    for row in tables["cells"]:
        record = by_id[str(row["cell"])]
        assert record.scores
        assert row["test_macro_f1"] == record.scores.test.macro_f1
        assert row["real_p95_ms"] == pytest.approx(record.latency["real"].p95_s * 1e3)
        assert row["real_unstable"] == ""
        assert record.memory
        assert row["peak_rss_bytes"] == record.memory.peak_rss_bytes
        low, high = row["test_macro_f1_low"], row["test_macro_f1_high"]
        assert isinstance(low, float)
        assert isinstance(high, float)
        assert low < record.scores.test.macro_f1 < high
    assert len(tables["labels"]) == 18 * 4
    for row in tables["labels"]:
        record = by_id[str(row["cell"])]
        assert record.scores
        score = next(s for s in record.scores.test.per_label if s.label == row["label"])
        assert (row["f1"], row["fn"]) == (score.f1, score.fn)
        assert (row["threshold"] is None) == (record.cell.scheme == "simplified")
        assert (row["f1_minus_fp32"] is None) == (record.cell.precision == "fp32")


def test_a_label_is_no_formula_and_no_escape_code(full: list[Record]) -> None:
    record = full[0]
    assert record.scores
    evil = ("=1+1", "+2", "a\x1b[31m", "plain")
    content = record.model_dump()
    content["labels"] = evil
    for split in content["scores"].values():
        for label, score in zip(evil, split["per_label"], strict=True):
            score["label"] = label
    tables = data_tables(find([Record.model_validate(content)]))
    text = data_files(tables, "csv")["labels.csv"].decode()
    labels = [row["label"] for row in csv.DictReader(io.StringIO(text))]
    assert labels == ["'=1+1", "'+2", r"a\x1b[31m", "plain"]
    assert pyarrow.parquet.read_table(io.BytesIO(data_files(tables, "parquet")["labels.parquet"]))[
        "label"
    ].to_pylist() == ["=1+1", "+2", r"a\x1b[31m", "plain"]


def test_without_scores_the_tables_keep_their_heads(make_record: Make, tmp_path: Path) -> None:
    cells, labels, suspects = write_data([make_record(scored=False)], tmp_path, "csv")
    assert cells.read_text().count("\n") == 2
    assert labels.read_text() == "cell\n"
    assert suspects.read_text().startswith("scheme,row,has,")
    with pytest.raises(RecordError, match="no records"):
        write_data([], tmp_path, "csv")

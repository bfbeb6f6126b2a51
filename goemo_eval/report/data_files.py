"""Every number of a report as data: a row per cell, a row per label of each cell, the likely label errors.

CSV for people and spreadsheets, parquet for notebooks, JSON for other programs; all hold the same.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from goemo_eval.records.frames import Row, cell_row, label_rows
from goemo_eval.records.schema import Record
from goemo_eval.report.findings import Findings
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.suspects import LabelErrors
from goemo_eval.report.text import plain

Form = Literal["csv", "parquet", "json"]

FILES = {
    "cells.csv": "a row per cell: scores with intervals, times, sizes, memory, repair, machine",
    "labels.csv": "a row per label of each cell: precision, recall, F1, counts, threshold, ECE, flips of INT8 and BF16",
    "suspects.csv": "a row per likely error in the data's labels: which text, what it has, what all cells give",
    "cells.parquet": "the same as cells.csv",
    "labels.parquet": "the same as labels.csv",
    "records.json": "the records that all of this is made of",
}
_FORMULA = ("=", "+", "-", "@")
"""With these a spreadsheet begins a formula: a label must not be one."""


def data_tables(found: Findings) -> dict[str, list[Row]]:
    """Return the rows of ``cells``, ``labels`` and ``suspects``; rows of one table have equal keys."""
    view = found.view
    return {
        "cells": [cell_row(record) | _intervals(record, found.intervals) for record in view],
        "labels": [row for record in view for row in label_rows(record, view.twin(record))],
        "suspects": [row for noise in found.noise for row in _suspect_rows(noise)],
    }


def data_files(tables: Mapping[str, list[Row]], form: Form) -> dict[str, bytes]:
    """Return tables as files, name to content; the same tables give the same bytes."""
    write: Callable[[list[Row], str], bytes] = {"csv": _csv, "parquet": _parquet, "json": _json}[
        form
    ]
    return {f"{name}.{form}": write(rows, name) for name, rows in tables.items()}


def _intervals(record: Record, intervals: Intervals) -> Row:
    """Return what is known of a cell at the seed that is shown: 95 % intervals, and paired differences."""
    row: Row = {}
    for name, found in (
        ("test_macro_f1", intervals.scores),
        ("minus_fp32", intervals.twin),
        ("minus_best", intervals.best),
        ("minus_floor", intervals.floor),
    ):
        interval = found.get(record.cell.id)
        if found is not intervals.scores:
            row[name] = interval.point if interval else None
        row[f"{name}_low"] = interval.low if interval else None
        row[f"{name}_high"] = interval.high if interval else None
    return row


def _suspect_rows(found: LabelErrors) -> list[Row]:
    return [
        {
            "scheme": found.scheme,
            "row": suspect.row,
            "has": ", ".join(suspect.has),
            "all_give": ", ".join(suspect.given),
            "right_when_all_give_it": suspect.trust,
        }
        for suspect in found.suspects
    ]


_COLUMNS = {"suspects": ("scheme", "row", "has", "all_give", "right_when_all_give_it")}
"""Of tables that may have no rows."""


def _heads(rows: list[Row], name: str) -> Sequence[str]:
    return list(rows[0]) if rows else _COLUMNS.get(name, ("cell",))


def _csv(rows: list[Row], name: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads = _heads(rows, name)
    writer.writerow(heads)
    writer.writerows([_csv_value(row[head]) for head in heads] for row in rows)
    return out.getvalue().encode()


def _csv_value(value: Any) -> Any:
    if isinstance(value, str):
        text = plain(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return "" if value is None else value


def _json(rows: list[Row], _: str) -> bytes:
    return (json.dumps(rows, indent=1, allow_nan=False) + "\n").encode()


def _parquet(rows: list[Row], name: str) -> bytes:
    import pyarrow
    from pyarrow import parquet

    heads = _heads(rows, name)
    columns = {head: [_parquet_value(row[head]) for row in rows] for head in heads}
    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), out, compression="zstd")
    return out.getvalue()


def _parquet_value(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value

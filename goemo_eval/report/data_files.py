"""Every number of a report as data: a row per cell, a row per label of each cell, the likely label errors.

CSV for people and spreadsheets, parquet for notebooks, JSON for other programs; all hold the same.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal

from goemo_eval.measure.scenarios import SCENARIOS
from goemo_eval.measure.statistics import Interval
from goemo_eval.records.flips import LabelFlips, flips
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.findings import Findings
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.suspects import LabelErrors
from goemo_eval.report.text import plain

Form = Literal["csv", "parquet", "json"]
Row = dict[str, str | int | float | bool | None]

FILES = {
    "cells.csv": "a row per cell: scores with intervals, times, sizes, memory, repair, machine",
    "labels.csv": "a row per label of each cell: precision, recall, F1, counts, threshold, ECE, flips of INT8",
    "suspects.csv": "a row per likely error in the data's labels: which text, what it has, what all cells give",
    "cells.parquet": "the same as cells.csv",
    "labels.parquet": "the same as labels.csv",
    "records.json": "the records that all of this is made of",
}
_FORMULA = ("=", "+", "-", "@")
"""With these a spreadsheet begins a formula: a label must not be one."""


def data_tables(found: Findings) -> dict[str, list[Row]]:
    """Return the rows of ``cells``, ``labels`` and ``suspects``; rows of one table have equal keys."""
    return {
        "cells": [cell_row(record, found.intervals) for record in found.view],
        "labels": [row for record in found.view for row in _label_rows(record, found.view)],
        "suspects": [row for noise in found.noise for row in _suspect_rows(noise)],
    }


def data_files(tables: Mapping[str, list[Row]], form: Form) -> dict[str, bytes]:
    """Return tables as files, name to content; the same tables give the same bytes."""
    write: Callable[[list[Row], str], bytes] = {"csv": _csv, "parquet": _parquet, "json": _json}[
        form
    ]
    return {f"{name}.{form}": write(rows, name) for name, rows in tables.items()}


def cell_row(record: Record, intervals: Intervals) -> Row:
    """Return everything of a cell that is one value."""
    cell, search, found = record.cell, record.precision_search, record.environment
    row: Row = {
        "cell": cell.id,
        "encoder": cell.encoder,
        "scheme": cell.scheme,
        "engine": cell.engine,
        "precision": cell.precision,
        "seed": cell.seed,
        "data": record.data.name,
        "unscored_reason": record.unscored_reason,
    }
    row |= _scores(record, intervals)
    for scenario in SCENARIOS:
        row |= _times(record, scenario)
    offline, own = record.offline, record.speedup
    return row | {
        "texts_per_s": offline.texts_per_s if offline else None,
        "texts_per_s_unstable": offline.load.reason if offline else None,
        "speedup_over_fp32": own.ratio if own else None,
        "speedup_unstable": own.load.reason if own else None,
        "parameters": record.parameters,
        "size_bytes": record.size_bytes,
        "peak_rss_bytes": record.memory.peak_rss_bytes if record.memory else None,
        "start_s": record.memory.start_s if record.memory else None,
        "max_length": record.length.max_length if record.length else None,
        "cut_share": record.length.cut_share if record.length else None,
        "smoothed": record.smoothed,
        "kept_fp32": " ".join(record.kept_fp32),
        "int8_share": search.int8_share if search else None,
        "plain_int8_test_macro_f1": search.plain_test_macro_f1 if search else None,
        "served_agreement": record.served.agreement if record.served else None,
        "served_macro_f1": record.served.macro_f1 if record.served else None,
        "compute": record.compute,
        "cpu_model": found.cpu_model,
        "isa": found.engine_isa,
        "threads": found.threads,
        "git_commit": found.git_commit,
    }


def _scores(record: Record, intervals: Intervals) -> Row:
    scores, refitted, cell = record.scores, record.scores_refitted, record.cell.id
    row: Row = {
        "validation_macro_f1": scores.validation.macro_f1 if scores else None,
        "test_macro_f1": scores.test.macro_f1 if scores else None,
        "test_micro_f1": scores.test.micro_f1 if scores else None,
        "test_weighted_f1": scores.test.weighted_f1 if scores else None,
        "test_macro_f1_refitted": refitted.test.macro_f1 if refitted else None,
        "strategy": record.thresholds.strategy if record.thresholds else None,
        "ece": record.calibration.ece if record.calibration else None,
    }
    for name, found in (
        ("test_macro_f1", intervals.scores),
        ("minus_fp32", intervals.int8),
        ("minus_best", intervals.best),
        ("minus_floor", intervals.floor),
    ):
        row |= _ends(name, found.get(cell), point=name != "test_macro_f1")
    return row


def _ends(name: str, interval: Interval | None, *, point: bool) -> Row:
    row: Row = {name: interval.point if interval else None} if point else {}
    row[f"{name}_low"] = interval.low if interval else None
    row[f"{name}_high"] = interval.high if interval else None
    return row


def _times(record: Record, scenario: str) -> Row:
    times = record.latency.get(scenario)  # type: ignore[call-overload]
    row: Row = {f"{scenario}_times": len(times.times_s) if times else None}
    for name in ("p50", "p90", "p95", "p99"):
        seconds = getattr(times, f"{name}_s") if times else None
        row[f"{scenario}_{name}_ms"] = seconds * 1e3 if seconds else None
    row[f"{scenario}_unstable"] = times.load.reason if times else None
    return row


def _label_rows(record: Record, view: View) -> list[Row]:
    if record.scores is None:
        return []
    validation, test = record.scores.validation.per_label, record.scores.test.per_label
    cuts = record.thresholds.values if record.thresholds else ()
    ece = record.calibration.ece_per_label if record.calibration else ()
    flipped = _flipped(record, view)
    return [
        {
            "cell": record.cell.id,
            "label": t.label,
            "support": t.support,
            "precision": t.precision,
            "recall": t.recall,
            "f1": t.f1,
            "tp": t.tp,
            "fp": t.fp,
            "fn": t.fn,
            "validation_f1": v.f1,
            "threshold": cut,
            "ece": error,
            "given_by_int8_alone": flip.gained if flip else None,
            "withheld_by_int8_alone": flip.lost if flip else None,
            "f1_minus_fp32": flip.delta if flip else None,
        }
        for v, t, cut, error, flip in zip_longest(validation, test, cuts, ece, flipped)
    ]


def _flipped(record: Record, view: View) -> Sequence[LabelFlips]:
    twin = view.twin(record) if record.cell.precision == "int8" else None
    if twin is None or not (twin.decisions and record.decisions):
        return ()
    return flips(twin, record)


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

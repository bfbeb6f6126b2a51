"""What a command takes to start, and a report to be written."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goemo_eval.measure.machine_load import Watch
from goemo_eval.records.files import read_records
from goemo_eval.records.schema import Record

ROUNDS = 7
RECORDS = Path(__file__).parents[2] / "reports" / "goemotions" / "records.json"
_IMPORT = "import time; t = time.perf_counter(); import goemo_eval; print(time.perf_counter() - t)"


def starts(*, began: float) -> dict[str, Any]:
    """Time the import in new interpreters, and whole commands; a bare interpreter stands beside them."""
    del began
    commands = {
        "bare python": [sys.executable, "-c", "pass"],
        "import": [sys.executable, "-c", _IMPORT],
        "help": [sys.executable, "-m", "goemo_eval", "--help"],
        "version": [sys.executable, "-m", "goemo_eval", "--version"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with Watch() as watch:
        for _ in range(ROUNDS):
            for name, command in commands.items():
                start = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - this very interpreter
                elapsed = time.perf_counter() - start
                seconds[name].append(float(done.stdout) if name == "import" else elapsed)
    return {"seconds": seconds, "load": watch.load.model_dump()}


def many(count: int) -> list[Record]:
    """Return so many records: those of the real report again, as other encoders."""
    records = read_records(RECORDS)
    found = []
    for number in range(count):
        turn, at = divmod(number, len(records))
        record = records[at]
        if turn == 0:
            found.append(record)
            continue
        name = f"{record.cell.encoder}{turn}"
        encoder_of = {record.cell.encoder: name}
        speedups = tuple(
            s.model_copy(
                update={"reference": s.reference.replace(*next(iter(encoder_of.items())), 1)}
            )
            for s in record.speedups
        )
        cell = record.cell.model_copy(update={"encoder": name})
        found.append(record.model_copy(update={"cell": cell, "speedups": speedups}))
    return found


def report(cells: int = 64, rounds: int = 3, *, began: float) -> dict[str, Any]:
    """Time the report of real records, in a process of its own that has imported what it needs."""
    from goemo_eval.report.render import write_report

    del began
    records = many(cells)
    seconds = []
    with tempfile.TemporaryDirectory() as scratch, Watch() as watch:
        for number in range(rounds):
            start = time.perf_counter()
            write_report(records, Path(scratch) / str(number))
            seconds.append(time.perf_counter() - start)
    return {
        "seconds": {"report": seconds},
        "cells": cells,
        "first_s": seconds[0],
        "load": watch.load.model_dump(),
    }


def median(seconds: Sequence[float]) -> float:
    """Return the middle one."""
    return float(statistics.median(seconds))

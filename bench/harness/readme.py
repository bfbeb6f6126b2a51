"""The README's table of speed, made of what was measured: ``python -m bench.harness.readme``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.marks import put_between
from goemo_eval.files import write_atomic

from .lines import Line, lines, shown, times
from .targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- speed: python -m bench.harness.readme -->", "<!-- end of speed -->"
RESULTS = ("speed.json", "speed-avx2.json")


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a row for each line, and a column for each result; what falls short of its target is marked."""
    told: dict[str, list[str]] = {name: ["", ""] for name in TARGETS}
    for column, result in enumerate(results):
        for line in lines(result["found"]):
            told[line.name][column] = _reached(line, result["machine"]["dot_products"])
    rows = [[TARGETS[name].work, TARGETS[name].against, *cells] for name, cells in told.items()]
    head = ["work", "against", *(_column(result["machine"]) for result in results)]
    return str(tabulate(rows, head, tablefmt="github", disable_numparse=True))


def _column(machine: Mapping[str, Any]) -> str:
    kind = "with INT8 dot products" if machine["dot_products"] else "without"
    if machine["isa_limit"]:  # which ONNX Runtime does not heed
        kind = f"limited to {machine['isa_limit'].upper()}, without ONNX Runtime"
    return f"{kind} ({machine['cpu']}, {machine['threads']} threads)"


def _reached(line: Line, dot_products: bool) -> str:
    seconds = TARGETS[line.name].seconds
    value = shown(line.reached.value) if seconds else f"{times(line.reached.value)} x"
    return f"{value} (falls short)" if line.falls_short(dot_products) else value


def written(readme: str, block: str) -> str:
    """Return the README with the table between its marks."""
    return put_between(readme, BEGIN, END, block)


def main() -> None:
    """Write the table into the README."""
    results = [json.loads((ROOT / "reports" / name).read_text("utf-8")) for name in RESULTS]
    path = ROOT / "README.md"
    write_atomic(path, written(path.read_text("utf-8"), table(results)).encode())
    sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()

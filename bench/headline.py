"""The README's table of results, made of ``reports/goemotions``: ``python -m bench.headline``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from bench.marks import put_between
from goemo_eval.files import write_atomic
from goemo_eval.frozen import MIXED
from goemo_eval.records.files import read_records
from goemo_eval.records.schema import Record
from goemo_eval.records.view import Reference, View
from goemo_eval.report.floor import is_floor, is_worth_it
from goemo_eval.report.intervals import Intervals, resample
from goemo_eval.report.seed_gains import ONE_SEED
from goemo_eval.report.study.published import load_study
from goemo_eval.report.text import NO_CHOICE, spread
from goemo_eval.report.times import UNSTABLE, is_unstable, mark

ROOT = Path(__file__).resolve().parents[1]
RECORDS = "reports/goemotions/records.json"
BEGIN, END = "<!-- results: python -m bench.headline -->", "<!-- end of results -->"
SCHEMES = ("raw", "simplified")
NONE = ""
ENGINE = "onnxruntime"


def table(view: View) -> str:
    """Return a row for each encoder, the fewest parameters first, under the study's own range."""
    intervals, schemes = resample(view, {}), [name for name in SCHEMES if name in view.schemes]
    by_encoder: dict[str, dict[str, Reference]] = {}
    for reference in view.references:
        by_encoder.setdefault(reference.shown.cell.encoder, {})[reference.shown.cell.scheme] = (
            reference
        )
    order = sorted(by_encoder.items(), key=lambda item: _place(next(iter(item[1].values())).shown))
    rows = [["the study's four", *_published(schemes), *[NONE] * 4]]
    for encoder, found in order:
        scored = [cell for s in schemes for cell in _scored(found.get(s), intervals)]
        rows.append(
            [f"`{encoder}`", *scored, *_deployed(view.shown.of_scheme(schemes[0]), encoder)]
        )
    head = [
        "encoder",
        *(word for s in schemes for word in (f"`{s}`", "over the floor")),
        f"`{schemes[0]}` in INT8",
        f"ms per batch ({UNSTABLE} unstable)",
        "texts/s",
        "MB",
    ]
    return str(tabulate(rows, head, tablefmt="github", disable_numparse=True))


def _place(record: Record) -> tuple[bool, bool, int]:
    """Say where an encoder stands: the floor, then what has no floor beside it, by parameters."""
    return not is_floor(record), record.cell.encoder.endswith(MIXED), record.parameters


def _published(schemes: Sequence[str]) -> list[str]:
    """Return the range of the study's scores under each scheme, and nothing beside it."""
    said = []
    for scheme in schemes:
        scores = [cell.test for cell in load_study().cells if cell.scheme == scheme]
        said += [f"{min(scores):.3f} to {max(scores):.3f}", NONE]
    return said


def _scored(reference: Reference | None, intervals: Intervals) -> list[str]:
    """Return a cell's test Macro-F1, the mean over its seeds, and its gain over the floor.

    The gain is of these means where the floor has several seeds, too; else of one seed, and marked.
    """
    if reference is None or reference.summary is None:
        return [NONE, NONE]
    summary = reference.summary
    several = f" ({len(summary.seeds)} seeds)" if len(summary.seeds) > 1 else ""
    cell = reference.shown.cell.id
    anew = intervals.floor_over_seeds.get(cell)
    gain = anew or intervals.floor.get(cell)
    over = "" if gain is None else spread(gain.low, gain.high, signed=True)
    strong = "**" if gain and is_worth_it(gain) else ""
    at = ONE_SEED if gain and not anew else ""
    return [f"{summary.test_macro_f1.mean:.3f}{several}", f"{strong}{over}{strong}{at}"]


def _deployed(shown: View, encoder: str) -> list[str]:
    """Return test Macro-F1, times and size of an encoder's INT8 in one engine; unstable times are marked."""
    found = (r for r in shown.scored if (r.cell.encoder, r.cell.precision) == (encoder, "int8"))
    record = next((r for r in found if r.cell.engine in (ENGINE, *NO_CHOICE)), None)
    if record is None or record.scores is None:
        return [NONE] * 4
    real, offline = record.latency.get("real"), record.offline
    batch = f"{real.p50_s * 1e3:.1f}" if real else NONE
    rate = f"{offline.texts_per_s:,.0f}" if offline else NONE
    return [
        f"{record.scores.test.macro_f1:.3f}",
        mark(batch, unstable=is_unstable(record, "real")),
        mark(rate, unstable=is_unstable(record, "offline")),
        f"{record.size_bytes / 1e6:.1f}",
    ]


def written(readme: str, block: str) -> str:
    """Return the README with the table between its marks."""
    return put_between(readme, BEGIN, END, block)


def main() -> None:
    """Write the table into the README."""
    path = ROOT / "README.md"
    block = table(View(read_records(ROOT / RECORDS)))
    write_atomic(path, written(path.read_text("utf-8"), block).encode())
    sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()

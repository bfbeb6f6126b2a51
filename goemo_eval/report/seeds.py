"""How the report speaks of cells that were measured under several seeds."""

from __future__ import annotations

from collections.abc import Sequence

from goemo_eval.records.over_seeds import OverSeeds, SeedSummary, one_seed, seed_groups
from goemo_eval.records.schema import Record
from goemo_eval.report.document import Block
from goemo_eval.report.text import DASH, escape, model_name, number, spread, table

MEANS = (
    "Where a cell has several seeds, validation and test are means over them, with Student's 95 % "
    "intervals: where the mean over all seeds there are may lie, on these same texts. "
    "*gap* is validation minus test, seed by seed: thresholds, where a scheme has them, are fitted on "
    "validation."
)


def several_seeds(records: Sequence[Record]) -> bool:
    """Return whether any cell was measured under several seeds."""
    return any(len(group) > 1 for group in seed_groups(records))


def seed_note(records: Sequence[Record]) -> str:
    """Return a sentence that says at which seed single cells are shown; empty if none has several."""
    if not several_seeds(records):
        return ""
    shown = {record.cell for record in one_seed(records)}
    seeds = sorted(
        {r.cell.seed for group in seed_groups(records) if len(group) > 1 for r in group}
        & {cell.seed for cell in shown}
    )
    which = " or ".join(map(str, seeds))
    return f"A cell with several seeds is shown at one, seed {which}."


def over_seeds_text(value: OverSeeds, *, signed: bool = False) -> str:
    """Return the interval of a mean over seeds, or a dash where there is one seed."""
    if value.low is None or value.high is None:
        return DASH
    return spread(value.low, value.high, signed=signed)


def seed_table(records: Sequence[Record]) -> Block:
    """Return every seed of the scored cells that have several."""
    rows = [
        [
            escape(model_name(record.cell.model_copy(update={"seed": 0}))),
            escape(record.cell.scheme),
            record.cell.precision.upper(),
            str(record.cell.seed),
            number(record.scores.validation.macro_f1),
            number(record.scores.test.macro_f1),
            number(record.scores.validation.macro_f1 - record.scores.test.macro_f1, signed=True),
        ]
        for group in seed_groups(r for r in records if r.scores)
        if len(group) > 1
        for record in group
        if record.scores
    ]
    headers = ["model", "scheme", "precision", "seed", "validation", "test", "gap"]
    return table(headers, rows, words=3) if rows else ""


def seed_finding(summary: SeedSummary) -> str:
    """Return what a cell's seeds say together, as a sentence of markdown."""
    test, gap = summary.test_macro_f1, summary.gap
    return (
        f"{escape(summary.cell.id)} over {len(summary.seeds)} seeds "
        f"({', '.join(map(str, summary.seeds))}): test Macro-F1 {test.mean:.3f} on average, 95 % interval over "
        f"seeds {over_seeds_text(test)}; validation minus test {number(gap.mean, signed=True)} "
        f"({over_seeds_text(gap, signed=True)})"
    )

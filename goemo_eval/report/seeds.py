"""How the report speaks of cells that were measured under several seeds."""

from __future__ import annotations

from goemo_eval.records.over_seeds import OverSeeds, SeedSummary
from goemo_eval.records.view import View
from goemo_eval.report.document import Block, Column, Fold, table
from goemo_eval.report.text import DASH, escape, model_name, number, spread


def seed_note(view: View) -> str:
    """Return a sentence that says at which seed single cells are shown; empty if none has several."""
    seeds = sorted({group.shown.cell.seed for group in view.groups if group.several})
    if not seeds:
        return ""
    which = " or ".join(map(str, seeds))
    return f"A cell with several seeds is shown at one, seed {which}."


def over_seeds_text(value: OverSeeds | None, *, signed: bool = False) -> str:
    """Return the interval of a mean over seeds, or a dash where there is one seed."""
    if value is None or value.low is None or value.high is None:
        return DASH
    return spread(value.low, value.high, signed=signed)


def seed_fold(view: View) -> list[Block]:
    """Return, folded, every seed of the scored cells that have several."""
    rows = [
        (group, record, record.scores)
        for group in view.groups
        if group.several
        for record in group.records
        if record.scores
    ]
    found = table(
        Column("model", "", [escape(model_name(g.cell)) for g, _, _ in rows], words=True),
        Column("scheme", "", [escape(g.cell.scheme) for g, _, _ in rows], words=True),
        Column("precision", "", [g.cell.precision.upper() for g, _, _ in rows], words=True),
        Column("seed", "", [str(r.cell.seed) for _, r, _ in rows]),
        Column("validation", "", [number(s.validation.macro_f1) for _, _, s in rows]),
        Column("test", "", [number(s.test.macro_f1) for _, _, s in rows]),
        Column(
            "gap",
            "validation minus test",
            [number(s.validation.macro_f1 - s.test.macro_f1, signed=True) for _, _, s in rows],
        ),
    )
    return [Fold("Macro-F1 seed by seed", found)] if found else []


def seed_finding(summary: SeedSummary) -> str:
    """Return what a cell's seeds say together, as markdown within a sentence."""
    test = summary.test_macro_f1
    return (
        f"{escape(summary.cell.id)} over {len(summary.seeds)} seeds "
        f"({', '.join(map(str, summary.seeds))}): test Macro-F1 {test.mean:.3f} on average, 95 % interval over "
        f"seeds {over_seeds_text(test)}"
    )

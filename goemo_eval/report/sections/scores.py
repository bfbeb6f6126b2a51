"""How good the cells are: Macro-F1 with its intervals, beside the best and beside the floor."""

from __future__ import annotations

from collections.abc import Sequence

from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.document import Block, Column, Fold, Picture, table
from goemo_eval.report.findings import Findings
from goemo_eval.report.floor import FLOOR, floor_of, is_floor, is_worth_it
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.sections.columns import cell_columns, gain_column
from goemo_eval.report.sections.ladder import ladder
from goemo_eval.report.seeds import over_seeds_text, seed_finding, seed_fold, seed_note
from goemo_eval.report.text import DASH, encoder_name, escape, listed, number, spread
from goemo_eval.report.times import short

_MOST_TOLD = 4  # cells, a sentence each


def scores_section(found: Findings, picture: Picture | None) -> list[Block]:
    """Return what the scores say, Table 1, its figure, and what lies behind it."""
    view = found.view
    said = [
        *_best(found),
        *_floor(view, found.intervals),
        *_seeds(view),
        *_overfit(view),
        *_engines(view),
    ]
    note = seed_note(view)
    return [
        "\n".join(f"- {one}" for one in said),
        f"{note} Table 1 has the means over seeds." if note else "",
        *_table(view, found.intervals),
        *_unscored(view),
        *([picture] if picture else []),
        *ladder(view, found.intervals),
        *seed_fold(view),
        *_strategies(view.shown),
    ]


def _table(view: View, intervals: Intervals) -> list[Block]:
    """Table 1: the FP32 cell that stands for an encoder under a scheme."""
    references = view.references
    if not references:
        return []
    several = view.several_seeds
    ids = [r.shown.cell.id for r in references]
    found = [r.summary for r in references]
    ends = [intervals.ends(r.shown.cell) for r in references]
    best = [intervals.best.get(i) for i in ids]
    seeds = [", ".join(map(str, s.seeds)) if s else DASH for s in found]
    return [
        "**Table 1. Macro-F1 in FP32**",
        *table(
            Column("model", "", [escape(encoder_name(r.named)) for r in references], words=True),
            Column("scheme", "", [escape(r.named.scheme) for r in references], words=True),
            *([Column("seeds", "", seeds, words=True)] if several else []),
            Column(
                "validation",
                "what thresholds were fitted on",
                [number(s.validation_macro_f1.mean if s else None) for s in found],
            ),
            Column(
                "test",
                "what nothing was fitted on" + (", mean over the seeds" if several else ""),
                [number(s.test_macro_f1.mean if s else None) for s in found],
            ),
            Column(
                "95 % over texts",
                "where another test split of this size would put it"
                + (", at the shown seed" if several else ""),
                [spread(*e) if e else DASH for e in ends],
            ),
            Column(
                "95 % over seeds",
                "Student's interval of the mean over all seeds there are",
                [over_seeds_text(s.test_macro_f1 if s else None) for s in found],
            ),
            Column(
                "gap",
                "validation minus test",
                [number(s.gap.mean if s else None, signed=True) for s in found],
            ),
            Column(
                "minus the best",
                "test Macro-F1 minus the highest of any cell of the scheme, paired 95 % interval",
                [spread(i.low, i.high, signed=True) if i else DASH for i in best],
            ),
            gain_column(
                "minus the floor",
                f"the same minus {FLOOR}'s",
                ids,
                shown=intervals.floor,
                anew=intervals.floor_over_seeds,
            ),
        ),
    ]


def _best(found: Findings) -> list[str]:
    """Say which cell is best, and how many the test split cannot tell from it."""
    said = []
    for scheme, best in found.best.items():
        shown = found.view.shown.of_scheme(scheme)
        assert best.scores is not None
        text = (
            f"Best under {escape(scheme)} of {len(shown.scored)} scored: {escape(best.cell.id)}, test Macro-F1 "
            f"{number(best.scores.test.macro_f1)}"
        )
        if ends := found.intervals.ends(best.cell):
            text += f" (95 % {spread(*ends)})"
        level = [
            r for r in shown if (i := found.intervals.best.get(r.cell.id)) and i.low <= 0 <= i.high
        ]
        if level:
            others = "other" if len(level) == 1 else "others"
            text += f"; the test split cannot tell {len(level)} {others} from it"
        said.append(f"{text}.")
    return said


def _floor(view: View, intervals: Intervals) -> list[str]:
    """Say which cells beat the floor beyond chance, and which do not."""
    said = []
    for scheme in view.schemes:
        shown = view.shown.of_scheme(scheme)
        floor = floor_of(shown)
        if floor is None or floor.scores is None:
            continue
        gains = [
            (r, i)
            for r in shown
            if not is_floor(r) and (i := intervals.floor.get(r.cell.id)) is not None
        ]
        chance = [escape(r.cell.id) for r, i in gains if not is_worth_it(i)]
        text = f"The floor under {escape(scheme)}, {escape(floor.cell.id)}, scores {number(floor.scores.test.macro_f1)}"
        if gains and not chance:
            text += f"; all {len(gains)} other cells beat it beyond chance"
        elif chance:
            text += (
                f"; **not worth their cost**, since not above it beyond chance: {listed(chance)}"
            )
        said.append(f"{text}.")
        said += _floor_over_seeds(view, scheme, intervals)
    if not said:
        said.append(
            f"No cell of {FLOOR} was scored: what a linear model reaches, and whether an encoder is worth its "
            "cost, is not known here."
        )
    return said


def _floor_over_seeds(view: View, scheme: str, intervals: Intervals) -> list[str]:
    """Say which encoders beat the floor whatever the seed, where both have several."""
    gains = {
        escape(reference.shown.cell.encoder): gain
        for reference in view.of_scheme(scheme).references
        if (gain := intervals.floor_over_seeds.get(reference.shown.cell.id))
    }
    if not gains:
        return []
    above = [name for name, gain in gains.items() if is_worth_it(gain)]
    level = [name for name in gains if name not in above]
    said = (
        f"{', '.join(above)} above it beyond chance" if above else "nothing above it beyond chance"
    )
    said += f"; {', '.join(level)} not" if above and level else ""
    return [f"Trained anew (means over seeds under {escape(scheme)}, in FP32): {said}."]


def _seeds(view: View) -> list[str]:
    """Say what seeds say together; of many cells Table 1 says it."""
    found = [r.summary for r in view.references if r.summary and len(r.summary.seeds) > 1]
    return [f"{seed_finding(s)}." for s in found] if len(found) <= _MOST_TOLD else []


def _overfit(view: View) -> list[str]:
    """Say how much more the split scores that thresholds were fitted on."""
    gaps, strategies = [], set()
    for reference in view.references:
        summary = reference.summary
        thresholds = [r.thresholds for r in reference.group.records if r.thresholds and r.scores]
        if summary is None or not thresholds:
            continue
        strategies |= {t.strategy for t in thresholds}
        gaps.append(
            f"{escape(encoder_name(reference.named))} {number(summary.gap.mean, signed=True)}"
        )
    if not gaps:
        return []
    return [
        (
            f"Thresholds ({', '.join(sorted(strategies))}) are fitted on validation; validation minus test: "
            f"{', '.join(gaps)}."
        )
    ]


def _engines(view: View) -> list[str]:
    """Say how far an engine's FP32 scores are from the reference engine's."""
    gaps = []
    for reference in view.references:
        ours = reference.shown
        for record in view.shown.of_scheme(ours.cell.scheme):
            same = record.cell.encoder == ours.cell.encoder and record.cell.precision == "fp32"
            other = same and record.cell.engine != ours.cell.engine
            if other and record.cell.seed == ours.cell.seed and record.scores and ours.scores:
                gap = abs(record.scores.test.macro_f1 - ours.scores.test.macro_f1)
                gaps.append((gap, record.cell.id, ours.cell.engine))
    if not gaps:
        return []
    gap, cell, engine = max(gaps)
    return [
        (
            f"In FP32 the engines agree with {escape(engine)} to within {number(gap, 4)} over {len(gaps)} cells "
            f"(farthest: {escape(cell)}); Table 1 has {escape(engine)}'s."
        )
    ]


def _unscored(view: View) -> list[Block]:
    """Return the footnotes of the rows whose F1 is a dash."""
    reasons: dict[str, list[str]] = {}
    for record in (reference.shown for reference in view.references):
        if record.scores is None:
            reason = record.unscored_reason or "not scored"
            reasons.setdefault(reason, []).append(record.cell.id)
    return [
        f"{DASH} {escape(listed(cells))}: {escape(short(reason))}"
        for reason, cells in reasons.items()
    ]


_STRATEGIES = {
    "fixed": "0.5 for every label",
    "global": "one for all labels",
    "per-label": "one per label, each best on validation",
    "smoothed": "per label, as if some positives more had been missed, so that few rows cannot decide",
    "shrunk": "per label, drawn towards the global one, the rarer the label the more",
    "cross-fitted": "per label, the median of the smoothed ones of several folds of validation",
}


def _strategies(shown: View) -> list[Block]:
    """Return, folded, what each threshold strategy brings."""
    records = [r for r in shown if r.strategies]
    names = list(dict.fromkeys(s.strategy for r in records for s in r.strategies))
    if not records:
        return []
    return [
        Fold(
            "What the thresholds bring",
            [
                "Macro-F1 with each cell's own thresholds, fitted on its validation logits.",
                *table(
                    *cell_columns(records),
                    *(column for name in names for column in _strategy(records, name)),
                ),
            ],
        )
    ]


def _strategy(records: Sequence[Record], name: str) -> list[Column]:
    found = [next((s for s in r.strategies if s.strategy == name), None) for r in records]
    validation = [number(s.validation_macro_f1 if s else None) for s in found]
    test = [number(s.test_macro_f1 if s else None) for s in found]
    return [
        Column(f"{name} val.", _STRATEGIES.get(name, ""), validation),
        Column(f"{name} test", "", test),
    ]

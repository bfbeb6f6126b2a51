"""What INT8, and BF16 where it was measured, costs and brings: scores with their paired intervals, speed, repair, flipped decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from statistics import median

from goemo_eval.frozen import PRECISIONS
from goemo_eval.measure.statistics import Interval
from goemo_eval.records.comparable import comparable_set
from goemo_eval.records.flips import flips
from goemo_eval.records.schema import Record, Speedup
from goemo_eval.records.view import Pair, View
from goemo_eval.report.document import Block, Column, Fold, Picture, table
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.sections.columns import cell_columns
from goemo_eval.report.text import (
    DASH,
    escape,
    listed,
    lower_names,
    lower_precisions,
    number,
    spread,
)
from goemo_eval.report.times import MARK, mark, stable_speedup

_LAYERS = 3
_WORST = 3


def int8_section(view: View, intervals: Intervals, picture: Picture | None) -> list[Block]:
    """Return what INT8 and BF16 do to every FP32 cell, Table 3, its figure, and what lies behind it."""
    pairs = view.shown.pairs
    findings = [*_changes(view, intervals), *_winners(view)]
    return [
        "\n".join(f"- {finding}" for finding in findings),
        *_table(pairs, intervals.twin),
        *([picture] if picture else []),
        *_served(view.shown),
        *_repairs(view.shown),
        *_flips(pairs),
    ]


def _changes(view: View, intervals: Intervals) -> list[str]:
    """Say per engine and precision what it brings and costs, and which losses are beyond chance."""
    found = []
    for engine, precision in product(view.engines, PRECISIONS):
        ours = [
            pair.reduced
            for pair in view.shown.pairs
            if (pair.reduced.cell.engine, pair.reduced.cell.precision) == (engine, precision)
        ]
        parts = []
        if ratios := [s.ratio for r in ours if (s := stable_speedup(r.speedup))]:
            parts.append(f"is {_span(ratios, 2)} times as fast as its FP32 ({len(ratios)} pairs)")
        changes = {r.cell.id: c for r in ours if (c := intervals.twin.get(r.cell.id))}
        if changes:
            points = [c.point for c in changes.values()]
            parts.append(
                f"changes test Macro-F1 by {_span(points, 3, signed=True)} ({len(points)} pairs)"
            )
        if parts:
            found.append(
                f"{escape(engine)} {precision.upper()} {' and '.join(parts)}.{_beyond_chance(changes)}"
            )
    return found


def _span(values: Sequence[float], digits: int, *, signed: bool = False) -> str:
    """Return the least and the greatest of some values, or one where they look the same."""
    ends = [number(value, digits, signed=signed) for value in (min(values), max(values))]
    return " to ".join(dict.fromkeys(ends))


def _beyond_chance(changes: Mapping[str, Interval]) -> str:
    if not changes:
        return ""
    sure = [
        f"{escape(cell)} {c.point:+.3f} ({spread(c.low, c.high, signed=True)})"
        for cell, c in changes.items()
        if c.high < 0
    ]
    if not sure:
        return " No loss is beyond chance: every 95 % interval reaches zero."
    return f" With a 95 % interval below zero, each taken alone: {listed(sure, most=6)}."


def _winners(view: View) -> list[str]:
    """Say which engine's INT8 is fastest per encoder and scheme, and what it lost to the reference's FP32."""
    found = []
    for reference in (r.shown for r in view.references):
        int8 = [
            pair.reduced
            for pair in view.shown.pairs
            if pair.reduced.cell.precision == "int8"
            and (pair.reduced.cell.encoder, pair.reduced.cell.scheme, pair.reduced.cell.seed)
            == (reference.cell.encoder, reference.cell.scheme, reference.cell.seed)
        ]
        timed = [
            (s.ratio, r) for r in int8 if (s := stable_speedup(r.speedup_over(reference.cell)))
        ]
        if len(timed) < 2 or comparable_set([r for _, r in timed], "times"):
            continue
        ratio, winner = max(timed, key=lambda pair: pair[0])
        found.append(
            f"{escape(winner.cell.encoder)} {escape(winner.cell.scheme)}: of {len(timed)} INT8 engines "
            f"{escape(winner.cell.engine)} is fastest over the test split, {ratio:.2f} times "
            f"{escape(reference.cell.id)}{_lost(reference, winner)}."
        )
    return found


def _lost(reference: Record, winner: Record) -> str:
    if not (winner.scores and reference.scores):
        return ""
    lost = reference.scores.test.macro_f1 - winner.scores.test.macro_f1
    if round(lost, 3) > 0:
        return f", and loses {number(lost)} test Macro-F1 to it"
    if round(lost, 3) < 0:
        return f", and loses no test Macro-F1 to it ({number(-lost, signed=True)})"
    return ", with the same test Macro-F1 to three digits"


def _table(pairs: Sequence[Pair], intervals: Mapping[str, Interval]) -> list[Block]:
    """Table 3: what INT8 and BF16 do to the score and to the speed of each FP32 cell."""
    fp32 = [p.fp32.scores.test.macro_f1 if p.fp32.scores else None for p in pairs]
    name, several = lower_names(pairs), len(lower_precisions(pairs)) > 1
    reduced = [p.reduced.scores.test.macro_f1 if p.reduced.scores else None for p in pairs]
    refitted = [
        p.reduced.scores_refitted.test.macro_f1 if p.reduced.scores_refitted else None
        for p in pairs
    ]
    changes = [intervals.get(p.reduced.cell.id) for p in pairs]
    own = [p.reduced.speedup for p in pairs]
    torch = [_over_torch(p.reduced) for p in pairs]
    marked = any(s and not s.load.stable for s in [*own, *torch])
    return [
        f"**Table 3. Test Macro-F1 and speed of {name} beside FP32**"
        + (f"; {MARK}" if marked else ""),
        *table(
            *cell_columns([p.reduced for p in pairs], precision=several),
            Column("FP32", "", [number(v) for v in fp32]),
            Column(name, "with FP32's thresholds", [number(v) for v in reduced]),
            Column("Δ", f"{name} minus FP32", _minus(reduced, fp32)),
            Column(
                "95 % of Δ",
                "where another test split of this size would put it",
                [spread(c.low, c.high, signed=True) if c else DASH for c in changes],
            ),
            Column(
                "refitted",
                f"{name} with thresholds of the same strategy, fitted again on its own validation logits (softmax "
                "schemes have none: the same number)",
                [number(v) for v in refitted],
            ),
            Column("Δ refitted", "", _minus(refitted, fp32)),
            Column(
                "FP32 (s)",
                "forward passes over the test split, both cells taking turns, median pass",
                [number(median(s.reference_s) if s else None, 2) for s in own],
            ),
            Column(
                f"{name} (s)", "", [number(median(s.candidate_s) if s else None, 2) for s in own]
            ),
            Column(
                "speedup",
                "median of the passes' ratios, over the same engine's FP32",
                [_ratio(s) for s in own],
            ),
            Column("passes", "least to most of these ratios", [_ratios(s) for s in own]),
            Column("over torch", "over torch's FP32", [_ratio(s) for s in torch]),
        ),
    ]


def _over_torch(record: Record) -> Speedup | None:
    return record.speedup_over(record.cell.at("fp32").model_copy(update={"engine": "torch"}))


def _minus(a: Sequence[float | None], b: Sequence[float | None]) -> list[str]:
    return [
        number(None if x is None or y is None else x - y, signed=True)
        for x, y in zip(a, b, strict=True)
    ]


def _ratio(speedup: Speedup | None) -> str:
    if speedup is None:
        return DASH
    return mark(f"{speedup.ratio:.2f}", unstable=not speedup.load.stable)


def _ratios(speedup: Speedup | None) -> str:
    if speedup is None or len(speedup.reference_s) < 2:
        return DASH
    both = zip(speedup.reference_s, speedup.candidate_s, strict=True)
    ratios = [reference / candidate for reference, candidate in both]
    return spread(min(ratios), max(ratios), 2)


def _served(shown: View) -> list[Block]:
    """Say how often a text that comes alone is decided otherwise than in the scored batches."""
    served = [(r, r.served) for r in shown if r.served]
    records = [r for r, _ in served]
    precisions = {r.cell.precision for r in records}
    rounding = ", and BF16 rounds otherwise where it sums otherwise" if "bf16" in precisions else ""
    return [
        block
        for block in [
            (
                f"**One text at a time**: dynamic quantization looks at what shares a batch{rounding}, so a served text may "
                "be decided otherwise than the scored one."
            ),
            *table(
                *cell_columns(records, precision=len(precisions) > 1),
                Column(
                    "same decisions",
                    "%, over texts and labels",
                    [number(s.agreement * 100, 2) for _, s in served],
                ),
                Column(
                    "test Macro-F1",
                    "of texts scored one at a time",
                    [number(s.macro_f1) for _, s in served],
                ),
                Column(
                    "Δ",
                    "minus that of the scored batches",
                    [number(s.change, signed=True) for _, s in served],
                ),
                Column("95 % of Δ", "", [spread(s.low, s.high, signed=True) for _, s in served]),
            ),
        ]
        if served
    ]


def _repairs(shown: View) -> list[Block]:
    """Table 3, repair: the INT8 cells that lost more than their budget, and what brought it back."""
    found = [(r, r.precision_search) for r in shown if r.precision_search]
    if not found:
        return []
    return [
        (
            "**Repairs**: INT8 that loses more validation Macro-F1 than its budget is smoothed (outliers are spread "
            "by exact rescaling; onnxruntime and openvino may do it by themselves), and then keeps the layers in FP32 "
            "that a search on validation finds. The tables above have it so."
        ),
        *table(
            *cell_columns([r for r, _ in found], precision=False),
            Column("smoothed", "", ["yes" if r.smoothed else "no" for r, _ in found], words=True),
            Column("kept in FP32", "", [_kept(r) for r, _ in found], words=True),
            Column(
                "plain val.",
                "validation Macro-F1 with every layer in INT8",
                [number(s.plain_validation_macro_f1) for _, s in found],
            ),
            Column("smoothed val.", "", [number(s.smoothed_validation_macro_f1) for _, s in found]),
            Column(
                "repaired val.",
                "",
                [
                    number(s.validation_macro_f1) + ("" if s.within_budget else " (still over)")
                    for _, s in found
                ],
            ),
            Column("plain test", "", [number(s.plain_test_macro_f1) for _, s in found]),
            Column(
                "INT8 weights",
                "% of the linear layers' weights that stayed INT8",
                [number(s.int8_share * 100, 0) for _, s in found],
            ),
            Column(
                "passes",
                "of the validation split for the search",
                [str(s.passes) for _, s in found],
            ),
            Column("seconds", "", [number(s.seconds, 0) for _, s in found]),
        ),
    ]


def _kept(record: Record) -> str:
    names = [escape(name) for name in record.kept_fp32]
    return f"{len(names)}: {listed(names, most=_LAYERS)}" if names else "none"


def _flips(pairs: Sequence[Pair]) -> list[Block]:
    """Return, folded, how many decisions INT8 and BF16 changed and which labels it hurt most."""
    both = [p for p in pairs if p.fp32.decisions and p.reduced.decisions]
    if not both:
        return []
    name, several = lower_names(both), len(lower_precisions(both)) > 1
    found = [flips(p.fp32, p.reduced) for p in both]
    worst = [sorted(f, key=lambda label: (label.delta, label.label))[:_WORST] for f in found]
    decided = [
        p.reduced.decisions.rows * p.reduced.decisions.labels for p in both if p.reduced.decisions
    ]
    return [
        Fold(
            f"What {name} decided otherwise than FP32",
            table(
                *cell_columns([p.reduced for p in both], precision=several),
                Column(
                    "flipped",
                    "decisions that changed",
                    [f"{sum(x.flips for x in f):,}" for f in found],
                ),
                Column("of", "texts times labels", [f"{n:,}" for n in decided]),
                Column(
                    "given", f"by {name} alone", [f"{sum(x.gained for x in f):,}" for f in found]
                ),
                Column(
                    "withheld", f"by {name} alone", [f"{sum(x.lost for x in f):,}" for f in found]
                ),
                Column(
                    "most hurt",
                    "labels whose F1 fell most; the others are in labels.csv",
                    [", ".join(f"{escape(x.label)} {x.delta:+.3f}" for x in w) for w in worst],
                    words=True,
                ),
            ),
        )
    ]

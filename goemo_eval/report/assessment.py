"""What the numbers amount to, in sentences that the records carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goemo_eval.judge.recommend import one_machine
from goemo_eval.measure.statistics import Interval
from goemo_eval.records.over_seeds import one_seed, summarize_seeds
from goemo_eval.records.schema import Record
from goemo_eval.report.drawing import engines_in_order
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.rows import reference_cells, reference_groups, reference_names
from goemo_eval.report.seeds import seed_finding
from goemo_eval.report.tables import pairs
from goemo_eval.report.text import escape, number, spread


def assessment(records: Sequence[Record], intervals: Intervals) -> list[str]:
    """Return the assessment, one finding per line of markdown."""
    shown = one_seed(records)
    findings = [
        *_best(shown, intervals, each=", one seed of each" if len(shown) < len(records) else ""),
        *_seeds(records, intervals),
        *_gain(records),
        *_overfit_thresholds(records),
        *_engines(shown),
        *_int8(shown, intervals),
        *_winners(shown),
        *_fastest(shown),
        *_budgets(records),
    ]
    return [f"- {finding}" for finding in findings]


def _best(records: Sequence[Record], intervals: Intervals, *, each: str) -> list[str]:
    """Say which cell is best on each split, and which others the test split cannot tell from it."""
    found = []
    for scheme in sorted({r.cell.scheme for r in records if r.scores}):
        cells = [r for r in records if r.scores and r.cell.scheme == scheme]
        parts = []
        for split in ("validation", "test"):
            best = max(cells, key=lambda r: getattr(r.scores, split).macro_f1)
            f1 = getattr(best.scores, split).macro_f1
            part = f"{split} {escape(best.cell.id)} ({number(f1)}"
            interval = intervals.scores.get(best.cell.id)
            if split == "test" and interval:
                part += f"; 95 % interval {spread(interval.low, interval.high)}"
            parts.append(f"{part})")
        found.append(
            f"Best {escape(scheme)} Macro-F1 of {len(cells)} scored{each}: {', '.join(parts)}."
        )
    return found


def _seeds(records: Sequence[Record], intervals: Intervals) -> list[str]:
    """Say what the reference cells score on average over their seeds, beside one seed's interval."""
    found = []
    for group, shown in zip(reference_groups(records), reference_cells(records), strict=True):
        for summary in summarize_seeds(group):
            if len(summary.seeds) < 2:
                continue
            text = seed_finding(summary)
            certain = intervals.scores.get(shown.cell.id)
            if certain:
                text += (
                    f". At seed {shown.cell.seed} test Macro-F1 is {number(certain.point)}, 95 % interval over the "
                    f"test split's texts {spread(certain.low, certain.high)}"
                )
            found.append(f"{text}.")
    return found


def _gain(records: Sequence[Record]) -> list[str]:
    names = zip(reference_names(records), reference_groups(records), strict=True)
    test = {
        (name, summary.cell.scheme): summary.test_macro_f1.mean
        for name, group in names
        for summary in summarize_seeds(group)
    }
    gains = [
        (f1 - test[model, "raw"], model)
        for (model, scheme), f1 in test.items()
        if scheme == "simplified" and (model, "raw") in test
    ]
    if not gains:
        return []
    each = ", ".join(f"{escape(model)} {number(gain, signed=True)}" for gain, model in gains)
    return [
        f"Simplified minus raw, test Macro-F1 in FP32: {each}.",
        "Raw and simplified are different tasks: a label beside the dominant one counts under raw only.",
    ]


def _overfit_thresholds(records: Sequence[Record]) -> list[str]:
    gaps, strategies = [], set()
    for group in reference_groups(records):
        cut = [r for r in group if r.thresholds]
        strategies |= {r.thresholds.strategy for r in cut if r.scores and r.thresholds}
        for summary in summarize_seeds(cut):
            seeds = len(summary.seeds)
            cell, mean = (
                (cut[0].cell, "") if seeds == 1 else (summary.cell, f" (mean of {seeds} seeds)")
            )
            gaps.append(f"{escape(cell.id)} {number(summary.gap.mean, signed=True)}{mean}")
    if not gaps:
        return []
    each, how = ", ".join(gaps), ", ".join(sorted(strategies))
    return [f"Thresholds ({how}) are fitted on validation. Validation minus test Macro-F1: {each}."]


def _engines(records: Sequence[Record]) -> list[str]:
    """Say how far an engine's FP32 scores are from the reference engine's."""
    test = {
        (r.cell.encoder, r.cell.scheme, r.cell.seed): r
        for r in reference_cells(records)
        if r.scores
    }
    gaps = []
    for record in records:
        reference = test.get((record.cell.encoder, record.cell.scheme, record.cell.seed))
        if record.cell.precision != "fp32" or not (
            reference and record.scores and reference.scores
        ):
            continue
        if record.cell.engine != reference.cell.engine:
            gap = abs(record.scores.test.macro_f1 - reference.scores.test.macro_f1)
            gaps.append((gap, record.cell.id, reference.cell.engine))
    if not gaps:
        return []
    gap, cell, engine = max(gaps)
    return [
        (
            f"In FP32 the engines agree with {escape(engine)} to within {number(gap, 4)} test Macro-F1 over "
            f"{len(gaps)} cells (farthest: {escape(cell)}). Figures 1 and 3 show {escape(engine)}."
        )
    ]


def _int8(records: Sequence[Record], intervals: Intervals) -> list[str]:
    """Say per engine what INT8 brings and costs, and which losses are beyond chance."""
    found = []
    couples = pairs(records)
    for engine in engines_in_order(i.cell.engine for _, i in couples):
        ours = [i for _, i in couples if i.cell.engine == engine]
        parts = []
        if ratios := [i.speedup.ratio for i in ours if i.speedup]:
            speed = spread(min(ratios), max(ratios), 2)
            parts.append(f"is {speed} times as fast as its FP32 ({len(ratios)} pairs)")
        changes = {i.cell.id: c for i in ours if (c := intervals.int8.get(i.cell.id))}
        if changes:
            points = [c.point for c in changes.values()]
            parts.append(
                f"changes test Macro-F1 by {spread(min(points), max(points), signed=True)} "
                f"({len(points)} pairs)"
            )
        if parts:
            found.append(f"{escape(engine)} INT8 {' and '.join(parts)}.{_beyond_chance(changes)}")
    return found


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
    return f" With a 95 % interval below zero, each taken alone: {', '.join(sure)}."


def _winners(records: Sequence[Record]) -> list[str]:
    """Say which engine's INT8 is fastest per encoder and scheme, and what it lost to torch's FP32."""
    test = {(r.cell.encoder, r.cell.scheme, r.cell.seed): r for r in reference_cells(records)}
    found = []
    for key, reference in test.items():
        ratios = {
            int8.cell: (speed.ratio, int8)
            for _, int8 in pairs(records)
            if (int8.cell.encoder, int8.cell.scheme, int8.cell.seed) == key
            and (speed := int8.speedup_over(reference.cell))
        }
        if len(ratios) < 2:
            continue
        ratio, winner = max(ratios.values(), key=lambda pair: pair[0])
        text = (
            f"{escape(winner.cell.encoder)} {escape(winner.cell.scheme)}: of {len(ratios)} INT8 engines "
            f"{escape(winner.cell.engine)} is fastest over the test split, {ratio:.2f} times "
            f"{escape(reference.cell.id)}"
        )
        if winner.scores and reference.scores:
            lost = reference.scores.test.macro_f1 - winner.scores.test.macro_f1
            if round(lost, 3) > 0:
                text += f", and loses {number(lost)} test Macro-F1 to it"
            elif round(lost, 3) < 0:
                text += f", and loses no test Macro-F1 to it ({number(-lost, signed=True)})"
            else:
                text += ", with the same test Macro-F1 to three digits"
        found.append(f"{text}.")
    return found


def _fastest(records: Sequence[Record]) -> list[str]:
    timed = [r for r in records if "real" in r.latency]
    small = min(records, key=lambda r: r.size_bytes)
    least = f"Smallest: {escape(small.cell.id)}, {small.size_bytes / 1e6:.1f} MB."
    if not timed:
        return [least]
    if not one_machine(timed):
        return [
            f"Latencies come from different machines, threads or versions: none is ranked. {least}"
        ]
    fast = min(timed, key=lambda r: r.latency["real"].p50_s)
    real = fast.latency["real"]
    return [
        (
            f"Fastest: {escape(fast.cell.id)}, {real.p50_s * 1e3:.1f} ms per batch of {real.batch_size} (p50, "
            f"real lengths, {fast.environment.threads} threads). {least}"
        )
    ]


def _budgets(records: Sequence[Record]) -> list[str]:
    checks = [(r.cell.id, check) for r in records for check in r.budgets]
    broken = [f"{escape(cell)} {escape(check.name)}" for cell, check in checks if not check.passed]
    if not checks:
        return []
    if not broken:
        return [f"All {len(checks)} budgets are kept."]
    return [f"{len(broken)} of {len(checks)} budgets are broken: {', '.join(broken)}."]

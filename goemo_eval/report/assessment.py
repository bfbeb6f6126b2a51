"""What the numbers amount to, in sentences that the records carry."""

from __future__ import annotations

from collections.abc import Sequence

from goemo_eval.report.study import Study
from goemo_eval.report.tables import pairs
from goemo_eval.report.text import escape, model_name, number
from goemo_eval.results.records import Record


def assessment(records: Sequence[Record], study: Study) -> list[str]:
    """Return the assessment, one finding per line of markdown."""
    findings = [
        *_best(records),
        *_gain(records, study),
        *_overfit_thresholds(records),
        *_int8(records, study),
        *_fastest(records),
        *_budgets(records),
    ]
    return [f"- {finding}" for finding in findings]


def _best(records: Sequence[Record]) -> list[str]:
    found = []
    for scheme in dict.fromkeys(r.cell.scheme for r in records if r.scores):
        cells = [r for r in records if r.scores and r.cell.scheme == scheme]
        parts = []
        for split in ("validation", "test"):
            best = max(cells, key=lambda r: getattr(r.scores, split).macro_f1)
            f1 = getattr(best.scores, split).macro_f1
            parts.append(f"{split} {escape(best.cell.id)} ({number(f1)})")
        found.append(f"Best {escape(scheme)} Macro-F1 of {len(cells)} scored: {', '.join(parts)}.")
    return found


def _gain(records: Sequence[Record], study: Study) -> list[str]:
    test = {
        (model_name(r.cell), r.cell.scheme): r.scores.test.macro_f1
        for r in records
        if r.scores and r.cell.precision == "fp32"
    }
    low, high = study.claims.simplified_gain
    return [
        f"{escape(model)}: simplified beats raw by {number(f1 - test[model, 'raw'], signed=True)} "
        f"test Macro-F1 (the study: {low:+} to {high:+}). The two are different tasks: a label that "
        "a text has beside its dominant one counts under raw only."
        for (model, scheme), f1 in test.items()
        if scheme == "simplified" and (model, "raw") in test
    ]


def _overfit_thresholds(records: Sequence[Record]) -> list[str]:
    found = []
    for record in records:
        if record.thresholds is None or record.scores is None or record.cell.precision != "fp32":
            continue
        gap = record.scores.validation.macro_f1 - record.scores.test.macro_f1
        found.append(
            f"{escape(record.cell.id)}: {record.thresholds.strategy} thresholds, fitted on validation, "
            f"lose {number(gap)} Macro-F1 from validation to test."
        )
    return found


def _int8(records: Sequence[Record], study: Study) -> list[str]:
    couples = pairs(records)
    found = []
    for fp32, int8 in couples:
        if fp32.scores is None or int8.scores is None or int8.speedup is None:
            continue
        drop = fp32.scores.test.macro_f1 - int8.scores.test.macro_f1
        text = f"{escape(int8.cell.id)} costs {number(drop)} test Macro-F1"
        if int8.thresholds is not None and int8.scores_refitted is not None:
            refitted = fp32.scores.test.macro_f1 - int8.scores_refitted.test.macro_f1
            text += f" ({number(refitted)} with refitted thresholds)"
        found.append(f"{text} and is {int8.speedup.ratio:.2f} times as fast as FP32.")
    ratios = [int8.speedup.ratio for _, int8 in couples if int8.speedup]
    if ratios:
        low, high = study.claims.int8_speedup
        found.append(
            f"Over {len(ratios)} pairs INT8 is {min(ratios):.2f} to {max(ratios):.2f} times as fast "
            f"(the study's text: {low:g} to {high:g}; its table: "
            f"{min(c.speedup for c in study.cells):.2f} to {max(c.speedup for c in study.cells):.2f})."
        )
    return found


def _fastest(records: Sequence[Record]) -> list[str]:
    timed = [r for r in records if "real" in r.latency]
    if not timed:
        return []
    fast = min(timed, key=lambda r: r.latency["real"].p50_s)
    small = min(records, key=lambda r: r.size_bytes)
    return [
        (
            f"Fastest: {escape(fast.cell.id)}, {fast.latency['real'].p50_s * 1e3:.1f} ms per batch of "
            f"{fast.latency['real'].batch_size} (p50, real lengths, {fast.environment.threads} threads). "
            f"Smallest: {escape(small.cell.id)}, {small.size_bytes / 1e6:.1f} MB."
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

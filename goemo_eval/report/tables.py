"""The study's three tables from records, each value beside the published one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from goemo_eval.measure.statistics import Interval
from goemo_eval.records.over_seeds import seed_groups, summarize_seeds
from goemo_eval.records.schema import Record
from goemo_eval.report.document import Block
from goemo_eval.report.seeds import over_seeds_text, several_seeds
from goemo_eval.report.study.published import Study
from goemo_eval.report.text import DASH, escape, model_name, number, spread, table


def pairs(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Return each INT8 record with its FP32 twin before it."""
    by_id = {record.cell.id: record for record in records}
    return [
        (by_id[record.cell.at("fp32").id], record)
        for record in records
        if record.cell.precision == "int8" and record.cell.at("fp32").id in by_id
    ]


def names(record: Record) -> list[str]:
    """Return the words that begin a row: model and scheme."""
    return [escape(model_name(record.cell)), escape(record.cell.scheme)]


def macro_f1_table(records: Sequence[Record], study: Study) -> Block:
    """Table 1: FP32 Macro-F1 on validation and test; with seeds, their means and intervals."""
    groups = seed_groups(r for r in records if r.cell.precision == "fp32")
    several = several_seeds(records)
    rows = []
    for group in groups:
        record, found = group[0], next(iter(summarize_seeds(group)), None)
        published = study.cell(record)
        row = names(record)
        if several:
            row[0] = escape(model_name(record.cell.model_copy(update={"seed": 0})))
            row.append(", ".join(map(str, found.seeds)) if found else DASH)
        for split in ("validation", "test"):
            over = getattr(found, f"{split}_macro_f1") if found else None
            ours = over.mean if over else None
            theirs = getattr(published, split) if published else None
            row += [number(ours)] + [over_seeds_text(over) if over else DASH] * several
            row += [number(theirs), _difference(ours, theirs, record, study)]
        if several:
            row += [number(found.gap.mean if found else None, signed=True)]
        rows.append(row)
    interval = ["95 % over seeds"] * several
    headers = ["model", "scheme"] + ["seeds"] * several
    headers += ["validation", *interval, "study", "diff.", "test", *interval, "study", "diff."]
    headers += ["gap"] * several
    return table(headers, rows, words=2 + several)


def strategy_table(records: Sequence[Record]) -> Block:
    """Table 1b: Macro-F1 of the multilabel cells under each threshold strategy."""
    rows = []
    for record in records:
        if not record.strategies:
            continue
        row = [*names(record), record.cell.precision.upper()]
        for score in record.strategies:
            row += [number(score.validation_macro_f1), number(score.test_macro_f1)]
        rows.append(row)
    strategies = next((r.strategies for r in records if r.strategies), ())
    headers = ["model", "scheme", "precision"]
    headers += [f"{s.strategy} {split}" for s in strategies for split in ("val.", "test")]
    return table(headers, rows, words=3) if rows else ""


_PERCENTILES = ("p50_s", "p90_s", "p99_s")


def efficiency_table(records: Sequence[Record], study: Study) -> Block:
    """Table 2: parameters, latency per batch, size and memory of every cell."""
    rows = []
    for record in records:
        published = study.cell(record) if record.cell.precision == "fp32" else None
        real, padded = record.latency.get("real"), record.latency.get("padded128")
        peak = record.peak_rss_bytes
        rows.append(
            [
                *names(record),
                record.cell.precision.upper(),
                number(record.parameters / 1e6, 2),
                number(published.parameters_m if published else None, 2),
                *(number(getattr(real, p) * 1e3 if real else None, 1) for p in _PERCENTILES),
                number(padded.p50_s * 1e3 if padded else None, 1),
                number(published.latency_ms if published else None, 1),
                number(record.size_bytes / 1e6, 1),
                number(peak / 1e6 if peak else None, 0),
            ]
        )
    headers = ["model", "scheme", "precision", "params (M)", "study", "real p50 (ms)", "p90", "p99"]
    headers += ["padded128 p50 (ms)", "study", "size (MB)", "peak RSS (MB)"]
    return table(headers, rows, words=3)


def int8_accuracy_table(
    records: Sequence[Record], study: Study, intervals: Mapping[str, Interval]
) -> Block:
    """Table 3, accuracy: test Macro-F1 of FP32 and INT8, with FP32's thresholds and refitted.

    `intervals` are those of INT8 minus FP32, by the INT8 cell's id.
    """
    rows = []
    for fp32, int8 in pairs(records):
        published, change = study.cell(int8), intervals.get(int8.cell.id)
        scores = [r.test.macro_f1 if r else None for r in (fp32.scores, int8.scores)]
        refitted = int8.scores_refitted.test.macro_f1 if int8.scores_refitted else None
        rows.append(
            [
                *names(int8),
                number(scores[0]),
                number(published.fp32 if published else None),
                number(scores[1]),
                number(published.int8 if published else None),
                number(_minus(scores[1], scores[0]), signed=True),
                spread(change.low, change.high, signed=True) if change else DASH,
                number(published.delta if published else None, signed=True),
                number(refitted),
                number(_minus(refitted, scores[0]), signed=True),
            ]
        )
    headers = ["model", "scheme", "FP32", "study", "INT8", "study", "Δ", "95 % interval", "study Δ"]
    headers += ["INT8 refitted", "Δ refitted"]
    return table(headers, rows, words=2) if rows else ""


def repair_table(records: Sequence[Record]) -> Block:
    """Table 3, repair: the INT8 cells that lost more than their budget, and what brought it back."""
    rows = []
    for record in records:
        search = record.precision_search
        if search is None:
            continue
        rows.append(
            [
                *names(record),
                ", ".join(map(escape, record.kept_fp32)),
                number(search.plain_validation_macro_f1),
                number(search.validation_macro_f1)
                + ("" if search.within_budget else " (still over)"),
                number(search.plain_test_macro_f1),
                number(search.int8_share * 100, 0),
                str(search.passes),
                number(search.seconds, 0),
            ]
        )
    headers = ["model", "scheme", "kept in FP32", "plain INT8 val.", "repaired val."]
    headers += ["plain INT8 test", "INT8 weights (%)", "passes", "seconds"]
    return table(headers, rows, words=3) if rows else ""


def int8_speed_table(records: Sequence[Record], study: Study) -> Block:
    """Table 3, speed: forward seconds over the test split, in turns, and the ratio's median."""
    rows = []
    for _, int8 in pairs(records):
        published, speed = study.cell(int8), int8.speedup
        over_torch = int8.speedup_over(int8.cell.at("fp32").model_copy(update={"engine": "torch"}))
        rows.append(
            [
                *names(int8),
                number(median(speed.reference_s) if speed else None, 2),
                number(published.fp32_s if published else None, 1),
                number(median(speed.candidate_s) if speed else None, 2),
                number(published.int8_s if published else None, 1),
                f"{speed.ratio:.2f}" if speed else DASH,
                number(published.speedup if published else None, 2),
                f"{min(ratios):.2f} to {max(ratios):.2f}" if (ratios := _ratios(int8)) else DASH,
                f"{over_torch.ratio:.2f}" if over_torch else DASH,
            ]
        )
    headers = ["model", "scheme", "FP32 (s)", "study", "INT8 (s)", "study", "speedup", "study"]
    return table([*headers, "over the passes", "over torch FP32"], rows, words=2) if rows else ""


def budget_table(records: Sequence[Record]) -> Block:
    """Every budget that was checked."""
    rows = [
        [
            escape(record.cell.id),
            escape(check.name),
            "yes" if check.passed else "**no**",
            f"{check.limit:.4g}",
            f"{check.value:.4g}",
        ]
        for record in records
        for check in record.budgets
    ]
    return table(["cell", "budget", "kept", "limit", "measured"], rows, words=3) if rows else ""


def _difference(ours: float | None, theirs: float | None, record: Record, study: Study) -> str:
    return number(_minus(ours, theirs) if study.comparable(record) else None, signed=True)


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _ratios(record: Record) -> list[float]:
    if record.speedup is None:
        return []
    both = zip(record.speedup.reference_s, record.speedup.candidate_s, strict=True)
    return [reference / candidate for reference, candidate in both]

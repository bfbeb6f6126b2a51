"""The first screen: which cell to deploy, the numbers that matter, what was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from goemo_eval.errors import RecordError
from goemo_eval.judge.recommend import Recommendation, recommend
from goemo_eval.records.over_seeds import one_seed
from goemo_eval.records.schema import Record
from goemo_eval.report.advice import advice, seed_advice
from goemo_eval.report.document import Block, Fold
from goemo_eval.report.figures import plots_of
from goemo_eval.report.intervals import Intervals, difference
from goemo_eval.report.seeds import seed_note
from goemo_eval.report.tables import pairs
from goemo_eval.report.text import DASH, escape, number, spread, table


def summary(records: Sequence[Record], intervals: Intervals) -> list[Block]:
    """Return the summary of a report."""
    blocks: list[Block] = ["## Summary"]
    try:
        found = recommend(records)
    except RecordError as error:
        blocks.append(f"No recommendation: {escape(str(error))}.")
        found = []
    blocks += [_deploy(records, recommendation, intervals) for recommendation in found]
    if found:
        blocks.append(_numbers(one_seed(records), found, intervals))
    if note := seed_note(records):
        blocks.append(f"{note} Table 1 has the means over seeds.")
    if unscored := _not_scored(records):
        blocks.append(unscored)
    for recommendation in found:
        blocks += _behind(recommendation)
    pareto = plots_of(records).get("pareto")
    return [*blocks, pareto] if pareto else blocks


def _deploy(records: Sequence[Record], found: Recommendation, intervals: Intervals) -> str:
    by_id = {record.cell.id: record for record in records}
    # Nothing was asked, so some scored cell fits, unless all latencies are missing.
    if found.chosen is None or found.best is None:
        return f"**{escape(found.scheme)}**: no cell could be judged."
    chosen, best = found.option(found.chosen), found.option(found.best)
    certain = intervals.scores.get(chosen.cell)
    between = f" (95 % interval {spread(certain.low, certain.high)})" if certain else ""
    batch = by_id[chosen.cell].latency
    cost = ""
    if chosen.p95_ms is not None:
        cost = f", {chosen.p95_ms:.1f} ms per batch of {batch['real'].batch_size} (p95)"
    text = (
        f"**{escape(found.scheme)}**: deploy **{escape(chosen.cell)}**, test Macro-F1 "
        f"{chosen.macro_f1:.3f}{between}{cost}, {chosen.size_mb:.1f} MB. "
    )
    seeds = f" {escape(seed_advice(found))}" if found.seeds else ""
    if best.cell == chosen.cell:
        return f"{text}No cell scores higher.{seeds}"
    change = difference(by_id[best.cell], by_id[chosen.cell])
    noise = f" ({spread(change.low, change.high, signed=True)})" if change else ""
    text += (
        f"Against the best, {escape(best.cell)} ({best.macro_f1:.3f}), that is "
        f"{number(chosen.macro_f1 - best.macro_f1, signed=True)}{noise}; a loss of {found.max_loss:g} is allowed for a cheaper cell."
    )
    if found.ranked_by == "size_mb":
        text += " Latencies are missing or of different machines, so cheaper means smaller."
    return text + seeds


def _numbers(
    records: Sequence[Record], found: Sequence[Recommendation], intervals: Intervals
) -> Block:
    """Return per scheme the best score, what INT8 brings, and what it costs."""
    rows = []
    for recommendation in found:
        best = recommendation.best or ""
        certain = intervals.scores.get(best)
        couples = [i for _, i in pairs(records) if i.cell.scheme == recommendation.scheme]
        ratios = [i.speedup.ratio for i in couples if i.speedup]
        drops = [-intervals.int8[i.cell.id].point for i in couples if i.cell.id in intervals.int8]
        rows.append(
            [
                escape(recommendation.scheme),
                escape(best),
                number(recommendation.option(best).macro_f1),
                spread(certain.low, certain.high) if certain else DASH,
                _of_pairs(ratios, 2),
                _of_pairs(drops, 3),
            ]
        )
    headers = ["scheme", "best cell", "test Macro-F1", "95 % interval"]
    headers += ["INT8 speed over its FP32, median (range)", "INT8 loss of Macro-F1, median (range)"]
    return table(headers, rows, words=2)


def _of_pairs(values: Sequence[float], digits: int) -> str:
    """Return the median and, of several values, the range."""
    if not values:
        return DASH
    middle = number(median(values), digits)
    return f"{middle} ({spread(min(values), max(values), digits)})" if len(values) > 1 else middle


def _not_scored(records: Sequence[Record]) -> str:
    """Return what the page cannot say, by reason."""
    reasons: dict[str, list[str]] = {}
    for record in records:
        if record.scores is None:
            reasons.setdefault(record.unscored_reason or "not scored", []).append(record.cell.id)
    if not reasons:
        return ""
    lines = [
        f"- {len(cells)} of {len(records)} cells were not scored, and are not judged: {escape(reason)}"
        for reason, cells in reasons.items()
    ]
    return "\n".join(lines)


def _behind(found: Recommendation) -> list[Block]:
    """Return, folded, what would change the answer, and the front."""
    changes = [f"- {escape(line)}" for line in advice(found)[2:] if line.startswith("With")]
    rows = [
        [
            escape(o.cell),
            number(o.macro_f1),
            number(o.p95_ms, 1),
            number(o.size_mb, 1),
            number(o.peak_rss_mb, 0),
        ]
        for o in found.options
        if o.on_front
    ]
    headers = ["cell", "test Macro-F1", "p95 (ms per batch)", "size (MB)", "peak RSS (MB)"]
    body: list[Block] = [
        "\n".join(changes),
        (
            "`goemo-eval recommend records.json` asks again under limits of your own. No cell beats one of "
            "these in everything:"
        ),
        table(headers, rows),
    ]
    return [Fold(f"{found.scheme}: what would change the answer, and the Pareto front", body)]

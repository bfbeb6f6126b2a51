"""The first screen: which cell to deploy, the numbers that matter, what was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from goemo_eval.errors import RecordError
from goemo_eval.report.advice import advice
from goemo_eval.report.document import Block, Fold
from goemo_eval.report.figures import plots_of
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.tables import pairs
from goemo_eval.report.text import DASH, escape, number, spread, table
from goemo_eval.results.recommend import Recommendation, recommend
from goemo_eval.results.records import Record


def summary(records: Sequence[Record], intervals: Intervals) -> list[Block]:
    """Return the summary of a report."""
    blocks: list[Block] = ["## Summary"]
    try:
        found = recommend(records)
    except RecordError as error:
        blocks.append(f"No recommendation: {escape(str(error))}.")
        found = []
    for recommendation in found:
        blocks += _deploy(recommendation, intervals)
    if found:
        blocks.append(_numbers(records, found, intervals))
    if unscored := _not_scored(records):
        blocks.append(unscored)
    for recommendation in found:
        blocks += _behind(recommendation)
    pareto = plots_of(records).get("pareto")
    return [*blocks, pareto] if pareto else blocks


def _deploy(found: Recommendation, intervals: Intervals) -> list[Block]:
    if found.chosen is None:  # unlimited, so never: some scored cell always fits
        return []
    answer, price, *_ = advice(found)
    certain = intervals.scores.get(found.chosen)
    between = f" (95 % interval {spread(certain.low, certain.high)})" if certain else ""
    head, colon, rest = answer.partition(":")
    return [
        f"**{escape(found.scheme)}**: deploy **{escape(head)}**{colon}{escape(rest)}{between} {escape(price)}"
    ]


def _numbers(
    records: Sequence[Record], found: Sequence[Recommendation], intervals: Intervals
) -> str:
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
    headers += ["INT8 speed over FP32", "INT8 loss of Macro-F1"]
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
    changes = [f"- {escape(line)}" for line in advice(found)[2:]]
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
    body: list[Block] = []
    if changes:
        body.append("\n".join(changes))
    body += [
        (
            "`goemo-eval recommend records.json` asks again under limits of your own. No cell beats one of "
            "these in everything:"
        ),
        table(headers, rows),
    ]
    return [Fold(f"{found.scheme}: what would change the answer, and the Pareto front", body)]

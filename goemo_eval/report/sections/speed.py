"""How fast and how large the cells are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from goemo_eval.measure.scenarios import SCENARIOS, Latency, Scenario
from goemo_eval.records.comparable import TIMED
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.document import Block, Column, Picture, table
from goemo_eval.report.sections.columns import cell_columns
from goemo_eval.report.text import DASH, escape, number
from goemo_eval.report.times import (
    MARK,
    is_unstable,
    mark,
    not_ranked,
    ranked_together,
    short,
    under,
)


def speed_section(view: View, picture: Picture | None) -> list[Block]:
    """Return what the times say, Table 2, and its figure."""
    shown = view.shown
    return [
        "\n".join(f"- {finding}" for finding in [*_fastest(shown), _smallest(shown)]),
        *_table(shown),
        *([picture] if picture else []),
    ]


def _fastest(shown: View) -> list[str]:
    """Name the fastest cell of each scenario, where times may be compared at all."""
    said = []
    for scenario, what in (("real", "per batch of {}, real lengths"), ("single", "for one text")):
        for scheme, timed in ranked_together(shown, scenario):
            if reasons := not_ranked(timed, scenario):
                said.append(
                    f"No cell{under(scheme)} is called the fastest {what.format('texts')}: "
                    f"{escape(short(reasons[0]))}."
                )
                continue
            p50 = {r.cell.id: r.latency[scenario].p50_s for r in timed}  # type: ignore[index]
            fast = min(timed, key=lambda r: p50[r.cell.id])
            times = fast.latency[scenario]  # type: ignore[index]
            said.append(
                f"Fastest of {len(timed)}{under(scheme)} {what.format(times.batch_size)}: {escape(fast.cell.id)}, "
                f"{times.p50_s * 1e3:.1f} ms (p50, {times.threads} threads)."
            )
    return said or ["No cell was timed."]


def _smallest(shown: View) -> str:
    small = min(shown, key=lambda r: r.size_bytes)
    return f"Smallest: {escape(small.cell.id)}, {small.size_bytes / 1e6:.1f} MB on disk."


def _table(shown: View) -> list[Block]:
    """Table 2: what each cell takes, in time, in memory and on disk."""
    records = list(shown)
    marked = any(is_unstable(r, scenario) for r in records for scenario in TIMED)
    real, padded, single = (_milliseconds(records, s) for s in SCENARIOS)
    return [
        "**Table 2. Times in milliseconds, memory and size in MB**"
        + (f"; {MARK}" if marked else ""),
        *table(
            *cell_columns(records),
            Column("times", "how many were taken of *real*", [_times(r) for r in records]),
            Column(
                "real p50",
                "median of the forward pass per batch of 32 texts, in the test split's order, padded to the longest "
                "of their batch; tokenization apart",
                real(lambda t: t.p50_s),
            ),
            Column("p90", "", real(_at_least(10, lambda t: t.p90_s))),
            Column(
                "p95", "19 of 20 batches were done by then", real(_at_least(20, lambda t: t.p95_s))
            ),
            Column("p99", "of 100 times or more", real(lambda t: t.p99_s)),
            Column("padded128 p50", "every batch 128 tokens long", padded(lambda t: t.p50_s)),
            Column("one text p50", "text in, scores out", single(lambda t: t.p50_s)),
            Column("one text p95", "", single(_at_least(20, lambda t: t.p95_s))),
            Column(
                "texts/s",
                "the whole test split, text in, scores out",
                [_texts_per_s(r) for r in records],
            ),
            Column(
                "memory",
                "resident at most in a process that holds this cell's files and nothing else, while it scored",
                [number(r.memory.peak_rss_bytes / 1e6 if r.memory else None, 0) for r in records],
            ),
            Column(
                "start (s)",
                "of that process, until its first answer",
                [number(r.memory.start_s if r.memory else None, 1) for r in records],
            ),
            Column("size", "on disk", [number(r.size_bytes / 1e6, 1) for r in records]),
        ),
    ]


def _milliseconds(
    records: Sequence[Record], scenario: Scenario
) -> Callable[[Callable[[Latency], float | None]], list[str]]:
    """Return what makes a column of a scenario's times."""

    def column(seconds: Callable[[Latency], float | None]) -> list[str]:
        cells = []
        for record in records:
            times = record.latency.get(scenario)
            value = seconds(times) if times else None
            text = number(value * 1e3 if value else None, 1)
            cells.append(mark(text, unstable=value is not None and is_unstable(record, scenario)))
        return cells

    return column


def _at_least(
    least: int, seconds: Callable[[Latency], float | None]
) -> Callable[[Latency], float | None]:
    """Return what gives a percentile of `least` times or more: of fewer it would be the largest of them."""
    return lambda times: seconds(times) if len(times.times_s) >= least else None


def _times(record: Record) -> str:
    real = record.latency.get("real")
    return str(len(real.times_s)) if real else DASH


def _texts_per_s(record: Record) -> str:
    if record.offline is None:
        return DASH
    rate = f"{record.offline.texts_per_s:,.0f}"
    return mark(rate, unstable=is_unstable(record, "offline"))

"""What a cell scores beside what it costs: time where times may be compared, and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from goemo_eval.measure.scenarios import Latency
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.figures.drawing import (
    BLACK,
    GREY,
    encoder_styles,
    interval_bar,
    legend,
    line,
    log_axis,
    point,
    score_limits,
)
from goemo_eval.report.figures.row_chart import height_of, row_axes, row_name
from goemo_eval.report.floor import floor_of, is_floor
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.times import not_ranked

_PALE = 0.4
"""Opacity of BF16, between hollow and filled."""
_MIDDLE: dict[str, Any] = {"ha": "center", "va": "center", "color": GREY}
MOST_ROWS = 16
"""Of a scheme; of more cells, those that no other beats are shown, then the highest Macro-F1s."""


def cost_rows(view: View) -> dict[str, list[Record]]:
    """Return by scheme the scored cells that are shown, the cheapest first."""
    found = {}
    for scheme in view.schemes:
        shown = view.shown.of_scheme(scheme)
        by_time = _by_time(shown)
        timed = bool(by_time)
        rows = sorted(by_time or shown.scored, key=lambda r: (_cost(r, timed=timed), r.cell.id))
        if len(rows) > MOST_ROWS:
            kept = _front(rows, timed=timed) | {r.cell for r in rows if is_floor(r)}
            by_score = sorted(rows, key=lambda r: -_f1(r))
            for record in by_score:
                if len(kept) >= MOST_ROWS:
                    break
                kept.add(record.cell)
            rows = [r for r in rows if r.cell in kept]
        if rows:
            found[scheme] = rows
    return found


def timed_schemes(view: View) -> list[str]:
    """Return the schemes whose scored cells are ranked by their times per batch."""
    return [name for name in view.schemes if _by_time(view.shown.of_scheme(name))]


def count_untimed(view: View) -> int:
    """Return how many scored cells are left out of schemes that are ranked by time, since they were not timed."""
    shown = [view.shown.of_scheme(name) for name in timed_schemes(view)]
    return sum(len(one.scored) - len(_by_time(one)) for one in shown)


def _by_time(shown: View) -> list[Record]:
    """Return a scheme's scored cells that were timed, if their times per batch may be compared."""
    timed = [record for record in shown.scored if "real" in record.latency]
    return [] if not_ranked(timed, "real") else timed


def cost_height(view: View) -> float:
    """Return inches."""
    rows = cost_rows(view)
    return height_of(sum(map(len, rows.values())), len(rows))


def draw_cost(figure: Figure, view: View, intervals: Intervals) -> None:
    """Draw a line per cell: Macro-F1, milliseconds per batch, size; filled INT8, hollow FP32, pale BF16."""
    by_scheme, with_times = cost_rows(view), timed_schemes(view)
    names = {scheme: [row_name(r) for r in rows] for scheme, rows in by_scheme.items()}
    panels = row_axes(figure, names, [1.3, 1.0, 0.8] if with_times else [1.3, 1.0])
    styles = encoder_styles(view)
    scores: list[float] = []
    for scheme, (score_axes, *cost_axes) in panels.items():
        for y, record in enumerate(by_scheme[scheme]):
            look = _look(record, styles[record.cell.encoder][0])
            ends = intervals.ends(record.cell)
            interval_bar(score_axes, y, ends, look["mec"], across=True)
            score_axes.plot(_f1(record), y, "o", **look)
            scores += [_f1(record), *(ends or ())]
            if scheme in with_times:
                real = record.latency["real"]
                x = [real.p50_s * 1e3, real.p95_s * 1e3]
                cost_axes[0].plot(x, [y, y], "-", color=look["mec"], lw=1.4, zorder=2)
                cost_axes[0].plot(x[1], y, "o", **look)
            cost_axes[-1].plot(_size(record), y, "o", **look)
        if with_times and scheme not in with_times:
            cost_axes[0].text(
                0.5, 0.5, "no times to compare", **_MIDDLE, transform=cost_axes[0].transAxes
            )
        floor = floor_of(view.of_scheme(scheme))
        if floor:
            score_axes.axvline(_f1(floor), color=GREY, ls=":", lw=1.2, zorder=1)
    rows = [record for found in by_scheme.values() for record in found]
    times = [r.latency["real"] for name in with_times for r in by_scheme.get(name, ())]
    _label(list(panels.values())[-1], rows, scores, times)
    keys = [point("FP32", "o", BLACK, hollow=True), point("INT8", "o", BLACK)]
    if any(record.cell.precision == "bf16" for record in rows):
        keys.insert(1, point("BF16", "o", GREY))
    if any(floor_of(view.of_scheme(scheme)) for scheme in by_scheme):
        keys.append(line("floor", GREY, ":"))
    legend(figure, keys)


def _label(
    axes: Sequence[Any], rows: Sequence[Record], scores: list[float], times: Sequence[Latency]
) -> None:
    """Set the axes that all schemes share."""
    axes[0].set_xlim(*score_limits(scores))
    axes[0].set_xlabel("test Macro-F1, 95 %")
    if times:
        seconds = [v * 1e3 for t in times for v in (t.p50_s, t.p95_s)]
        log_axis(axes[1], "ms per batch, p50 to p95", seconds, room=6)
    log_axis(axes[-1], "MB on disk", [_size(r) for r in rows], room=6)


def _look(record: Record, colour: str) -> dict[str, Any]:
    faces = {"fp32": "white", "bf16": to_rgba(colour, _PALE), "int8": colour}
    face = faces[record.cell.precision]
    return {"mfc": face, "mec": colour, "mew": 1.5, "ms": 7, "zorder": 3}


def _f1(record: Record) -> float:
    return record.scores.test.macro_f1 if record.scores else 0.0


def _size(record: Record) -> float:
    return max(record.size_bytes, 1) / 1e6


def _cost(record: Record, *, timed: bool) -> float:
    return record.latency["real"].p95_s if timed else _size(record)


def _front(rows: Sequence[Record], *, timed: bool) -> set[Any]:
    """Return the cells that no cheaper one outscores."""
    front, best = set(), -1.0
    for record in sorted(rows, key=lambda r: (_cost(r, timed=timed), -_f1(r))):
        if _f1(record) > best:
            best = _f1(record)
            front.add(record.cell)
    return front

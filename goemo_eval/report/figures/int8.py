"""What INT8 and BF16 cost and bring: the change of Macro-F1 and the speed of every cell, on axes that all share."""

from __future__ import annotations

from matplotlib.figure import Figure

from goemo_eval.records.view import Pair, View
from goemo_eval.report.figures.drawing import (
    BLACK,
    GREY,
    encoder_styles,
    interval_bar,
    legend,
    log_axis,
    point,
    score_limits,
)
from goemo_eval.report.figures.row_chart import height_of, row_axes, row_name
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.text import lower_names, lower_precisions
from goemo_eval.report.times import stable_speedup

LEAST_SPAN = 0.02
"""Of the axis of changes: a thousandth must not look like a loss."""


def int8_rows(view: View) -> dict[str, list[Pair]]:
    """Return by scheme the pairs that have a change or a speed to show."""
    found: dict[str, list[Pair]] = {}
    for pair in view.shown.pairs:
        if (pair.fp32.scores and pair.reduced.scores) or stable_speedup(pair.reduced.speedup):
            found.setdefault(pair.reduced.cell.scheme, []).append(pair)
    return dict(sorted(found.items()))


def int8_height(view: View) -> float:
    """Return inches."""
    rows = int8_rows(view)
    return height_of(sum(map(len, rows.values())), len(rows))


def draw_int8(figure: Figure, view: View, intervals: Intervals) -> None:
    """Draw a line per cell of INT8 or BF16: change against FP32, and how many times as fast, where that is stable."""
    by_scheme = int8_rows(view)
    pairs = [pair for rows in by_scheme.values() for pair in rows]
    several = len(lower_precisions(pairs)) > 1
    names = {
        s: [row_name(p.reduced, precision=several) for p in rows] for s, rows in by_scheme.items()
    }
    every = [stable_speedup(p.reduced.speedup) for p in pairs]
    with_speed = any(every)
    panels = row_axes(figure, names, [1.2, 1.0] if with_speed else [1.0])
    styles = encoder_styles(view)
    changes: list[float] = [0.0]
    ratios: list[float] = [1.0]
    for scheme, axes in panels.items():
        axes[0].axvline(0, color=BLACK, lw=0.8)
        for y, pair in enumerate(by_scheme[scheme]):
            colour = styles[pair.reduced.cell.encoder][0]
            changes += _change(axes[0], y, pair, intervals, colour)
            if with_speed:
                ratios += _speed(axes[1], y, pair, colour)
        if with_speed:
            axes[1].axvline(1, color=BLACK, lw=0.8)
    last = list(panels.values())[-1]
    last[0].set_xlim(*score_limits(changes, least=LEAST_SPAN))
    last[0].set_xlabel(f"{lower_names(pairs)} minus FP32, test Macro-F1, paired 95 %")
    if with_speed:
        log_axis(last[1], "times as fast as its FP32, all passes", ratios)
    keys = []
    if any(pair.reduced.kept_fp32 for pair in pairs):
        keys += [
            point(lower_names(pairs), "o", BLACK),
            point("some layers kept in FP32", "s", BLACK),
        ]
    if with_speed and not all(every):
        keys.append(point("no speed: unstable, or not timed", "", GREY))
    if keys:
        legend(figure, keys)


def _marker(pair: Pair) -> str:
    return "s" if pair.reduced.kept_fp32 else "o"


def _change(axes: object, y: int, pair: Pair, intervals: Intervals, colour: str) -> list[float]:
    fp32, int8 = pair.fp32.scores, pair.reduced.scores
    if fp32 is None or int8 is None:
        return []
    change = int8.test.macro_f1 - fp32.test.macro_f1
    found = intervals.twin.get(pair.reduced.cell.id)
    ends = (found.low, found.high) if found else None
    interval_bar(axes, y, ends, colour, across=True)
    axes.plot(change, y, _marker(pair), color=colour, ms=6.5, zorder=3)  # type: ignore[attr-defined]
    return [change, *(ends or ())]


def _speed(axes: object, y: int, pair: Pair, colour: str) -> list[float]:
    speedup = stable_speedup(pair.reduced.speedup)
    if speedup is None:
        return []
    passes = zip(speedup.reference_s, speedup.candidate_s, strict=True)
    ratios = [reference / candidate for reference, candidate in passes]
    ends = (min(ratios), max(ratios))
    interval_bar(axes, y, ends if len(ratios) > 1 else None, colour, across=True)
    axes.plot(speedup.ratio, y, _marker(pair), color=colour, ms=6.5, zorder=3)  # type: ignore[attr-defined]
    return [speedup.ratio, *ends]

"""The study's Figures 2 and 4, where an axis is seconds: its values in panels of their own.

It took its times on another machine: on one axis with ours they would look like a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from goemo_eval.records.schema import Record
from goemo_eval.records.view import Pair, View
from goemo_eval.report.figures.drawing import (
    GREY,
    encoder_styles,
    engines_in_order,
    interval_bar,
    legend,
    log_axis,
    nothing,
    patch,
    point,
    scheme_colours,
    score_limits,
)
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.study.looks import SCHEMES, VALIDATION, Point, study_key
from goemo_eval.report.study.published import load_study
from goemo_eval.report.times import not_ranked, stable_speedup

_THEIRS = "the study's machine"


def draw_latency(figure: Figure, view: View, intervals: Intervals) -> None:
    """Figure 2: latency against Macro-F1; colour = scheme, marker = model; a panel per engine."""
    study = load_study()
    fp32 = [r for r in view.shown if r.cell.precision == "fp32" and "real" in r.latency]
    shown = [r for r in fp32 if study.cell(r.cell) and r.scores]
    ours = [] if not_ranked(shown, "real") else shown
    engines = engines_in_order(r.cell.engine for r in ours) or [""]
    panels = figure.subplots(1, 1 + len(engines), sharey=True, squeeze=False)[0]
    styles = encoder_styles(shown, (c.encoder for c in study.cells))
    colours = scheme_colours(shown) or scheme_colours(view)
    scores = [c.test for c in study.cells]
    for cell in study.cells:
        look = styles[cell.encoder][1], colours.get(cell.scheme, GREY)
        panels[0].plot(cell.latency_ms, cell.test, look[0], mfc="white", mec=look[1], ms=8)
    log_axis(panels[0], _MS, [c.latency_ms for c in study.cells], room=4)
    panels[0].set_title(_THEIRS, style="italic")
    times = [v * 1e3 for r in ours for v in (r.latency["real"].p50_s, r.latency["real"].p90_s)]
    for axes, engine in zip(panels[1:], engines, strict=True):
        for record in (r for r in ours if r.cell.engine == engine):
            colour, marker = colours[record.cell.scheme], styles[record.cell.encoder][1]
            scores += _timed_point(axes, record, colour, marker, intervals)
        log_axis(axes, _MS, times, room=5)
        axes.set_title(f"here, {engine}" if engine else "here")
        if not ours:
            nothing(axes, "no times that may be compared")
    panels[0].set_ylim(*score_limits(scores))
    panels[0].set_ylabel("test Macro-F1")
    keys: list[Any] = [patch(colours[s], s) for s in colours]
    keys += [point(e, marker) for e, (_, marker) in styles.items()]
    legend(figure, [*keys, study_key("o")])


_MS = "ms per batch of 32"


def _timed_point(
    axes: Any, record: Record, colour: str, marker: str, intervals: Intervals
) -> list[float]:
    assert record.scores is not None
    real, f1 = record.latency["real"], record.scores.test.macro_f1
    ends = intervals.ends(record.cell)
    axes.plot([real.p50_s * 1e3, real.p90_s * 1e3], [f1, f1], "-", color=colour, lw=1.2)
    interval_bar(axes, real.p50_s * 1e3, ends, colour)
    axes.plot(real.p50_s * 1e3, f1, marker, color=colour, ms=8, mec="white", mew=0.5, zorder=3)
    return [f1, *(ends or ())]


def _trades(view: View) -> list[Pair]:
    """Return the pairs of the study's cells whose scores and times may be drawn."""
    study = load_study()
    return [
        p
        for p in view.shown.pairs
        if p.reduced.cell.precision == "int8"
        and study.cell(p.reduced.cell)
        and stable_speedup(p.reduced.speedup)
        and p.fp32.scores
        and p.reduced.scores
    ]


def trade_off_height(view: View) -> float:
    """Return inches: a row for the study and one per engine."""
    return 1.5 + 1.7 * (1 + len({p.reduced.cell.engine for p in _trades(view)}))


def draw_trade_off(figure: Figure, view: View, intervals: Intervals) -> None:
    """Figure 4: an arrow from each FP32 cell to its INT8 cell; one axis of scores for all panels."""
    pairs, study = _trades(view), load_study()
    engines = engines_in_order(p.reduced.cell.engine for p in pairs)
    panels = figure.subplots(1 + len(engines), len(SCHEMES), sharey=True, squeeze=False)
    styles = encoder_styles((p.reduced for p in pairs), (c.encoder for c in study.cells))
    scores: list[float] = []
    for axes, scheme in zip(panels[0], SCHEMES, strict=True):
        for cell in (c for c in study.cells if c.scheme == scheme):
            ends = [(cell.fp32_s, cell.fp32), (cell.int8_s, cell.int8)]
            _trade(axes, ends, styles[cell.encoder], theirs=True)
            scores += [cell.fp32, cell.int8]
        seconds = [v for c in study.cells for v in (c.fp32_s, c.int8_s)]
        log_axis(axes, "", seconds)
        axes.set_title(f"{scheme}, {_THEIRS}", style="italic")
    ours = [
        (p.reduced.speedup.reference_s, p.reduced.speedup.candidate_s)
        for p in pairs
        if p.reduced.speedup
    ]
    times = [median(passes) for both in ours for passes in both]
    for row, engine in zip(panels[1:], engines, strict=True):
        for axes, scheme in zip(row, SCHEMES, strict=True):
            here = [
                p
                for p in pairs
                if (p.reduced.cell.engine, p.reduced.cell.scheme) == (engine, scheme)
            ]
            for pair in here:
                scores += _our_trade(axes, pair, styles[pair.reduced.cell.encoder], intervals)
            log_axis(axes, "", times)
            axes.set_title(f"{scheme}, here, {engine}")
    for axes in panels[-1]:
        axes.set_xlabel("seconds over the test split")
    for axes in panels[:, 0]:
        axes.set_ylabel("test Macro-F1")
    panels[0, 0].set_ylim(*score_limits(scores))
    panels[0, 0].yaxis.set_major_locator(MaxNLocator(5))
    keys: list[Any] = [point(e, marker, colour) for e, (colour, marker) in styles.items()]
    keys += [patch(GREY, "FP32 (pale)", VALIDATION), patch(GREY, "INT8 (full)"), study_key("o")]
    legend(figure, keys)


def _our_trade(axes: Any, pair: Pair, style: tuple[str, str], intervals: Intervals) -> list[float]:
    speedup, fp32, int8 = pair.reduced.speedup, pair.fp32.scores, pair.reduced.scores
    assert speedup is not None
    assert fp32 is not None
    assert int8 is not None
    places = [
        (median(speedup.reference_s), fp32.test.macro_f1),
        (median(speedup.candidate_s), int8.test.macro_f1),
    ]
    drawn = [f1 for _, f1 in places]
    for (x, _), record in zip(places, pair, strict=True):
        ends = intervals.ends(record.cell)
        interval_bar(axes, x, ends, style[0])
        drawn += ends or ()
    _trade(axes, places, style)
    return drawn


def _trade(
    axes: Any, ends: Sequence[Point], style: tuple[str, str], *, theirs: bool = False
) -> None:
    """Draw an FP32 cell, an arrow, and its INT8 cell."""
    colour, marker = style
    axes.annotate(
        "",
        ends[1],
        ends[0],
        arrowprops={
            "arrowstyle": "->",
            "color": colour,
            "linestyle": "--" if theirs else "-",
            "shrinkA": 4,
            "shrinkB": 4,
            "lw": 1,
        },
    ).set_in_layout(False)
    for (x, y), alpha in zip(ends, (VALIDATION, 1.0), strict=True):
        face = "white" if theirs else colour
        axes.plot(x, y, marker, mfc=face, mec=colour, ms=6.5 if theirs else 7.5, alpha=alpha)

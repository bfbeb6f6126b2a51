"""The study's four figures, with its values beside ours; where an axis is seconds, in panels of their own.

The study took its times on another machine: on one axis with ours they would look like a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import hypot
from statistics import median
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from goemo_eval.records.over_seeds import SeedSummary
from goemo_eval.records.schema import Cell, Record
from goemo_eval.records.view import Pair, Reference, View
from goemo_eval.report.figures.drawing import (
    BLACK,
    GREY,
    encoder_styles,
    engines_in_order,
    interval_bar,
    legend,
    log_axis,
    names_axis,
    nothing,
    patch,
    point,
    scheme_colours,
    score_limits,
)
from goemo_eval.report.figures.plots import Plot
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.seeds import seed_note
from goemo_eval.report.study.published import Study, load_study
from goemo_eval.report.text import encoder_name
from goemo_eval.report.times import not_ranked, stable_speedup

_VALIDATION = 0.45  # opacity of a bar of the validation split
_THEIRS = "the study's machine"
_SCHEMES = ("raw", "simplified")

Point = tuple[float, float]


class _Bars(NamedTuple):
    """What bars show of a reference cell: its mean over the seeds that it has."""

    model: str
    reference: Reference

    @property
    def cell(self) -> Cell:
        return self.reference.shown.cell

    @property
    def scores(self) -> SeedSummary | None:
        return self.reference.summary

    @property
    def several(self) -> bool:
        return self.scores is not None and len(self.scores.seeds) > 1

    def test_interval(self, intervals: Intervals) -> Point | None:
        """Return the ends of the interval over several seeds, or over the texts for one."""
        over = self.scores.test_macro_f1 if self.scores else None
        if over and over.low is not None and over.high is not None:
            return over.low, over.high
        return intervals.ends(self.cell)


def _bars(view: View, study: Study) -> list[_Bars]:
    """Return the bars of the study's encoders and schemes."""
    found = [_Bars(encoder_name(r.named), r) for r in view.references]
    return [b for b in found if study.cell(b.cell)]


def draw_gain(figure: Figure, view: View, intervals: Intervals) -> None:
    """Figure 1: simplified minus raw, on validation and test."""
    axes, study = figure.subplots(), load_study()
    bars = _bars(view, study)
    styles = encoder_styles(view)
    encoders = {b.model: b.cell.encoder for b in bars}
    by_model = {(b.model, b.cell.scheme): b for b in bars}
    gains: list[Point] = []
    for x, (model, encoder) in enumerate(encoders.items()):
        pair = [by_model.get((model, scheme)) for scheme in _SCHEMES]
        scored = [b.scores for b in pair if b and b.scores]
        for offset, split in ((-0.2, "validation"), (0.2, "test")):
            if len(scored) == 2:
                raw, simplified = (getattr(s, f"{split}_macro_f1").mean for s in scored)
                alpha = _VALIDATION if split == "validation" else 1.0
                axes.bar(x + offset, simplified - raw, 0.36, color=styles[encoder][0], alpha=alpha)
                gains.append((x + offset, simplified - raw))
                if split == "test":
                    _gain_interval(axes, x + offset, simplified - raw, pair, intervals)
            theirs = {c.scheme: getattr(c, split) for c in study.cells if c.encoder == encoder}
            _study_point(axes, x + offset, theirs["simplified"] - theirs["raw"], "D")
    axes.axhline(0, color="black", lw=0.8)
    axes.margins(y=0.12)
    _row_of_values(axes, gains, upright=len(encoders) > 4)
    names_axis(axes, list(encoders))
    if not gains:
        nothing(axes, "no model was scored under both schemes")
    axes.set_ylabel("simplified minus raw, Macro-F1")
    keys = [patch(GREY, "validation", _VALIDATION), patch(GREY, "test"), _study_key("D")]
    legend(figure, keys, below=False)


def _gain_interval(
    axes: Any, x: float, value: float, pair: Sequence[_Bars | None], intervals: Intervals
) -> None:
    """Draw the interval of a difference of two schemes, as if their errors were independent."""
    both = [ends for b in pair if b and (ends := b.test_interval(intervals))]
    # An interval over seeds and one over texts make none together.
    if len(both) == 2 and len({b.several for b in pair if b}) == 1:
        width = hypot(*((high - low) / 2 for low, high in both))
        interval_bar(axes, x, (value - width, value + width), "black")


def draw_macro_f1(figure: Figure, view: View, intervals: Intervals) -> None:
    """Figure 3: bars of test Macro-F1."""
    axes, study = figure.subplots(), load_study()
    bars, colours = _bars(view, study), scheme_colours(view)
    models = list(dict.fromkeys(b.model for b in bars))
    width = 0.8 / max(len(colours), 1)
    for b in bars:
        x = models.index(b.model) + (list(colours).index(b.cell.scheme) + 0.5) * width - 0.4
        if b.scores:
            f1, upright = b.scores.test_macro_f1.mean, len(models) * len(colours) > 12
            axes.bar(x, f1, width * 0.92, color=colours[b.cell.scheme])
            _value(axes, x, 0, f"{f1:.3f}", axes.transData, upright=upright)
            interval_bar(axes, x, b.test_interval(intervals), "black")
        if published := study.cell(b.cell):
            _study_point(axes, x, published.test, "D")
    names_axis(axes, models)
    if not any(b.scores for b in bars):
        nothing(axes)
    axes.set_ylabel("test Macro-F1")
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    keys = [*(patch(colours[s], s) for s in colours), _study_key("D")]
    legend(figure, keys, below=False)


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
    legend(figure, [*keys, _study_key("o")])


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
        if study.cell(p.int8.cell)
        and stable_speedup(p.int8.speedup)
        and p.fp32.scores
        and p.int8.scores
    ]


def trade_off_height(view: View) -> float:
    """Return inches: a row for the study and one per engine."""
    return 1.5 + 1.7 * (1 + len({p.int8.cell.engine for p in _trades(view)}))


def draw_trade_off(figure: Figure, view: View, intervals: Intervals) -> None:
    """Figure 4: an arrow from each FP32 cell to its INT8 cell; one axis of scores for all panels."""
    pairs, study = _trades(view), load_study()
    engines = engines_in_order(p.int8.cell.engine for p in pairs)
    panels = figure.subplots(1 + len(engines), len(_SCHEMES), sharey=True, squeeze=False)
    styles = encoder_styles((p.int8 for p in pairs), (c.encoder for c in study.cells))
    scores: list[float] = []
    for axes, scheme in zip(panels[0], _SCHEMES, strict=True):
        for cell in (c for c in study.cells if c.scheme == scheme):
            ends = [(cell.fp32_s, cell.fp32), (cell.int8_s, cell.int8)]
            _trade(axes, ends, styles[cell.encoder], theirs=True)
            scores += [cell.fp32, cell.int8]
        seconds = [v for c in study.cells for v in (c.fp32_s, c.int8_s)]
        log_axis(axes, "", seconds)
        axes.set_title(f"{scheme}, {_THEIRS}", style="italic")
    ours = [
        (p.int8.speedup.reference_s, p.int8.speedup.candidate_s) for p in pairs if p.int8.speedup
    ]
    times = [median(passes) for both in ours for passes in both]
    for row, engine in zip(panels[1:], engines, strict=True):
        for axes, scheme in zip(row, _SCHEMES, strict=True):
            here = [
                p for p in pairs if (p.int8.cell.engine, p.int8.cell.scheme) == (engine, scheme)
            ]
            for pair in here:
                scores += _our_trade(axes, pair, styles[pair.int8.cell.encoder], intervals)
            log_axis(axes, "", times)
            axes.set_title(f"{scheme}, here, {engine}")
    for axes in panels[-1]:
        axes.set_xlabel("seconds over the test split")
    for axes in panels[:, 0]:
        axes.set_ylabel("test Macro-F1")
    panels[0, 0].set_ylim(*score_limits(scores))
    panels[0, 0].yaxis.set_major_locator(MaxNLocator(5))
    keys: list[Any] = [point(e, marker, colour) for e, (colour, marker) in styles.items()]
    keys += [patch(GREY, "FP32 (pale)", _VALIDATION), patch(GREY, "INT8 (full)"), _study_key("o")]
    legend(figure, keys)


def _our_trade(axes: Any, pair: Pair, style: tuple[str, str], intervals: Intervals) -> list[float]:
    speedup, fp32, int8 = pair.int8.speedup, pair.fp32.scores, pair.int8.scores
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
    for (x, y), alpha in zip(ends, (_VALIDATION, 1.0), strict=True):
        face = "white" if theirs else colour
        axes.plot(x, y, marker, mfc=face, mec=colour, ms=6.5 if theirs else 7.5, alpha=alpha)


def _row_of_values(axes: Any, values: Sequence[Point], *, upright: bool) -> None:
    """Write values below all that is drawn: bars and intervals may lie on both sides of zero."""
    low, high = axes.get_ylim()
    axes.set_ylim(low - (high - low) * (0.16 if upright else 0.08), high)
    for x, value in values:
        _value(axes, x, 0, f"{value:+.3f}", axes.get_xaxis_transform(), upright=upright)


def _value(axes: Any, x: float, y: float, text: str, transform: Any, *, upright: bool) -> None:
    axes.annotate(
        text,
        (x, y),
        (0, 4),
        xycoords=transform,
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        rotation=90 if upright else 0,
        bbox={"facecolor": "white", "alpha": 0.8, "pad": 1.0, "edgecolor": "none"},
        zorder=5,
    ).set_in_layout(False)


def _study_point(axes: Any, x: float, y: float, marker: str) -> None:
    axes.plot(x, y, marker, mfc="white", mec="black", ms=6, zorder=4)


def _study_key(marker: str) -> Any:
    return point("study", marker, BLACK, hollow=True)


def _says(text: str, *, means: bool) -> Callable[[View], str]:
    """Return what a figure says in words, and how it takes several seeds."""

    def says(view: View) -> str:
        if not view.several_seeds:
            return text
        return f"{text} {_MEANS if means else seed_note(view)}"

    return says


_BARS = "Vertical lines are 95 % intervals over the test split's texts."
_MEANS = (
    "Where a model has several seeds, bars are means over them and the intervals are Student's, over the "
    "seeds instead of the texts."
)

STUDY_PLOTS = {
    "study1": Plot(
        "The study's Figure 1. Macro-F1 gain of simplified over raw, by model",
        _says(
            "Bars per model on validation (pale) and test; diamonds are the study's values. The 95 % "
            "intervals take the two schemes as independent.",
            means=True,
        ),
        lambda view: view.references,
        lambda _: 3.8,
        draw_gain,
    ),
    "study2": Plot(
        "The study's Figure 2. Latency against test Macro-F1",
        _says(
            "FP32 cells: colour is the scheme, marker the model. The study's values, taken on another "
            f"machine, stand in a panel of their own; our panels share both axes. {_BARS}",
            means=False,
        ),
        lambda view: view.references,
        lambda _: 3.8,
        draw_latency,
    ),
    "study3": Plot(
        "The study's Figure 3. Test Macro-F1 by model and scheme",
        _says(
            f"FP32 bars per model and scheme; diamonds are the study's values. {_BARS}", means=True
        ),
        lambda view: view.references,
        lambda _: 3.8,
        draw_macro_f1,
    ),
    "study4": Plot(
        "The study's Figure 4. FP32 and INT8: seconds over the test split against Macro-F1",
        _says(
            "An arrow leads from each FP32 cell (pale) to its INT8 cell (full): left is faster, down is "
            "worse. All panels share the axis of scores; the study's seconds, of another machine, have "
            f"their own. {_BARS}",
            means=False,
        ),
        lambda view: view.shown.pairs,
        trade_off_height,
        draw_trade_off,
    ),
}

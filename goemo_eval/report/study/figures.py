"""The study's four figures, with its values beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import hypot
from statistics import median
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from goemo_eval.records.over_seeds import SeedSummary, summarize_seeds
from goemo_eval.records.schema import Cell, Record
from goemo_eval.report.drawing import (
    GREY,
    arrow,
    encoder_styles,
    engines_in_order,
    error_bar,
    legend,
    log_axis,
    names_axis,
    nothing,
    on_axis,
    patch,
    point,
    scheme_colours,
    score_axis,
)
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.rows import reference_cells, reference_groups, reference_names
from goemo_eval.report.study.published import Study
from goemo_eval.report.tables import pairs

_VALIDATION = 0.45  # opacity of a bar of the validation split


class _Bars(NamedTuple):
    """What bars show of a reference cell: its mean over the seeds that it has."""

    model: str
    shown: Record
    """At the seed that single cells are shown at."""
    scores: SeedSummary | None

    @property
    def cell(self) -> Cell:
        return self.shown.cell

    @property
    def several(self) -> bool:
        return self.scores is not None and len(self.scores.seeds) > 1

    def test_interval(self, intervals: Intervals) -> tuple[float, float] | None:
        """Return the ends of the interval over several seeds, or over the texts for one."""
        over = self.scores.test_macro_f1 if self.scores else None
        if over and over.low is not None and over.high is not None:
            return over.low, over.high
        return intervals.ends(self.cell)


def _bars(records: Sequence[Record]) -> list[_Bars]:
    both = zip(
        reference_names(records), reference_cells(records), reference_groups(records), strict=True
    )
    return [
        _Bars(name, shown, next(iter(summarize_seeds(group)), None)) for name, shown, group in both
    ]


def gain(figure: Figure, records: Sequence[Record], study: Study, intervals: Intervals) -> None:
    """Figure 1: simplified minus raw, on validation and test."""
    axes = figure.subplots()
    bars = [b for b in _bars(records) if b.cell.scheme in ("raw", "simplified")]
    styles = encoder_styles(records)
    encoders = {b.model: b.cell.encoder for b in bars}
    by_model = {(b.model, b.cell.scheme): b for b in bars}
    gains: list[tuple[float, float]] = []
    for x, (model, encoder) in enumerate(encoders.items()):
        pair = [by_model.get((model, scheme)) for scheme in ("raw", "simplified")]
        scored = [b.scores for b in pair if b and b.scores]
        for offset, split in ((-0.2, "validation"), (0.2, "test")):
            if len(scored) == 2:
                raw, simplified = (getattr(s, f"{split}_macro_f1").mean for s in scored)
                alpha = _VALIDATION if split == "validation" else 1.0
                axes.bar(x + offset, simplified - raw, 0.36, color=styles[encoder][0], alpha=alpha)
                gains.append((x + offset, simplified - raw))
                if split == "test":
                    _gain_interval(axes, x + offset, simplified - raw, pair, intervals)
            theirs = {c.scheme: getattr(c, split) for c in study.cells if c.encoder == model}
            if {"raw", "simplified"} <= theirs.keys():
                _study_point(axes, x + offset, theirs["simplified"] - theirs["raw"], "D")
    axes.axhline(0, color="black", lw=0.8)
    axes.margins(y=0.12)
    _row_of_values(axes, gains, upright=len(encoders) > 4)
    names_axis(axes, list(encoders))
    if not gains:
        nothing(axes, "no model was scored under both schemes")
    axes.set_ylabel("simplified minus raw, Macro-F1")
    legend(figure, [patch(GREY, "validation", _VALIDATION), patch(GREY, "test"), _study_key("D")])


def _gain_interval(
    axes: Any, x: float, value: float, pair: Sequence[_Bars | None], intervals: Intervals
) -> None:
    """Draw the interval of a difference of two schemes, as if their errors were independent."""
    both = [ends for b in pair if b and (ends := b.test_interval(intervals))]
    # An interval over seeds and one over texts make none together.
    if len(both) == 2 and len({b.several for b in pair if b}) == 1:
        width = hypot(*((high - low) / 2 for low, high in both))
        axes.plot([x, x], [value - width, value + width], color="black", lw=1.2, marker="_", ms=4)


def latency(figure: Figure, records: Sequence[Record], study: Study, intervals: Intervals) -> None:
    """Figure 2: colour = scheme, marker = model; a marker on the axis has no score."""
    shown = [r for r in records if r.cell.precision == "fp32" and "real" in r.latency]
    engines = engines_in_order(r.cell.engine for r in shown) or ["no timed cell"]
    panels = figure.subplots(1, len(engines), sharey=True, sharex=True, squeeze=False)[0]
    colours, styles = scheme_colours(records), encoder_styles(records)
    for axes, engine in zip(panels, engines, strict=True):
        here = [r for r in shown if r.cell.engine == engine]
        for record in here:
            colour, marker = colours[record.cell.scheme], styles[record.cell.encoder][1]
            published = study.cell(record)
            if published and engine == engines[0]:
                axes.plot(
                    published.latency_ms, published.test, marker, mfc="white", mec=colour, ms=8
                )
            _timed_point(axes, record, colour, marker, intervals)
        log_axis(axes, "ms per batch of 32 (p50 to p90)", panels=len(engines))
        score_axis(axes, scored=any(r.scores for r in here))
        if len(engines) > 1:
            axes.set_title(engine)
            axes.label_outer()
    keys: list[Any] = [patch(colours[s], s) for s in colours]
    keys += [point(e, styles[e][1]) for e in styles]
    keys += [_study_key("o"), *_unscored_key(shown)]
    legend(figure, keys, below=len(engines) > 1)


def _timed_point(axes: Any, record: Record, colour: str, marker: str, intervals: Intervals) -> None:
    real = record.latency["real"]
    p50, p90 = real.p50_s * 1e3, real.p90_s * 1e3
    if record.scores is None:
        on_axis(axes, p50, marker, colour)
        return
    f1 = record.scores.test.macro_f1
    axes.plot([p50, p90], [f1, f1], "-", color=colour, lw=1.2)
    error_bar(axes, p50, intervals.ends(record.cell), colour)
    axes.plot(p50, f1, marker, color=colour, ms=8, mec="white", mew=0.5, zorder=3)


def macro_f1(figure: Figure, records: Sequence[Record], study: Study, intervals: Intervals) -> None:
    """Figure 3: bars of test Macro-F1."""
    axes = figure.subplots()
    bars, colours = _bars(records), scheme_colours(records)
    models = list(dict.fromkeys(b.model for b in bars))
    width = 0.8 / max(len(colours), 1)
    for b in bars:
        x = models.index(b.model) + (list(colours).index(b.cell.scheme) + 0.5) * width - 0.4
        if b.scores:
            colour, upright = colours[b.cell.scheme], len(models) * len(colours) > 12
            f1 = b.scores.test_macro_f1.mean
            _bar(axes, x, f1, colour, width * 0.92, upright=upright)
            error_bar(axes, x, b.test_interval(intervals), "black")
        published = study.cell(b.shown)
        if published:
            _study_point(axes, x, published.test, "D")
    names_axis(axes, models)
    if not any(b.scores for b in bars):
        nothing(axes)
    axes.set_ylabel("test Macro-F1")
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    legend(figure, [*(patch(colours[s], s) for s in colours), _study_key("D")])


def trade_off(figure: Figure, records: Sequence[Record], study: Study, _: Intervals) -> None:
    """Figure 4: an arrow from each FP32 cell to its INT8 cell; a panel per engine and scheme."""
    couples = pairs(records)
    schemes = sorted({i.cell.scheme for _, i in couples}) or ["no INT8 cell"]
    engines = engines_in_order(i.cell.engine for _, i in couples) or [""]
    panels = figure.subplots(len(engines), len(schemes), sharey="row", sharex="row", squeeze=False)
    styles = encoder_styles(i for _, i in couples)
    for row, engine in zip(panels, engines, strict=True):
        for axes, scheme in zip(row, schemes, strict=True):
            here = [
                (f, i) for f, i in couples if (i.cell.scheme, i.cell.engine) == (scheme, engine)
            ]
            for fp32, int8 in here:
                published = study.cell(int8) if engine == engines[0] else None
                if published:
                    ends = [(published.fp32_s, published.fp32), (published.int8_s, published.int8)]
                    _trade(axes, ends, styles[int8.cell.encoder], theirs=True)
                _our_trade(axes, fp32, int8, styles[int8.cell.encoder])
            axes.set_title(f"{scheme}, {engine}" if len(engines) > 1 else scheme)
            log_axis(axes, "seconds over the test split", panels=len(schemes))
            score_axis(axes, scored=any(i.scores for _, i in here))
    for axes in panels[:, 1:].ravel():
        axes.set_ylabel("")
    for axes in panels[:-1].ravel():
        axes.set_xlabel("")
    keys: list[Any] = [point(e, marker, colour) for e, (colour, marker) in styles.items()]
    keys += [patch(GREY, "FP32 (pale)", _VALIDATION), patch(GREY, "INT8 (full)"), _study_key("o")]
    keys += _unscored_key([i for _, i in couples])
    legend(figure, keys, below=True)


def _our_trade(axes: Any, fp32: Record, int8: Record, style: tuple[str, str]) -> None:
    if int8.speedup is None:
        return
    times_s = [median(int8.speedup.reference_s), median(int8.speedup.candidate_s)]
    if fp32.scores is None or int8.scores is None:
        for x in times_s:
            on_axis(axes, x, style[1], style[0])
        return
    f1 = [fp32.scores.test.macro_f1, int8.scores.test.macro_f1]
    _trade(axes, list(zip(times_s, f1, strict=True)), style)


def _trade(
    axes: Any, ends: Sequence[tuple[float, float]], style: tuple[str, str], *, theirs: bool = False
) -> None:
    """Draw an FP32 cell, an arrow, and its INT8 cell."""
    colour, marker = style
    arrow(axes, ends, GREY if theirs else colour, "--" if theirs else "-")
    for (x, y), alpha in zip(ends, (_VALIDATION, 1.0), strict=True):
        face = "white" if theirs else colour
        axes.plot(x, y, marker, mfc=face, mec=colour, ms=6.5 if theirs else 7.5, alpha=alpha)


def _bar(axes: Any, x: float, value: float, colour: str, width: float, *, upright: bool) -> None:
    """Draw a bar with its value at its foot, where neither intervals nor the study's values lie."""
    axes.bar(x, value, width, color=colour)
    _value(axes, x, 0, f"{value:.3f}", axes.transData, upright=upright)


def _row_of_values(axes: Any, values: Sequence[tuple[float, float]], *, upright: bool) -> None:
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
    return point("study", marker, "black", hollow=True)


def _unscored_key(records: Iterable[Record]) -> list[Any]:
    return [point("on the axis: not scored", "")] if any(r.scores is None for r in records) else []

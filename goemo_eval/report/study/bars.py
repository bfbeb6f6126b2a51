"""The study's Figures 1 and 3: bars of Macro-F1, its values as diamonds on the same axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from goemo_eval.records.over_seeds import SeedSummary
from goemo_eval.records.schema import Cell
from goemo_eval.records.view import Reference, View
from goemo_eval.report.figures.drawing import (
    GREY,
    encoder_styles,
    interval_bar,
    legend,
    names_axis,
    nothing,
    patch,
    scheme_colours,
)
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.study.looks import SCHEMES, VALIDATION, Point, study_key
from goemo_eval.report.study.published import Study, load_study
from goemo_eval.report.text import encoder_name


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
        pair = [by_model.get((model, scheme)) for scheme in SCHEMES]
        scored = [b.scores for b in pair if b and b.scores]
        for offset, split in ((-0.2, "validation"), (0.2, "test")):
            if len(scored) == 2:
                raw, simplified = (getattr(s, f"{split}_macro_f1").mean for s in scored)
                alpha = VALIDATION if split == "validation" else 1.0
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
    keys = [patch(GREY, "validation", VALIDATION), patch(GREY, "test"), study_key("D")]
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
    keys = [*(patch(colours[s], s) for s in colours), study_key("D")]
    legend(figure, keys, below=False)


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

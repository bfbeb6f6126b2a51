"""Whether probabilities come true, and where thresholds cut them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from goemo_eval.measure.calibration import Bin, Calibration
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.figures.drawing import (
    BLACK,
    GREY,
    encoder_styles,
    legend,
    line,
    point,
    scheme_colours,
)
from goemo_eval.report.floor import is_floor
from goemo_eval.report.intervals import Intervals

MOST_PANELS = 6
"""Of more cells or encoders, the floor is drawn and those of the highest Macro-F1."""
LEAST_IN_BIN = 20


def calibrated(view: View) -> list[Record]:
    """Return the FP32 cells whose probabilities can be drawn."""
    return [r.shown for r in view.references if r.shown.calibration]


def drawn_encoders(view: View) -> list[str]:
    """Return the encoders whose probabilities are drawn, by name."""
    best: dict[str, tuple[bool, float]] = {}
    for record in calibrated(view):
        encoder = record.cell.encoder
        best[encoder] = max(best.get(encoder, (False, 0.0)), _rank(record))
    return sorted(sorted(best, key=lambda name: best[name], reverse=True)[:MOST_PANELS])


def with_curves(view: View) -> list[Record]:
    """Return the FP32 cells with F1 along the threshold that are drawn, by name."""
    found = [r.shown for r in view.references if r.shown.threshold_curves]
    kept = sorted(found, key=_rank, reverse=True)[:MOST_PANELS]
    return [record for record in found if record in kept]


def _rank(record: Record) -> tuple[bool, float]:
    return is_floor(record), record.scores.test.macro_f1 if record.scores else 0.0


def reliability_height(view: View) -> float:
    """Return inches."""
    return _height(len(drawn_encoders(view)))


def thresholds_height(view: View) -> float:
    """Return inches."""
    return _height(len(with_curves(view)))


def _height(panels: int) -> float:
    return 1.4 + 2.3 * ceil(panels / _columns(panels))


def _columns(panels: int) -> int:
    return min(panels, 2 if panels < 5 else 3)


def _panels(figure: Figure, count: int) -> list[Any]:
    """Return as many panels that share their axes, in rows."""
    columns = _columns(count)
    rows = ceil(count / columns)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[count:]:
        axes.set_visible(False)
    return list(panels[:count])


def draw_reliability(figure: Figure, view: View, _: Intervals) -> None:
    """Draw how often what a model gives a probability comes true, a panel per encoder."""
    encoders = drawn_encoders(view)
    fp32 = [record for record in calibrated(view) if record.cell.encoder in encoders]
    int8 = [p for p in view.shown.pairs if p.reduced.cell.precision == "int8"]
    twins = {p.fp32.cell.id: p.reduced.calibration for p in int8 if p.reduced.calibration}
    colours = scheme_colours(fp32)
    for axes, encoder in zip(_panels(figure, len(encoders)), encoders, strict=True):
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
        for record in (r for r in fp32 if r.cell.encoder == encoder):
            colour = colours[record.cell.scheme]
            assert record.calibration is not None
            bins = _filled(record.calibration)
            x, y = _curve(bins)
            low, high = _wilson(bins)
            axes.vlines(x, low, high, color=colour, lw=1, alpha=0.6)
            axes.plot(x, y, "o", ls="-", color=colour, ms=3.5, lw=1.3)
            twin = twins.get(record.cell.id)
            if twin:
                axes.plot(*_curve(_filled(twin)), ls="--", color=colour, lw=1.1)
        axes.set_title(encoder)
        axes.set(
            xlim=(0, 1), ylim=(0, 1), xlabel="probability given", ylabel="share that came true"
        )
        axes.label_outer()
    keys: list[Any] = [line(scheme, colour, "-", "o") for scheme, colour in colours.items()]
    keys += [
        line("FP32"),
        *([line("INT8", style="--")] if twins else []),
        line("perfect", style=":"),
    ]
    legend(figure, keys)


def _filled(calibration: Calibration) -> list[Bin]:
    """Return the bins that hold enough to be worth a point."""
    return [b for b in calibration.bins if b.count >= LEAST_IN_BIN]


def _curve(bins: Sequence[Bin]) -> tuple[list[float], list[float]]:
    return [b.probability for b in bins], [b.observed for b in bins]


def _wilson(bins: Sequence[Bin]) -> tuple[Any, Any]:
    """Return Wilson's 95 % intervals of the shares (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    n, p = np.array([b.count for b in bins]), np.array([b.observed for b in bins])
    z = 1.96
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    width = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return middle - width, middle + width


def draw_thresholds(figure: Figure, view: View, _: Intervals) -> None:
    """Draw F1 on validation along the threshold: every label thin, their mean thick, the choice as dots."""
    cells = with_curves(view)
    styles = encoder_styles(cells)
    for axes, record in zip(_panels(figure, len(cells)), cells, strict=True):
        curves, colour = record.threshold_curves, styles[record.cell.encoder][0]
        assert curves is not None
        thin = [list(zip(curves.thresholds, f1, strict=True)) for f1 in curves.f1]
        axes.add_collection(LineCollection(thin, color=GREY, lw=0.6, alpha=0.5))
        axes.plot(curves.thresholds, np.mean(curves.f1, axis=0), color=colour, lw=2.5)
        if record.thresholds and record.scores:
            chosen = [score.f1 for score in record.scores.validation.per_label]
            axes.plot(record.thresholds.values, chosen, ".", color=BLACK, ms=5)
        axes.set_title(f"{record.cell.encoder} {record.cell.scheme}")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="threshold", ylabel="validation F1")
        axes.label_outer()
    keys = [
        line("one label"),
        line("mean of all: Macro-F1", BLACK),
        point("chosen per label", ".", BLACK),
    ]
    legend(figure, keys)

"""Figures beyond the study's: what to choose, whether probabilities are true, where to cut them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from goemo_eval.judge.recommend import one_machine, p95_ms
from goemo_eval.measure.calibration import Bin, Calibration
from goemo_eval.records.schema import Record
from goemo_eval.report.drawing import (
    BLACK,
    GREY,
    encoder_styles,
    engine_markers,
    error_bar,
    legend,
    line,
    log_axis,
    point,
    score_axis,
)
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.rows import reference_cells
from goemo_eval.report.study.published import Study
from goemo_eval.report.tables import pairs

MOST_PANELS = 6
LEAST_IN_BIN = 20


def pareto(figure: Figure, records: Sequence[Record], _: Study, intervals: Intervals) -> None:
    """Draw every scored cell's Macro-F1 against p95 latency; a line joins those that none beats.

    Where latencies cannot be ranked, the size stands in their place.
    """
    scored = [r for r in records if r.scores]
    timed = one_machine(scored) and all(p95_ms(r) for r in scored)
    schemes = sorted({r.cell.scheme for r in scored})
    panels = figure.subplots(1, len(schemes), sharey=True, squeeze=False)[0]
    styles, markers = encoder_styles(scored), engine_markers(scored)
    for axes, scheme in zip(panels, schemes, strict=True):
        spots = []
        for record in (r for r in scored if r.cell.scheme == scheme):
            assert record.scores is not None
            x, f1 = p95_ms(record) if timed else None, record.scores.test.macro_f1
            x = x or max(record.size_bytes, 1) / 1e6
            colour = styles[record.cell.encoder][0]
            error_bar(axes, x, intervals.ends(record.cell), colour)
            axes.plot(
                x,
                f1,
                markers[record.cell.engine],
                mfc=colour if record.cell.precision == "int8" else "white",
                mec=colour,
                mew=1.5,
                ms=7.5,
                zorder=3,
            )
            spots.append((x, f1))
        _front_line(axes, spots)
        axes.set_title(scheme)
        x_label = "p95 ms per batch of 32, real lengths" if timed else "size (MB)"
        log_axis(axes, x_label, panels=len(schemes))
        score_axis(axes, scored=True)
        axes.label_outer()
    keys: list[Any] = [point(e, "o", colour) for e, (colour, _) in styles.items()]
    if len(markers) > 1:
        keys += [point(engine, marker) for engine, marker in markers.items()]
    keys += [point("FP32", "o", hollow=True), point("INT8", "o"), line("Pareto front", BLACK, ":")]
    legend(figure, keys, below=True)


def _front_line(axes: Any, spots: Sequence[tuple[float, float]]) -> None:
    front: list[tuple[float, float]] = []
    for x, y in sorted(spots, key=lambda spot: (spot[0], -spot[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    if len(front) > 1:
        axes.step(*zip(*front, strict=True), where="post", color=BLACK, ls=":", lw=1.3, zorder=1)


def reliability(figure: Figure, records: Sequence[Record], _: Study, __: Intervals) -> None:
    """Draw how often what a model gives a probability comes true, a panel per scheme."""
    fp32 = [r for r in reference_cells(records) if r.calibration]
    twins = {f.cell.id: i for f, i in pairs(records) if i.calibration}
    schemes = sorted({r.cell.scheme for r in fp32})
    panels = figure.subplots(1, len(schemes), sharey=True, sharex=True, squeeze=False)[0]
    styles = encoder_styles(fp32)
    for axes, scheme in zip(panels, schemes, strict=True):
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
        for record in (r for r in fp32 if r.cell.scheme == scheme):
            colour, marker = styles[record.cell.encoder]
            assert record.calibration is not None
            bins = _filled(record.calibration)
            x, y = _curve(bins)
            low, high = _wilson(bins)
            axes.vlines(x, low, high, color=colour, lw=1, alpha=0.6)
            axes.plot(x, y, marker, ls="-", color=colour, ms=4.5, lw=1.3)
            twin = twins.get(record.cell.id)
            if twin and twin.calibration:
                axes.plot(*_curve(_filled(twin.calibration)), ls="--", color=colour, lw=1.1)
        axes.set_title(scheme)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="probability given")
    panels[0].set_ylabel("share that came true")
    keys: list[Any] = [line(e, colour, "-", marker) for e, (colour, marker) in styles.items()]
    keys += [
        line("FP32"),
        *([line("INT8", style="--")] if twins else []),
        line("perfect", style=":"),
    ]
    legend(figure, keys, below=True)


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


def thresholds(figure: Figure, records: Sequence[Record], _: Study, __: Intervals) -> None:
    """Draw F1 on validation along the threshold: every label thin, their mean thick, the choice as dots."""
    cells = [r for r in reference_cells(records) if r.threshold_curves][:MOST_PANELS]
    columns = min(len(cells), 2 if len(cells) < 5 else 3)
    rows = ceil(len(cells) / columns)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    styles = encoder_styles(cells)
    for axes, record in zip(panels, cells, strict=False):
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
    for axes in panels[len(cells) :]:
        axes.set_visible(False)
    keys = [
        line("one label"),
        line("mean of all: Macro-F1", BLACK),
        point("chosen per label", ".", BLACK),
    ]
    legend(figure, keys, below=True)

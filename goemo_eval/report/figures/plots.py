"""The report's figures: which there are, what they show in words, and their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.document import Picture
from goemo_eval.report.figures.cost import (
    cost_height,
    cost_rows,
    count_untimed,
    draw_cost,
    timed_schemes,
)
from goemo_eval.report.figures.drawing import STYLE, new_figure, save
from goemo_eval.report.figures.int8 import draw_int8, int8_height, int8_rows
from goemo_eval.report.figures.probabilities import (
    LEAST_IN_BIN,
    MOST_PANELS,
    calibrated,
    draw_reliability,
    draw_thresholds,
    reliability_height,
    thresholds_height,
    with_curves,
)
from goemo_eval.report.figures.scores import draw_scores, scores_height
from goemo_eval.report.floor import is_floor
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.seeds import seed_note
from goemo_eval.report.text import escape, listed, lower_names


class Plot(NamedTuple):
    """One figure."""

    title: str
    says: Callable[[View], str]
    has: Callable[[View], object]
    """True of what it makes of a view that holds something to show."""
    height: Callable[[View], float]
    """Inches."""
    draw: Callable[[Figure, View, Intervals], None]


def _scores(view: View) -> str:
    text = (
        "A line per encoder, in FP32; the bar is the 95 % interval over the test split's texts, and all panels "
        "share the axis."
    )
    if view.several_seeds:
        text += " Diamonds are means over seeds, their bars Student's 95 % intervals over the seeds; strokes are the seeds."
    return f"{text} The numbers are in Table 1."


def _cost(view: View) -> str:
    never_timed = count_untimed(view)
    hidden = len(view.shown.scored) - never_timed - sum(map(len, cost_rows(view).values()))
    pale = ", pale BF16" if any(r.cell.precision == "bf16" for r in view) else ""
    text = f"A line per scored cell, the cheapest first: hollow FP32, filled INT8{pale}. "
    timed = timed_schemes(view)
    if timed:
        text += "Times reach from the median to the 95th percentile."
    if others := [escape(name) for name in cost_rows(view) if name not in timed]:
        of = f" of {listed(others)}" if timed else ""
        text += f"{' ' * bool(timed)}Times{of} are left out, since they cannot be compared: the size stands for the cost."
    if never_timed:
        text += f" Left out, since not timed: {never_timed} cells."
    if hidden:
        text += (
            f" {hidden} cells that cost more and score less are left out; cells.csv has them all."
        )
    return f"{text} {seed_note(view)}".rstrip()


def _int8(view: View) -> str:
    return (
        f"A line per {lower_names(view.shown.pairs)} cell. Left, what it changes against its FP32 twin, with the paired 95 % interval over "
        "texts: one that reaches zero is no loss beyond chance. Right, how many times as fast it is, from the "
        f"slowest to the fastest pass. The numbers are in Table 3. {seed_note(view)}"
    ).rstrip()


def _reliability(view: View) -> str:
    cells = calibrated(view)
    encoders = {record.cell.encoder for record in cells}
    return (
        f"On the test split{_shown_of(cells, len(encoders))}, how often what was given a probability came true; on the dotted diagonal "
        "probabilities can be believed, below it the model is too sure. Solid FP32, dashed INT8; multi-label "
        "schemes count every text and label, the others each text's predicted label. Vertical lines are "
        f"95 % intervals; bins with fewer than {LEAST_IN_BIN} are left out."
    )


def _thresholds(view: View) -> str:
    cells = [r.shown for r in view.references if r.shown.threshold_curves]
    return (
        f"On the validation split{_shown_of(cells, len(cells))}: a thin line per label, their mean thick, a dot at each label's chosen "
        "threshold."
    )


def _shown_of(cells: Sequence[Record], count: int) -> str:
    """Say which panels are drawn where there are too many for all."""
    if count <= MOST_PANELS:
        return ""
    floor = "the floor and " * any(map(is_floor, cells))
    return f", of {floor}the highest Macro-F1s of {count}"


PLOTS: Mapping[str, Plot] = {
    "scores": Plot(
        "Figure 1. How good each encoder is",
        _scores,
        lambda view: view.scored and view.references,
        scores_height,
        draw_scores,
    ),
    "cost": Plot(
        "Figure 2. What a cell scores and what it costs",
        _cost,
        lambda view: view.shown.scored,
        cost_height,
        draw_cost,
    ),
    "int8": Plot(
        "Figure 3. What lower precision costs and brings", _int8, int8_rows, int8_height, draw_int8
    ),
    "reliability": Plot(
        "Figure 4. Reliability of the probabilities",
        _reliability,
        calibrated,
        reliability_height,
        draw_reliability,
    ),
    "thresholds": Plot(
        "Figure 5. F1 along the threshold",
        _thresholds,
        with_curves,
        thresholds_height,
        draw_thresholds,
    ),
}


def pictures_of(view: View, plots: Mapping[str, Plot] = PLOTS) -> dict[str, Picture]:
    """Return the figures that these records have something to show in."""
    return {
        name: Picture(name, plot.title, plot.says(view))
        for name, plot in plots.items()
        if plot.has(view)
    }


def draw(view: View, intervals: Intervals, plots: Mapping[str, Plot] = PLOTS) -> dict[str, bytes]:
    """Draw all figures.

    Returns
    -------
    dict of str to bytes
        File name, such as ``scores.png``, to content: PNG and SVG of each.
    """
    files = {}
    with rc_context(STYLE):
        for name in pictures_of(view, plots):
            plot = plots[name]
            figure = new_figure(plot.height(view))
            plot.draw(figure, view, intervals)
            figure.suptitle(plot.title, fontsize=11)
            files[f"{name}.png"], files[f"{name}.svg"] = save(figure)
    return files

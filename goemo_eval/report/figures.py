"""The report's figures: which there are, what they show in words, and their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

from goemo_eval.records.over_seeds import one_seed
from goemo_eval.records.schema import Record
from goemo_eval.report import cell_figures, study_figures
from goemo_eval.report.document import Picture
from goemo_eval.report.drawing import STYLE, new_figure, save
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.rows import reference_cells
from goemo_eval.report.seeds import seed_note, several_seeds
from goemo_eval.report.study.published import Study
from goemo_eval.report.tables import pairs


class Plot(NamedTuple):
    """One figure."""

    title: str
    alt: str
    draw: Callable[[Figure, Sequence[Record], Study, Intervals], None]
    means: str = ""
    """What to add where cells have several seeds; without it, one seed of each is shown."""


_BARS = "Vertical lines are 95 % intervals over the test split's texts."
_MEANS = (
    "Where a model has several seeds, bars are means over them and the intervals are Student's, over the "
    "seeds instead of the texts."
)

PLOTS = {
    "figure1": Plot(
        "Figure 1. Macro-F1 gain of simplified over raw, by model",
        "Bars per model on validation (pale) and test; diamonds are the study's values. The numbers "
        "follow from Table 1; the 95 % intervals take the two schemes as independent.",
        study_figures.gain,
        _MEANS,
    ),
    "figure2": Plot(
        "Figure 2. Latency against test Macro-F1",
        "FP32 cells: colour is the scheme, marker the model, a hollow marker the study's value; further "
        f"left is faster, further up is better. {_BARS} The numbers are in Tables 1 and 2.",
        study_figures.latency,
    ),
    "figure3": Plot(
        "Figure 3. Test Macro-F1 by model and scheme",
        f"FP32 bars per model and scheme; diamonds are the study's values. {_BARS} The numbers are in Table 1.",
        study_figures.macro_f1,
        _MEANS,
    ),
    "figure4": Plot(
        "Figure 4. FP32 and INT8: seconds over the test split against Macro-F1",
        "An arrow leads from each FP32 cell (pale) to its INT8 cell (full): left is faster, down is worse. "
        "Hollow markers with dashed arrows are the study's. The numbers are in Table 3.",
        study_figures.trade_off,
    ),
    "pareto": Plot(
        "Figure 5. What a cell costs and what it scores",
        "Every scored cell: colour is the encoder, hollow FP32, filled INT8. The dotted line joins the "
        f"cells that no other beats in both. {_BARS}",
        cell_figures.pareto,
    ),
    "reliability": Plot(
        "Figure 6. Reliability of the probabilities",
        "On the test split, how often what was given a probability came true; on the dotted diagonal "
        "probabilities can be believed, below it the model is too sure. Solid FP32, dashed INT8; raw counts "
        "every text and label, the single-label schemes each text's predicted label. Vertical lines are "
        f"95 % intervals; bins with fewer than {cell_figures.LEAST_IN_BIN} are left out.",
        cell_figures.reliability,
    ),
    "thresholds": Plot(
        "Figure 7. F1 along the threshold",
        "On the validation split: a thin line per label, their mean thick, a dot at each label's chosen "
        "threshold.",
        cell_figures.thresholds,
    ),
}


def plots_of(records: Sequence[Record]) -> dict[str, Picture]:
    """Return the figures that these records have something to show in."""
    reference, several, note = reference_cells(records), several_seeds(records), seed_note(records)
    shown = ["figure1", "figure2", "figure3"]
    if pairs(records):
        shown.append("figure4")
    if any(r.scores for r in records):
        shown.append("pareto")
    if any(r.calibration for r in reference):
        shown.append("reliability")
    if any(r.threshold_curves for r in reference):
        shown.append("thresholds")
    return {
        name: Picture(
            name,
            PLOTS[name].title,
            PLOTS[name].alt + (f" {PLOTS[name].means or note}" if several else ""),
        )
        for name in shown
    }


def draw(records: Sequence[Record], study: Study, intervals: Intervals) -> dict[str, bytes]:
    """Draw all figures.

    Returns
    -------
    dict of str to bytes
        File name, such as ``figure1.png``, to content: PNG and SVG of each.
    """
    files = {}
    shown = one_seed(records)
    with rc_context(STYLE):
        for name in plots_of(records):
            figure = new_figure(_height(name, shown))
            plot = PLOTS[name]
            plot.draw(figure, records if plot.means else shown, study, intervals)
            figure.suptitle(plot.title, fontsize=11)
            files[f"{name}.png"], files[f"{name}.svg"] = save(figure)
    return files


def _height(name: str, records: Sequence[Record]) -> float:
    """Return inches: more where panels stand in rows."""
    if name == "figure4":
        return 1.4 + 2.8 * len({i.cell.engine for _, i in pairs(records)})
    if name == "thresholds":
        cells = sum(1 for r in reference_cells(records) if r.threshold_curves)
        cells = min(cells, cell_figures.MOST_PANELS)
        return 1.4 + 2.3 * ceil(cells / min(cells, 2 if cells < 5 else 3))
    return 4.4

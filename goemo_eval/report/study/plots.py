"""The study's four figures, drawn again with our values beside its own."""

from __future__ import annotations

from collections.abc import Callable

from goemo_eval.records.view import View
from goemo_eval.report.figures.plots import Plot
from goemo_eval.report.seeds import seed_note
from goemo_eval.report.study.bars import draw_gain, draw_macro_f1
from goemo_eval.report.study.timed import draw_latency, draw_trade_off, trade_off_height


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

"""What is worked out of the records before anything is said: once, for all parts of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from goemo_eval.errors import RecordError
from goemo_eval.judge.recommend import Recommendation, recommend
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.intervals import Intervals, resample
from goemo_eval.report.study.published import Study, study_of
from goemo_eval.report.suspects import LabelErrors, label_errors


@dataclass(frozen=True)
class Findings:
    """All that the sections and figures speak of."""

    view: View
    recommendations: tuple[Recommendation, ...]
    """One per scheme with a scored cell."""
    refusal: str
    """Why there are none; else empty."""
    best: Mapping[str, Record]
    """By scheme the cell with the highest test Macro-F1, the mean over seeds where there are several."""
    intervals: Intervals
    noise: tuple[LabelErrors, ...]
    """Of the schemes that two models at least were scored under."""
    study: Study | None
    """Where the records are of its data."""


def find(records: Sequence[Record]) -> Findings:
    """Work out what a report of these records says.

    Parameters
    ----------
    records : sequence of Record
        At least one, in any order.

    Raises
    ------
    RecordError
        If there are none, two are of one cell, decisions are damaged, or seeds of one cell were measured
        differently.
    """
    if not records:
        raise RecordError("no records to report on: run pytest bench first")
    view = View(records)
    recommendations, refusal = _recommendations(view)
    means = {o.cell: o.macro_f1 for found in recommendations for o in found.options}
    best = {name: _best(view.shown.of_scheme(name), means) for name in view.schemes}
    known = {name: record for name, record in best.items() if record}
    noise = (label_errors(view, scheme) for scheme in view.schemes)
    return Findings(
        view=view,
        recommendations=recommendations,
        refusal=refusal,
        best=known,
        intervals=resample(view, known),
        noise=tuple(found for found in noise if found),
        study=study_of(view),
    )


def _recommendations(view: View) -> tuple[tuple[Recommendation, ...], str]:
    try:
        return tuple(recommend(view.records)), ""
    except RecordError as error:
        return (), str(error)


def _best(shown: View, means: Mapping[str, float]) -> Record | None:
    scored = [(means.get(r.cell.id, r.scores.test.macro_f1), r) for r in shown if r.scores]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None

"""How good: test Macro-F1 of every encoder, with the intervals over texts and over seeds."""

from __future__ import annotations

from matplotlib.figure import Figure

from goemo_eval.records.view import Reference, View
from goemo_eval.report.figures.drawing import (
    BLACK,
    GREY,
    encoder_styles,
    interval_bar,
    legend,
    line,
    nothing,
    point,
    score_limits,
)
from goemo_eval.report.figures.row_chart import height_of, row_axes
from goemo_eval.report.floor import floor_of
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.text import encoder_name

_ASIDE = 0.22  # of a row: two intervals of one cell stand below each other


def scores_height(view: View) -> float:
    """Return inches."""
    return height_of(len(view.references), len(_by_scheme(view)))


def draw_scores(figure: Figure, view: View, intervals: Intervals) -> None:
    """Draw a line per encoder; a dotted line where the floor stands."""
    by_scheme = _by_scheme(view)
    names = {scheme: [encoder_name(r.named) for r in rows] for scheme, rows in by_scheme.items()}
    panels = row_axes(figure, names, [1.0])
    styles = encoder_styles(view)
    drawn: list[float] = []
    for scheme, (axes,) in panels.items():
        for y, reference in enumerate(by_scheme[scheme]):
            drawn += _draw(axes, y, reference, intervals, styles[reference.named.encoder])
        floor = floor_of(view.of_scheme(scheme))
        if floor and floor.scores:
            axes.axvline(floor.scores.test.macro_f1, color=GREY, ls=":", lw=1.2, zorder=1)
        if not any(r.summary for r in by_scheme[scheme]):
            nothing(axes)
    last = list(panels.values())[-1][0]
    last.set_xlim(*score_limits(drawn))
    last.set_xlabel("test Macro-F1")
    keys = [point("at the shown seed, 95 % over texts", "o", BLACK)]
    if view.several_seeds:
        keys += [
            point("mean, 95 % over seeds", "D", BLACK, hollow=True),
            point("a seed", "|", BLACK),
        ]
    if any(floor_of(view.of_scheme(scheme)) for scheme in by_scheme):
        keys.append(line("floor", GREY, ":"))
    legend(figure, keys)


def _by_scheme(view: View) -> dict[str, list[Reference]]:
    found: dict[str, list[Reference]] = {}
    for reference in view.references:
        found.setdefault(reference.named.scheme, []).append(reference)
    return dict(sorted(found.items()))


def _draw(
    axes: object, y: int, reference: Reference, intervals: Intervals, style: tuple[str, str]
) -> list[float]:
    """Draw one line and return the values that the axis must hold."""
    shown, summary, (colour, _) = reference.shown, reference.summary, style
    values: list[float] = []
    several = summary is not None and len(summary.seeds) > 1
    if shown.scores:
        f1, ends = shown.scores.test.macro_f1, intervals.ends(shown.cell)
        place = y - _ASIDE if several else y
        interval_bar(axes, place, ends, colour, across=True)
        axes.plot(f1, place, "o", color=colour, ms=6.5, zorder=3)  # type: ignore[attr-defined]
        values += [f1, *(ends or ())]
    if summary and several:
        over = summary.test_macro_f1
        ends = None if over.low is None or over.high is None else (over.low, over.high)
        interval_bar(axes, y + _ASIDE, ends, colour, across=True)
        axes.plot(  # type: ignore[attr-defined]
            over.mean, y + _ASIDE, "D", mfc="white", mec=colour, mew=1.4, ms=6, zorder=3
        )
        axes.plot(  # type: ignore[attr-defined]
            over.values, [y + _ASIDE] * len(over.values), "|", color=colour, ms=9, zorder=4
        )
        values += [*(ends or ()), *over.values]
    return values

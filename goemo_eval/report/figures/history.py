"""A baseline's history: every cell's Macro-F1 by commit, with its interval over texts."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import matplotlib as mpl
from matplotlib.figure import Figure

from goemo_eval.judge.history import UNCOMMITTED, Point
from goemo_eval.report.figures.drawing import (
    BLACK,
    GREY,
    STYLE,
    interval_bar,
    legend,
    line,
    new_figure,
    point,
    save,
    score_limits,
)

_ACROSS = 2
_PANEL = 2.3  # inches
_MOST_NAMES = 10  # commits that are named on an axis


def history_figure(points: Sequence[Point]) -> tuple[bytes, bytes]:
    """Draw a panel per cell on common axes, and return it as PNG and SVG.

    Parameters
    ----------
    points : sequence of Point
        The oldest first, at least one.
    """
    with mpl.rc_context(STYLE):
        cells = sorted({p.cell for p in points})
        commits = list(dict.fromkeys(p.commit for p in points))
        rows = ceil(len(cells) / _ACROSS)
        figure = new_figure(_PANEL * rows + 0.8)
        panels = figure.subplots(
            rows, min(_ACROSS, len(cells)), sharex=True, sharey=True, squeeze=False
        ).ravel()
        for axes, cell in zip(panels, cells, strict=False):
            _draw(axes, cell, [p for p in points if p.cell == cell], commits)
        for axes in panels[len(cells) :]:
            axes.set_visible(False)
        panels[0].set_ylim(*score_limits([v for p in points for v in (p.low, p.high, p.macro_f1)]))
        _name_commits(figure, commits)
        keys = [point("test Macro-F1, 95 % over texts", "o", BLACK)]
        if any(p.anchor is not None for p in points):
            keys.append(line("anchor", GREY, ":"))
        legend(figure, keys)
        return save(figure)


def _draw(axes: object, cell: str, points: Sequence[Point], commits: Sequence[str]) -> None:
    places = [commits.index(p.commit) for p in points]
    for place, each in zip(places, points, strict=True):
        interval_bar(axes, place, (each.low, each.high), GREY)
    axes.plot(places, [p.macro_f1 for p in points], "-o", color=BLACK, lw=0.8, ms=4)  # type: ignore[attr-defined]
    held = [(place, p.anchor) for place, p in zip(places, points, strict=True) if p.anchor]
    for place, anchor in held:
        axes.plot([place - 0.5, place + 0.5], [anchor, anchor], ":", color=GREY, lw=1.2)  # type: ignore[attr-defined]
    axes.set_title(cell)  # type: ignore[attr-defined]


def _name_commits(figure: Figure, commits: Sequence[str]) -> None:
    """Name as many commits as an axis has room for, the last one always."""
    step = ceil(len(commits) / _MOST_NAMES)
    named = sorted({len(commits) - 1 - i for i in range(0, len(commits), step)})
    names = [c if c == UNCOMMITTED else c[:7] for c in commits]
    for axes in figure.axes:
        axes.set_xlim(-0.6, len(commits) - 0.4)
        axes.set_xticks(
            named, [names[i] for i in named], rotation=30, ha="right", rotation_mode="anchor"
        )
        axes.grid(visible=False, axis="x")

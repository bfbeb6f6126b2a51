"""What the figures share: colours, markers, axes, and how a figure becomes a file.

An encoder has one colour and one marker in every figure, a scheme one colour; encoders that differ in
their number of layers share the colour. The colours are Okabe and Ito's and Tol's, which colour-blind
readers can tell apart (https://jfly.uni-koeln.de/color/, https://sronpersonalpages.nl/~pault/).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import cycle
from math import ceil, floor, log10, sqrt
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from PIL import Image

from goemo_eval.records.schema import Record
from goemo_eval.report.ladder import family_of

BLACK, GREY, PALE = "#222222", "#777777", "#e4e4e4"
_ENCODERS = {
    "albert": ("#D55E00", "o"),
    "distilbert": ("#0072B2", "s"),
    "minilm": ("#009E73", "D"),
    "mobilebert": ("#CC79A7", "^"),
    "tfidf": ("#555555", "X"),
}
_OTHER_COLOURS = ("#56B4E9", "#999933", "#661100", "#AA4499", "#222222")
_OTHER_MARKERS = "vP<>*p"
_SCHEMES = {"raw": "#E69F00", "simplified": "#332288", "ekman": "#44AA99", "sentiment": "#882255"}

WIDTH = 8.0  # inches
_DPI = 150  # 1,200 pixels
_KEY, _CHARACTER = 0.6, 0.08  # inches of a legend's mark with the space around it, and of a letter
_MOST_COLUMNS = 7
LEAST_SCORE_SPAN = 0.1
"""Of an axis of Macro-F1: a thousandth must not look like much."""
_LEAST_RATIO = 2.0  # from end to end of a logarithmic axis
_LEAST_FOR_STEPS = 3.0  # over less, numbers in equal distances read better
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titley": 1.0,  # where titles land anyway, without measuring all ticks for each
    "grid.color": PALE,
    "legend.frameon": False,
    "svg.hashsalt": "goemo_eval",
    "text.usetex": False,
    "text.parse_math": False,
}


def encoder_styles(
    records: Iterable[Record], more: Iterable[str] = ()
) -> dict[str, tuple[str, str]]:
    """Return colour and marker of every encoder; those of one's own take what is left, by name.

    Encoders that differ in their number of layers alone share the colour; what has the floor beside it
    is another than what has none.
    """
    names = sorted({record.cell.encoder for record in records} | set(more))
    styles = dict(_ENCODERS)
    colours = {name: colour for name, (colour, _) in _ENCODERS.items()}
    more_colours, more_markers = cycle(_OTHER_COLOURS), cycle(_OTHER_MARKERS)
    for name in names:
        family = family_of(name)
        if family not in colours:
            colours[family] = next(more_colours)
        if name not in styles:
            styles[name] = colours[family], next(more_markers)
    return {name: styles[name] for name in names}


def scheme_colours(records: Iterable[Record]) -> dict[str, str]:
    """Return the colour of every scheme."""
    names = sorted({record.cell.scheme for record in records})
    return {name: _SCHEMES.get(name, GREY) for name in names}


def engines_in_order(names: Iterable[str]) -> list[str]:
    """Return engines with torch, the reference, first."""
    return sorted(set(names), key=lambda name: (name != "torch", name))


def new_figure(height: float) -> Figure:
    """Return an empty figure of the common width; its height is in inches."""
    return Figure(figsize=(WIDTH, height), dpi=_DPI, facecolor="white", layout="constrained")


def save(figure: Figure) -> tuple[bytes, bytes]:
    """Return a figure as PNG and SVG; the same figure gives the same bytes: no dates, no random ids."""
    png, svg = io.BytesIO(), io.StringIO()
    for axes in figure.axes:
        for spine in axes.spines.values():
            spine.set_in_layout(False)  # its labels need more room than it, and are measured anyway
    # The canvases themselves, not savefig, which would draw everything once more before each file.
    canvas = FigureCanvasAgg(figure)
    _lay_out(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    rgba = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    pixels = np.ascontiguousarray(rgba[..., :3])  # nothing is transparent
    Image.fromarray(pixels).save(png, "png", dpi=(_DPI, _DPI), compress_level=3)
    FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return png.getvalue(), svg.getvalue().encode()


def _lay_out(figure: Figure) -> None:
    """Place the panels, once for all files, and to a digit that does not depend on the solver's mood.

    It orders its work by addresses in memory, so that the last digits differ from call to call; and a
    clip path's id in an SVG is a hash of all of them.
    """
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(value, 6) for value in axes.get_position().bounds])  # type: ignore[arg-type]


def interval_bar(
    axes: Any, place: float, ends: tuple[float, float] | None, colour: str, *, across: bool = False
) -> None:
    """Draw an interval as a bar: upright at x, or lying at y."""
    if not ends:
        return
    here = [place, place]
    x, y = (ends, here) if across else (here, ends)
    axes.plot(x, y, "-", color=colour, lw=1.2, marker="|" if across else "_", ms=4, zorder=2)


def names_axis(axes: Any, names: Sequence[str]) -> None:
    """Put names under bars, slanted where there are many."""
    many = len(names) > 5
    axes.set_xticks(
        range(len(names)),
        names,
        rotation=30 if many else 0,
        ha="right" if many else "center",
        rotation_mode="anchor",
    )
    axes.set_xlim(-0.6, max(len(names), 1) - 0.4)
    axes.grid(visible=False, axis="x")


def log_axis(axes: Any, label: str, values: Sequence[float], *, room: int = 8) -> None:
    """Make x logarithmic over some values, with plain numbers close enough to read a value by.

    Parameters
    ----------
    axes : Axes
    label : str
    values : sequence of float
        All that is drawn, above zero; none gives an axis from 1 to 10.
    room : int, default 8
        How many numbers fit.

    Notes
    -----
    The axis spans at least a factor of two: a hundredth must not look like a difference.
    """
    low, high = (min(values), max(values)) if values else (1.0, 10.0)
    wider = max(1.0, sqrt(_LEAST_RATIO * low / high))
    low, high = low / wider, high * wider
    edge = (high / low) ** 0.06
    low, high = low / edge, high * edge
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks(_log_ticks(low, high, room))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(label)


_STEPS = (
    (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0),
    (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0),
    (1.0, 2.0, 3.0, 5.0),
    (1.0, 2.0, 5.0),
    (1.0, 3.0),
    (1.0,),
)


def _log_ticks(low: float, high: float, room: int) -> list[float]:
    """Return numbers for a logarithmic axis: the closest that it has room for."""
    if high / low < _LEAST_FOR_STEPS:
        ticks = MaxNLocator(nbins=room, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        return _apart([float(t) for t in ticks if low <= t <= high], high / low, room)
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    inside: list[float] = []
    for steps in _STEPS:
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        inside = [t for t in ticks if low <= t <= high]
        if len(inside) <= room:
            break
    return _apart(inside, high / low, room)


def _apart(ticks: Sequence[float], ratio: float, room: int) -> list[float]:
    """Return the ticks whose numbers do not run into the one before."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or tick / kept[-1] > ratio ** (0.7 / room):
            kept.append(tick)
    return kept


def score_limits(
    values: Iterable[float], *, least: float = LEAST_SCORE_SPAN
) -> tuple[float, float]:
    """Return the ends of an axis of Macro-F1 over all that is drawn, intervals included."""
    found = list(values)
    low, high = (min(found), max(found)) if found else (0.0, 0.5)
    more = max(0.0, least - (high - low)) / 2
    edge = 0.06 * (high - low + 2 * more)
    return low - more - edge, high + more + edge


def nothing(axes: Any, why: str = "no scored cell") -> None:
    """Say why there is nothing to see."""
    axes.annotate(why, (0.5, 0.5), xycoords="axes fraction", ha="center", color=GREY)


def patch(colour: str, label: str, alpha: float = 1.0) -> Line2D:
    """Return a legend's patch of a colour."""
    return Line2D([], [], ls="", marker="s", ms=9, color=colour, label=label, alpha=alpha)


def point(label: str, marker: str, colour: str = GREY, *, hollow: bool = False) -> Line2D:
    """Return a legend's marker."""
    face = "white" if hollow else colour
    return Line2D([], [], ls="", marker=marker, ms=7, mfc=face, mec=colour, label=label)


def line(label: str, colour: str = GREY, style: str = "-", marker: str = "") -> Line2D:
    """Return a legend's line."""
    return Line2D([], [], ls=style, color=colour, label=label, lw=1.5, marker=marker)


def legend(figure: Figure, keys: Sequence[Any], *, below: bool = True) -> None:
    """Put the legend below the panels, or beside them where the width is not needed."""
    if below:
        figure.legend(
            handles=keys,
            loc="outside lower center",
            ncols=_legend_columns([str(key.get_label()) for key in keys]),
            columnspacing=1.2,
            handletextpad=0.4,
        )
    else:
        figure.legend(handles=keys, loc="outside right upper")


def _legend_columns(labels: Sequence[str]) -> int:
    """Return in how many columns a legend's labels fit the width of a figure, in rows as even as can be."""
    widest = _KEY + _CHARACTER * max(map(len, labels))
    most = max(1, min(_MOST_COLUMNS, int(WIDTH / widest)))
    return ceil(len(labels) / ceil(len(labels) / most))

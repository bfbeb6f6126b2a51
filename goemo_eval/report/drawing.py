"""What the figures share: colours, markers, axes, and how a figure becomes a file.

An encoder has one colour and one marker in every figure, a scheme one colour. The colours are Okabe
and Ito's and Tol's, which colour-blind readers can tell apart (https://jfly.uni-koeln.de/color/,
https://sronpersonalpages.nl/~pault/). Ours is filled, the study's published value hollow.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import cycle
from math import ceil, log10
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image

from goemo_eval.records.schema import Record

BLACK, GREY, PALE = "#222222", "#777777", "#e4e4e4"
_ENCODERS = {
    "albert": ("#D55E00", "o"),
    "distilbert": ("#0072B2", "s"),
    "minilm": ("#009E73", "D"),
    "mobilebert": ("#CC79A7", "^"),
}
_OTHER_COLOURS = ("#56B4E9", "#999933", "#661100", "#AA4499", "#222222")
_OTHER_MARKERS = "vPX<>*"
_SCHEMES = {"raw": "#E69F00", "simplified": "#332288", "ekman": "#44AA99", "sentiment": "#882255"}
_ENGINES = {"torch": "o", "onnxruntime": "s", "openvino": "^"}

WIDTH = 8.0  # inches
_DPI = 150  # 1,200 pixels
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


def encoder_styles(records: Iterable[Record]) -> dict[str, tuple[str, str]]:
    """Return colour and marker of every encoder; those of one's own take what is left, by name."""
    names = sorted({record.cell.encoder for record in records})
    others = [name for name in names if name not in _ENCODERS]
    looks = zip(
        others, zip(cycle(_OTHER_COLOURS), cycle(_OTHER_MARKERS), strict=False), strict=False
    )
    styles = _ENCODERS | dict(looks)
    return {name: styles[name] for name in names}


def scheme_colours(records: Iterable[Record]) -> dict[str, str]:
    """Return the colour of every scheme."""
    names = sorted({record.cell.scheme for record in records})
    return {name: _SCHEMES.get(name, GREY) for name in names}


def engine_markers(records: Iterable[Record]) -> dict[str, str]:
    """Return the marker of every engine, for figures in which colour alone is the encoder's."""
    names = list(dict.fromkeys(record.cell.engine for record in records))
    return {name: _ENGINES.get(name, "P") for name in engines_in_order(names)}


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
    canvas.draw()  # type: ignore[no-untyped-call]
    rgba = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    pixels = np.ascontiguousarray(rgba[..., :3])  # nothing is transparent
    Image.fromarray(pixels).save(png, "png", dpi=(_DPI, _DPI), compress_level=3)
    figure.set_layout_engine("none")  # the first drawing has laid it out
    FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return png.getvalue(), svg.getvalue().encode()


def error_bar(axes: Any, x: float, ends: tuple[float, float] | None, colour: str) -> None:
    """Draw an interval as a vertical bar."""
    if ends:
        axes.plot([x, x], ends, "-", color=colour, lw=1.2, marker="_", ms=4, zorder=2)


def arrow(axes: Any, ends: Sequence[tuple[float, float]], colour: str, style: str = "-") -> None:
    """Draw an arrow from the first point to the second."""
    axes.annotate(
        "",
        ends[1],
        ends[0],
        arrowprops={
            "arrowstyle": "->",
            "color": colour,
            "linestyle": style,
            "shrinkA": 4,
            "shrinkB": 4,
            "lw": 1,
        },
    ).set_in_layout(False)


def on_axis(axes: Any, x: float, marker: str, colour: str) -> None:
    """Mark a cell that has a latency but no score: it stands on the axis."""
    place = axes.get_xaxis_transform()
    axes.plot(x, 0, marker, color=colour, ms=7, clip_on=False, alpha=0.6, transform=place, zorder=4)


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


def log_axis(axes: Any, label: str, *, panels: int = 1) -> None:
    """Make x logarithmic, with as many plain numbers as one of some panels side by side has room for."""
    axes.set_xscale("log")
    axes.margins(x=0.1)
    low, high = axes.get_xlim()
    decades = log10(high / low)
    room = 16 / panels
    subs = next((s for s in ((1.0, 2.0, 5.0), (1.0, 3.0)) if len(s) * decades <= room), (1.0,))
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=16))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(label)


def score_axis(axes: Any, *, scored: bool) -> None:
    """Name y, the test Macro-F1; it need not begin at zero, since no bar's length is read from it."""
    axes.set_ylabel("test Macro-F1")
    axes.margins(y=0.12)
    if not scored:
        axes.set_ylim(0, 0.5)
        nothing(axes)


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


def legend(figure: Figure, keys: Sequence[Any], *, below: bool = False) -> None:
    """Put the legend beside the panels, or below where they need the width."""
    if below:
        columns = ceil(len(keys) / ceil(len(keys) / 7))
        figure.legend(
            handles=keys,
            loc="outside lower center",
            ncols=columns,
            columnspacing=1.2,
            handletextpad=0.4,
        )
    else:
        figure.legend(handles=keys, loc="outside right upper")

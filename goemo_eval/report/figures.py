"""The study's four figures from records, as PNG and SVG.

Ours is filled, the study's published value hollow. Colours are Okabe and Ito's, which colour-blind
readers can tell apart (https://jfly.uni-koeln.de/color/), and markers differ as well. The same
records give the same bytes: no dates, no random ids.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from statistics import median
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, ScalarFormatter

from goemo_eval.report.study import Study
from goemo_eval.report.tables import pairs
from goemo_eval.report.text import model_name
from goemo_eval.results.records import Record

ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GREY = "#777777"
MARKERS = "osD^vPX<>*"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "svg.hashsalt": "goemo_eval",
    "text.usetex": False,
    "text.parse_math": False,
}

TITLES = {
    "figure1": "Figure 1. Macro-F1 gain of simplified over raw, by model",
    "figure2": "Figure 2. Latency against test Macro-F1",
    "figure3": "Figure 3. Test Macro-F1 by model and scheme",
    "figure4": "Figure 4. FP32 and INT8: latency over the test split against Macro-F1",
}


def draw(records: Sequence[Record], study: Study) -> dict[str, bytes]:
    """Draw all figures.

    Parameters
    ----------
    records : sequence of Record
    study : Study

    Returns
    -------
    dict of str to bytes
        File name, such as ``figure1.png``, to content.
    """
    drawers: dict[str, Callable[[Figure, Sequence[Record], Study], None]] = {
        "figure1": _gain,
        "figure2": _latency,
        "figure3": _macro_f1,
        "figure4": _trade_off,
    }
    files = {}
    with rc_context(STYLE):
        for name, drawer in drawers.items():
            figure = Figure(figsize=(8, 4.2), layout="constrained")
            FigureCanvasAgg(figure)
            drawer(figure, records, study)
            figure.suptitle(TITLES[name], fontsize=11)
            files[f"{name}.png"] = _saved(figure, "png", Software=None)
            files[f"{name}.svg"] = _saved(figure, "svg", Date=None, Creator=None)
    return files


def _saved(figure: Figure, form: str, **metadata: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=150, metadata=metadata)
    return buffer.getvalue()


def _gain(figure: Figure, records: Sequence[Record], study: Study) -> None:
    """Figure 1: simplified minus raw, on validation and test."""
    axes = figure.subplots()
    models = _models(r for r in records if r.cell.scheme in ("raw", "simplified"))
    scored = {(model_name(r.cell), r.cell.scheme): r for r in _fp32(records) if r.scores}
    drawn = False
    for offset, split, colour in ((-0.2, "validation", SKY), (0.2, "test", BLUE)):
        for x, model in enumerate(models):
            both = [scored.get((model, scheme)) for scheme in ("simplified", "raw")]
            simplified, raw = [getattr(r.scores, split).macro_f1 if r else None for r in both]
            if simplified is not None and raw is not None:
                axes.bar(x + offset, simplified - raw, 0.36, color=colour)
                axes.annotate(
                    f"{simplified - raw:+.3f}",
                    (x + offset, simplified - raw),
                    (0, 3),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
                drawn = True
            published = {c.scheme: getattr(c, split) for c in study.cells if c.encoder == model}
            if {"raw", "simplified"} <= published.keys():
                gain = published["simplified"] - published["raw"]
                axes.plot(x + offset, gain, "D", mfc="white", mec=colour, ms=7, zorder=3)
    axes.axhline(0, color="black", lw=0.8)
    _models_axis(axes, models, drawn)
    axes.set_ylabel("simplified minus raw, Macro-F1")
    keys = [_patch(SKY, "validation"), _patch(BLUE, "test"), _hollow("study", "D")]
    figure.legend(handles=keys, loc="outside right upper")


def _latency(figure: Figure, records: Sequence[Record], study: Study) -> None:
    """Figure 2: colour = scheme, marker = model, FP32 cells; a tick marks one without a score."""
    axes = figure.subplots()
    shown = [r for r in _fp32(records) if "real" in r.latency]
    colours, markers = _scheme_colours(records), _markers(_models(shown))
    for record in shown:
        colour, marker = colours[record.cell.scheme], markers[model_name(record.cell)]
        latency = record.latency["real"]
        p50, p90 = latency.p50_s * 1e3, latency.p90_s * 1e3
        published = study.cell(record)
        if published:
            axes.plot(published.latency_ms, published.test, marker, mfc="white", mec=colour, ms=8)
        if record.scores is None:
            _on_axis(axes, p50, marker, colour)
            continue
        f1 = record.scores.test.macro_f1
        axes.plot([p50, p90], [f1, f1], "-", color=colour, lw=1)
        axes.plot(p50, f1, marker, color=colour, ms=8)
    _log_axis(axes, "ms per batch of 32, real lengths (p50; the line ends at p90)")
    _score_axis(axes, any(r.scores for r in shown))
    keys = [_patch(colours[s], s) for s in colours]
    keys += [_filled(model, markers[model]) for model in markers]
    keys += [_hollow("study", "o")]
    if any(r.scores is None for r in shown):
        keys += [_hollow("on the axis: not scored", "")]
    figure.legend(handles=keys, loc="outside right upper")


def _macro_f1(figure: Figure, records: Sequence[Record], study: Study) -> None:
    """Figure 3: bars of test Macro-F1."""
    axes = figure.subplots()
    shown = _fp32(records)
    models, colours = _models(shown), _scheme_colours(records)
    width = 0.8 / max(len(colours), 1)
    drawn = False
    for record in shown:
        model, scheme = model_name(record.cell), record.cell.scheme
        x = models.index(model) + (list(colours).index(scheme) + 0.5) * width - 0.4
        if record.scores:
            f1 = record.scores.test.macro_f1
            axes.bar(x, f1, width * 0.92, color=colours[scheme])
            axes.annotate(
                f"{f1:.3f}",
                (x, f1),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
            drawn = True
        published = study.cell(record)
        if published:
            axes.plot(x, published.test, "D", mfc="white", mec=colours[scheme], ms=7, zorder=3)
    _models_axis(axes, models, drawn)
    axes.set_ylabel("test Macro-F1")
    axes.set_ylim(bottom=0)
    keys = [_patch(colours[s], s) for s in colours] + [_hollow("study", "D")]
    figure.legend(handles=keys, loc="outside right upper")


def _trade_off(figure: Figure, records: Sequence[Record], study: Study) -> None:
    """Figure 4: an arrow from each FP32 cell to its INT8 cell, one panel per scheme."""
    couples = pairs(records)
    schemes = list(dict.fromkeys(int8.cell.scheme for _, int8 in couples)) or ["no INT8 cell"]
    panels = figure.subplots(1, len(schemes), sharey=True, squeeze=False)[0]
    markers = _markers(_models(int8 for _, int8 in couples))
    for axes, scheme in zip(panels, schemes, strict=True):
        here = [(fp32, int8) for fp32, int8 in couples if int8.cell.scheme == scheme]
        for fp32, int8 in here:
            _trade(axes, fp32, int8, study, markers[model_name(int8.cell)])
        axes.set_title(scheme, fontsize=10)
        _log_axis(axes, "s over the test split")
        _score_axis(axes, any(int8.scores for _, int8 in here))
    for axes in panels[1:]:
        axes.set_ylabel("")
    keys = [_patch(BLUE, "FP32"), _patch(ORANGE, "INT8")]
    keys += [_filled(model, marker) for model, marker in markers.items()]
    keys += [_hollow("study", "o")]
    if any(int8.scores is None for _, int8 in couples):
        keys += [_hollow("on the axis: not scored", "")]
    figure.legend(handles=keys, loc="outside right upper")


def _trade(axes: Any, fp32: Record, int8: Record, study: Study, marker: str) -> None:
    """Draw one FP32 cell, its INT8 cell, and the study's two."""
    colours = (BLUE, ORANGE)
    published = study.cell(int8)
    if published:
        ends = [(published.fp32_s, published.fp32), (published.int8_s, published.int8)]
        _arrow(axes, ends, GREY)
        for (x, y), colour in zip(ends, colours, strict=True):
            axes.plot(x, y, marker, mfc="white", mec=colour, ms=7)
    if int8.speedup is None:
        return
    times_s = [median(int8.speedup.reference_s), median(int8.speedup.candidate_s)]
    if fp32.scores is None or int8.scores is None:
        for x, colour in zip(times_s, colours, strict=True):
            _on_axis(axes, x, marker, colour)
        return
    f1 = [fp32.scores.test.macro_f1, int8.scores.test.macro_f1]
    _arrow(axes, list(zip(times_s, f1, strict=True)), "black")
    for x, y, colour in zip(times_s, f1, colours, strict=True):
        axes.plot(x, y, marker, color=colour, ms=8)


def _on_axis(axes: Any, x: float, marker: str, colour: str) -> None:
    """Mark a cell that has a latency but no score: it stands on the axis."""
    place = axes.get_xaxis_transform()
    axes.plot(x, 0, marker, color=colour, ms=7, clip_on=False, alpha=0.6, transform=place)


def _fp32(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.cell.precision == "fp32"]


def _models(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(model_name(record.cell) for record in records))


def _markers(models: Sequence[str]) -> dict[str, str]:
    return dict(zip(models, cycle(MARKERS)))


def _scheme_colours(records: Sequence[Record]) -> dict[str, str]:
    schemes = dict.fromkeys(record.cell.scheme for record in records)
    return dict(zip(schemes, cycle((BLUE, VERMILION, GREEN, PURPLE))))


def _patch(colour: str, label: str) -> Line2D:
    return Line2D([], [], ls="", marker="s", ms=9, color=colour, label=label)


def _filled(label: str, marker: str) -> Line2D:
    return Line2D([], [], ls="", marker=marker, ms=7, color=GREY, label=label)


def _hollow(label: str, marker: str) -> Line2D:
    return Line2D([], [], ls="", marker=marker, ms=7, mfc="white", mec=GREY, label=label)


def _arrow(axes: Any, ends: Sequence[tuple[float, float]], colour: str) -> None:
    axes.annotate(
        "",
        ends[1],
        ends[0],
        arrowprops={"arrowstyle": "->", "color": colour, "shrinkA": 5, "shrinkB": 5, "lw": 1},
    )


def _models_axis(axes: Any, models: Sequence[str], drawn: bool) -> None:
    axes.set_xticks(range(len(models)), models)
    axes.set_xlim(-0.6, max(len(models), 1) - 0.4)
    axes.grid(visible=False, axis="x")
    if not drawn:
        _nothing(axes)


def _log_axis(axes: Any, label: str) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.1)
    axes.set_xlabel(label)


def _score_axis(axes: Any, scored: bool) -> None:
    axes.set_ylabel("test Macro-F1")
    axes.set_ylim(0, max(axes.get_ylim()[1], 0.5))
    if not scored:
        _nothing(axes)


def _nothing(axes: Any) -> None:
    axes.annotate("no scored cell", (0.5, 0.5), xycoords="axes fraction", ha="center", color=GREY)

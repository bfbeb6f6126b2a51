"""Charts with a line per cell: its name at the left, its numbers beside it in columns that share their axes.

No two cells can cover each other, and the reader compares along one axis, whatever the scheme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from goemo_eval.records.schema import Record
from goemo_eval.report.text import model_name

_ROW, _FRAME = 0.24, 1.5  # inches


def height_of(rows: int, schemes: int) -> float:
    """Return the inches that a chart needs."""
    return _FRAME + _ROW * max(rows, 1) + 0.35 * max(schemes - 1, 0)


def row_axes(
    figure: Figure, names: Mapping[str, Sequence[str]], columns: Sequence[float]
) -> dict[str, list[Any]]:
    """Return axes by scheme, one per column, with the names of the rows at the left.

    Parameters
    ----------
    figure : Figure
    names : mapping of str to sequence of str
        By scheme, from top to bottom.
    columns : sequence of float
        Their relative widths.
    """
    heights = [max(len(rows), 1) for rows in names.values()]
    panels = figure.subplots(
        len(names),
        len(columns),
        sharex="col",
        sharey="row",
        squeeze=False,
        gridspec_kw={"height_ratios": heights, "width_ratios": list(columns)},
    )
    for (scheme, rows), axes in zip(names.items(), panels, strict=True):
        axes[0].set_yticks(range(len(rows)), rows)
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        axes[0].set_title(scheme, loc="left", fontweight="bold")
        for one in axes:
            one.grid(visible=False, axis="y")
            one.tick_params(axis="y", length=0)
    return dict(zip(names, panels.tolist(), strict=True))


def row_name(record: Record, *, precision: bool = True) -> str:
    """Return what a cell is called within its scheme, where all are of one seed."""
    name = model_name(record.cell.model_copy(update={"seed": 0}))
    return f"{name} {record.cell.precision.upper()}" if precision else name

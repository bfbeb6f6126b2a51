"""The columns that name the cell of each row."""

from __future__ import annotations

from collections.abc import Sequence

from goemo_eval.records.schema import Record
from goemo_eval.report.document import Column
from goemo_eval.report.text import escape, model_name


def cell_columns(records: Sequence[Record], *, precision: bool = True) -> list[Column]:
    """Return model, scheme and precision; single cells are shown at one seed, which goes without saying."""
    cells = [r.cell.model_copy(update={"seed": 0}) for r in records]
    found = [
        Column("model", "", [escape(model_name(cell)) for cell in cells], words=True),
        Column("scheme", "", [escape(r.cell.scheme) for r in records], words=True),
    ]
    if precision:
        precisions = [r.cell.precision.upper() for r in records]
        found.append(Column("precision", "", precisions, words=True))
    return found

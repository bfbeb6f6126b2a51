"""Columns that several tables have: those that name the cell of each row, and those of gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goemo_eval.measure.statistics import Interval
from goemo_eval.records.schema import Record
from goemo_eval.report.document import Column
from goemo_eval.report.floor import is_worth_it
from goemo_eval.report.seed_gains import ONE_SEED, SeedGain
from goemo_eval.report.text import DASH, escape, model_name, spread


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


def gain_text(gain: Interval | SeedGain | None) -> str:
    """Return a gain's interval, and whether it may be chance or is a loss beyond it; a dash where there is none."""
    if gain is None:
        return DASH
    text = spread(gain.low, gain.high, signed=True)
    if is_worth_it(gain):
        return text
    return f"{text} (below)" if gain.high < 0 else f"{text} (chance)"


def gain_column(
    head: str,
    means: str,
    cells: Sequence[str],
    *,
    shown: Mapping[str, Interval],
    anew: Mapping[str, SeedGain],
) -> Column:
    """Return a column of what cells gain: by the means over seeds where both sides have several.

    Parameters
    ----------
    head, means : str
    cells : sequence of str
        Ids, a row each.
    shown : mapping of str to Interval
        At the seed that is shown: what stands where there is nothing in `anew`.
    anew : mapping of str to SeedGain
    """
    if not any(cell in anew for cell in cells):
        return Column(head, means, [gain_text(shown.get(cell)) for cell in cells])
    marked = [
        gain_text(anew[cell])
        if cell in anew
        else gain_text(shown.get(cell)) + (ONE_SEED if cell in shown else "")
        for cell in cells
    ]
    more = f"; by the means over the seeds of both, 95 % over seeds and texts, or ({ONE_SEED}) at the shown seed"
    return Column(head, means + more, marked)

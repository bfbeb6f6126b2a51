"""Cells of other names against one another: an encoder in the place of another, an engine in that of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goemo_eval.errors import RecordError, unknown_name
from goemo_eval.records.schema import Record


def pair_cells(
    baseline: Sequence[Record], candidate: Sequence[Record], pairs: Mapping[str, str]
) -> tuple[list[Record], list[Record]]:
    """Return the baseline's cells that are named, and the candidate's as if they bore those names.

    Parameters
    ----------
    baseline, candidate : sequence of Record
    pairs : mapping of str to str
        Id of a cell of the baseline to that of the candidate's which is judged in its place.

    Raises
    ------
    RecordError
        If either side lacks a cell, or the two are of different schemes.
    """
    before = {record.cell.id: record for record in baseline}
    after = {record.cell.id: record for record in candidate}
    old, new = [], []
    for first, second in pairs.items():
        for side, cell, held in (("baseline", first, before), ("candidate", second, after)):
            if cell not in held:
                raise RecordError(
                    f"--pair {first}={second}: the {side}: {unknown_name('cell', cell, held)}"
                )
        one, other = before[first], after[second]
        if one.cell.scheme != other.cell.scheme:
            raise RecordError(
                f"--pair {first}={second}: they are of the schemes {one.cell.scheme} and {other.cell.scheme}: "
                "pair cells of one"
            )
        old.append(one)
        new.append(other.model_copy(update={"cell": one.cell}))
    return old, new

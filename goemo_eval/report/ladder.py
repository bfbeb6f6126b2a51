"""The ladder: one encoder with more and more of its layers. What a step up gains says how much of it is needed."""

from __future__ import annotations

import itertools

from goemo_eval.frozen import MIXED
from goemo_eval.records.schema import Record
from goemo_eval.records.view import Reference, View


def ladders(view: View) -> list[tuple[Reference, ...]]:
    """Return the scored FP32 cells that differ in their encoder's layers alone, fewest parameters first.

    An encoder with the floor beside it is another than without.

    Examples
    --------
    >>> ladders(View([]))
    []
    """
    found: dict[tuple[str, bool, str], list[Reference]] = {}
    for reference in view.references:
        cell = reference.shown.cell
        if reference.shown.scores:
            words = cell.encoder.partition("@")[0].removesuffix(MIXED), cell.encoder.endswith(MIXED)
            found.setdefault((*words, cell.scheme), []).append(reference)
    return [
        tuple(sorted(rungs, key=lambda r: r.shown.parameters))
        for rungs in found.values()
        if len(rungs) > 1
    ]


def rungs_below(view: View) -> dict[str, Record]:
    """Return by cell id the cell with the next fewer layers."""
    return {
        upper.shown.cell.id: lower.shown
        for rungs in ladders(view)
        for lower, upper in itertools.pairwise(rungs)
    }

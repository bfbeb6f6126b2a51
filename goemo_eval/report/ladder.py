"""The ladder: one encoder with more and more of its layers. What a step up gains says how much of it is needed."""

from __future__ import annotations

import itertools

from goemo_eval.frozen import MIXED
from goemo_eval.records.schema import Record
from goemo_eval.records.view import Reference, View


def family_of(encoder: str) -> str:
    """Return an encoder's name without its number of layers; with the floor beside it, it is another.

    Examples
    --------
    >>> family_of("minilm@3"), family_of("minilm@3+tfidf"), family_of("minilm")
    ('minilm', 'minilm+tfidf', 'minilm')
    """
    base, at, _ = encoder.partition("@")
    return f"{base}{MIXED}" if at and encoder.endswith(MIXED) else base


def ladders(view: View) -> list[tuple[Reference, ...]]:
    """Return the scored FP32 cells that differ in their encoder's layers alone, fewest parameters first.

    An encoder with the floor beside it is another than without.

    Examples
    --------
    >>> ladders(View([]))
    []
    """
    found: dict[tuple[str, str], list[Reference]] = {}
    for reference in view.references:
        cell = reference.shown.cell
        if reference.shown.scores:
            found.setdefault((family_of(cell.encoder), cell.scheme), []).append(reference)
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


def lowest_rungs(view: View) -> dict[str, Record]:
    """Return by cell id the cell with the fewest layers, of those that have more."""
    return {upper.shown.cell.id: lowest.shown for lowest, *more in ladders(view) for upper in more}

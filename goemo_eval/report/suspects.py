"""Likely errors in the data's own labels, and whether they decide which cell is best.

Where models that were trained apart all give a text the same label and the data do not, either all
of them err alike, or the label is missing. A label counts here if it is right more often than not when
all give it, and the more often it is, the likelier is the error: confident learning (Northcutt et al.,
arXiv 1911.00068) asks the same of probabilities, which a record does not keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil

import numpy as np
import numpy.typing as npt

from goemo_eval.measure.f1 import BoolArray, macro_f1, ratio
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View

SHARES = (0.05, 0.10, 0.20)
"""Of the suspects, the likeliest errors first, that are left out to see whether the ranking holds."""
LEAST_TRUST = 0.5
"""Share of right ones among the texts to which all give a label, below which their agreement says little."""
_EQUAL = 1e-9  # Macro-F1s that differ by less are a tie


@dataclass(frozen=True)
class Suspect:
    """A text to which every cell gives a label that the data do not."""

    row: int
    """Of the texts that were scored, counted from 0."""
    has: tuple[str, ...]
    """Labels in the data."""
    given: tuple[str, ...]
    """Labels that every cell gives and the data do not."""
    trust: float
    """Share of the texts that have the likeliest of them, of those to which every cell gives it."""


@dataclass(frozen=True)
class Ranking:
    """The order of the cells without some of the texts."""

    share: float
    """Of the suspects that are left out."""
    texts: int
    """How many these are."""
    best: Record
    macro_f1: float
    swapped: int
    """Pairs of cells whose order is another than with all texts."""


@dataclass(frozen=True)
class LabelErrors:
    """What the cells of a scheme say together about the labels of its test split."""

    scheme: str
    judges: int
    """Encoders and seeds that agree: engines and precisions of one checkpoint are one judge."""
    texts: int
    suspects: tuple[Suspect, ...]
    rankings: tuple[Ranking, ...]
    """With all texts first."""
    pairs: int

    @property
    def decided_by_noise(self) -> bool:
        """Whether another cell is best as soon as suspects are left out."""
        return any(r.best != self.rankings[0].best for r in self.rankings)


def label_errors(view: View, scheme: str) -> LabelErrors | None:
    """Find the likely label errors of a scheme's test split.

    Parameters
    ----------
    view : View
        All seeds take part in finding them; the cells at the shown seed are ranked.
    scheme : str

    Returns
    -------
    LabelErrors or None
        None where fewer than two models were scored on the same texts: one cannot agree with others.
    """
    here = view.of_scheme(scheme)
    decided = _decided(here)
    judges = {(r.cell.encoder, r.cell.seed) for r, _ in decided.cells}
    if len(judges) < 2:
        return None
    labels = decided.cells[0][0].labels
    order, suspects = _suspects(decided.truth, [guess for _, guess in decided.cells], labels)
    at_shown_seed = {r.cell for r in here.shown}
    ranked = [(r, guess) for r, guess in decided.cells if r.cell in at_shown_seed]
    return LabelErrors(
        scheme=scheme,
        judges=len(judges),
        texts=len(decided.truth),
        suspects=suspects,
        rankings=_rankings(decided.truth, ranked, order),
        pairs=len(ranked) * (len(ranked) - 1) // 2,
    )


@dataclass(frozen=True)
class _Decided:
    truth: BoolArray
    cells: list[tuple[Record, BoolArray]]


def _decided(view: View) -> _Decided:
    """Return the decisions of the cells that were scored on the texts of the first."""
    truth: BoolArray = np.zeros((0, 0), dtype=bool)
    labels: tuple[str, ...] = ()
    cells: list[tuple[Record, BoolArray]] = []
    for record in view.scored:
        if record.decisions is None:
            continue
        other, guess = unpack_decisions(record.decisions)
        if not cells:
            truth, labels = other, record.labels
        if np.array_equal(truth, other) and record.labels == labels:
            cells.append((record, guess))
    return _Decided(truth, cells)


def _suspects(
    truth: BoolArray, guesses: Sequence[BoolArray], labels: Sequence[str]
) -> tuple[npt.NDArray[np.intp], tuple[Suspect, ...]]:
    """Return the rows of the suspects, the likeliest errors first, and what is said of them."""
    everyone = np.logical_and.reduce(guesses)
    trust = ratio((everyone & truth).sum(axis=0), everyone.sum(axis=0))  # (K,)
    against = everyone & ~truth & (trust >= LEAST_TRUST)
    likely = np.where(against, trust, -1.0).max(axis=1)  # (N,)
    rows = against.any(axis=1).nonzero()[0]
    rows = rows[np.argsort(-likely[rows], kind="stable")]
    return rows, tuple(
        Suspect(
            row=int(i),
            has=tuple(labels[k] for k in truth[i].nonzero()[0]),
            given=tuple(labels[k] for k in against[i].nonzero()[0]),
            trust=float(likely[i]),
        )
        for i in rows
    )


def _rankings(
    truth: BoolArray, cells: Sequence[tuple[Record, BoolArray]], suspects: npt.NDArray[np.intp]
) -> tuple[Ranking, ...]:
    found: list[Ranking] = []
    whole: list[float] = []
    for share in (0.0, *SHARES):
        left_out = suspects[: ceil(share * len(suspects))]
        if len(left_out) == len(truth):
            break
        keep = np.ones(len(truth), dtype=bool)
        keep[left_out] = False
        scores = [macro_f1(truth[keep], guess[keep]) for _, guess in cells]
        whole = whole or scores
        # A tie is no change: the cell that was best stays so while nothing scores higher.
        first = whole.index(max(whole))
        best = first if scores[first] >= max(scores) - _EQUAL else scores.index(max(scores))
        found.append(
            Ranking(share, len(left_out), cells[best][0], scores[best], _swapped(whole, scores))
        )
    return tuple(found)


def _swapped(before: Sequence[float], after: Sequence[float]) -> int:
    """Count the pairs whose order is reversed; a tie before or after is none."""
    return sum(
        (before[a] - before[b] > _EQUAL and after[b] - after[a] > _EQUAL)
        or (before[b] - before[a] > _EQUAL and after[a] - after[b] > _EQUAL)
        for a, b in combinations(range(len(before)), 2)
    )

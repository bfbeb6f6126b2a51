"""Which labels are taken for which, counted in a record's decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


class Confusion(NamedTuple):
    """Texts in which one label was missed and another wrongly given."""

    missed: str
    given: str
    texts: int
    of: int
    """All texts in which the first was missed."""


def confusions(
    truth: BoolArray, guess: BoolArray, labels: Sequence[str], *, most: int
) -> list[Confusion]:
    """Return the pairs of labels that are confused most often.

    Parameters
    ----------
    truth, guess : ndarray of bool, shape (N, K)
        Of one label per text this is the confusion matrix without its diagonal.
    labels : sequence of str, length K
    most : int
        How many at most.

    Examples
    --------
    >>> truth = np.array([[True, False], [True, False], [False, True]])
    >>> guess = np.array([[False, True], [True, False], [False, True]])
    >>> confusions(truth, guess, ["joy", "love"], most=3)
    [Confusion(missed='joy', given='love', texts=1, of=1)]
    """
    missed, wrong = truth & ~guess, guess & ~truth
    counts = _together(missed, wrong)
    misses = missed.sum(axis=0)
    return [
        Confusion(labels[a], labels[b], int(counts[a, b]), int(misses[a]))
        for a, b in _largest(counts, most)
    ]


def _together(a: BoolArray, b: BoolArray) -> npt.NDArray[np.int64]:
    """Return in how many rows each column of `a` and each of `b` are both true."""
    # float64 is multiplied by BLAS, and exact for counts; integers are not.
    return (a.T.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def _largest(counts: npt.NDArray[np.int64], most: int) -> list[tuple[int, int]]:
    """Return the places of the largest counts above zero, ties by place."""
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    places = (divmod(int(i), counts.shape[1]) for i in order)
    return [(a, b) for a, b in places if counts[a, b]]

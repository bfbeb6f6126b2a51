"""The rules that pick one label of several, for schemes with one class a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import DataError

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Counts:
    """What a dominance rule may count.

    Attributes
    ----------
    train_labels : ndarray of bool, shape (M, L), or None
    votes : ndarray of int, shape (N, L), or None
    fallback : int or None
        The column that gives way.
    """

    train_labels: BoolArray | None
    votes: IntArray | None
    fallback: int | None


def _needs(array: npt.NDArray[Any] | None, what: str, rule: str) -> npt.NDArray[Any]:
    if array is None:
        raise DataError(
            f"dominance rule {rule!r} needs {what}, which these data lack: choose another rule"
        )
    return array


def _pick(labels: BoolArray, rank: npt.NDArray[np.float64], fallback: int | None) -> IntArray:
    """Pick each row's label of highest rank; the fallback gives way to any; ties: lower column."""
    rank = np.broadcast_to(rank, labels.shape).astype(float).copy()
    if fallback is not None and rank.size:
        rank[:, fallback] = rank.min() - 1
    return np.asarray(np.where(labels, rank, -np.inf).argmax(axis=1))


def _frequent(labels: BoolArray, counts: Counts) -> IntArray:
    frequency = _needs(counts.train_labels, "train_labels", "frequent").sum(axis=0)
    return _pick(labels, frequency.astype(float), counts.fallback)


def _rare(labels: BoolArray, counts: Counts) -> IntArray:
    frequency = _needs(counts.train_labels, "train_labels", "rare").sum(axis=0)
    return _pick(labels, -frequency.astype(float), counts.fallback)


def _votes(labels: BoolArray, counts: Counts) -> IntArray:
    votes = _needs(counts.votes, "votes", "votes")
    if votes.shape != labels.shape:
        raise DataError(f"votes must have the shape of labels {labels.shape}: got {votes.shape}")
    # Equal votes are settled by training frequency, which is always a fraction below one vote.
    frequency = _needs(counts.train_labels, "train_labels", "votes").sum(axis=0)
    return _pick(labels, votes + frequency / (frequency.sum() + 1.0), counts.fallback)


def _first(labels: BoolArray, counts: Counts) -> IntArray:
    return _pick(labels, -np.arange(labels.shape[1], dtype=float), counts.fallback)


def _only(labels: BoolArray, counts: Counts) -> IntArray:
    del counts
    several = np.flatnonzero(labels.sum(axis=1) > 1)
    if len(several):
        raise DataError(
            f"row {several[0] + 1} has several labels, of which the scheme picks none: filter with "
            "Scheme.keeps, or choose another dominance rule"
        )
    return np.asarray(labels.argmax(axis=1))


DOMINANCE_RULES: dict[str, Callable[[BoolArray, Counts], IntArray]] = {
    "votes": _votes,
    "frequent": _frequent,
    "rare": _rare,
    "first": _first,
    "only": _only,
}
"""The rules that pick one label of several. In every rule but ``only`` the fallback gives way.

``votes``: most rater votes, ties to the label more frequent in training. ``frequent`` and
``rare``: most or least frequent in training. ``first``: lowest column.
``only``: texts with several labels are dropped.
"""

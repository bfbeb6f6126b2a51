"""Schemes: how a text's labels become the targets that an encoder is trained and scored on.

Schemes are data (``schemes.toml``); this module reads them and holds the dominance rules by
which a multiclass scheme settles a text that carries several labels.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from goemo_eval.data.labels import EMOTIONS, NEUTRAL
from goemo_eval.errors import DataError, unknown_name

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Kind = Literal["multilabel", "multiclass"]


@dataclass(frozen=True)
class Scheme:
    """A named way to turn labels into targets.

    Attributes
    ----------
    name : str
        Registry name, as it stands in cell ids.
    kind : {"multilabel", "multiclass"}
        ``multilabel``: independent sigmoids; ``multiclass``: one softmax.
    labels : tuple of str, length K
        Class names in column order.
    groups : tuple of tuple of int, length K
        For each class the emotion ids that it stands for.
    dominance : str or None
        The rule that picks one label (``multiclass`` only, else None): see `DOMINANCE_RULES`.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    dominance: str | None

    def keeps(self, labels: BoolArray) -> BoolArray:
        """Say which texts the scheme can use.

        Parameters
        ----------
        labels : ndarray of bool, shape (N, 28)

        Returns
        -------
        ndarray of bool, shape (N,)
            False only under the rule ``only``, for texts with several labels.
        """
        labels = _checked(labels)
        if self.dominance == "only":
            return np.asarray(labels.sum(axis=1) == 1)
        return np.ones(len(labels), dtype=bool)

    def targets(
        self,
        labels: BoolArray,
        *,
        train_labels: BoolArray | None = None,
        votes: IntArray | None = None,
    ) -> BoolArray | IntArray:
        """Turn labels into targets.

        Parameters
        ----------
        labels : ndarray of bool, shape (N, 28)
            Every row has at least one label.
        train_labels : ndarray of bool, shape (M, 28), optional
            Labels of the training split; the rules ``votes``, ``frequent`` and ``rare`` count
            them. Pass the same ones for every split, or the splits disagree.
        votes : ndarray of int, shape (N, 28), optional
            Rater votes per emotion, for the rule ``votes``.

        Returns
        -------
        ndarray of bool, shape (N, K), or ndarray of int64, shape (N,)
            Multilabel targets, or class ids in ``[0, K)``.

        Raises
        ------
        DataError
            If a row has no label, if the rule lacks what it counts, or if ``only`` meets a
            text with several labels (drop those with `keeps` first).
        """
        labels = _checked(labels)
        if self.kind == "multilabel":
            return np.stack([labels[:, list(group)].any(axis=1) for group in self.groups], axis=1)
        assert self.dominance is not None  # get_scheme sets it for every multiclass scheme
        emotion = DOMINANCE_RULES[self.dominance](labels, train_labels, votes)
        return self._class_of_emotion()[emotion]

    def _class_of_emotion(self) -> IntArray:
        of = np.full(len(EMOTIONS), -1, dtype=np.int64)
        for column, group in enumerate(self.groups):
            of[list(group)] = column
        return of


def _checked(labels: BoolArray) -> BoolArray:
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] != len(EMOTIONS) or labels.dtype != np.bool_:
        raise DataError(
            f"labels must be a boolean array of shape (N, {len(EMOTIONS)}): got dtype "
            f"{labels.dtype}, shape {labels.shape}"
        )
    empty = np.flatnonzero(~labels.any(axis=1))
    if len(empty):
        raise DataError(f"row {empty[0]} has no label: every text needs at least one")
    return labels


def _needs(array: npt.NDArray[Any] | None, what: str, rule: str) -> npt.NDArray[Any]:
    if array is None:
        raise DataError(
            f"dominance rule {rule!r} needs {what}: pass {what}= or choose another rule"
        )
    return array


def _pick(labels: BoolArray, rank: npt.NDArray[np.float64]) -> IntArray:
    """Pick each row's label of highest rank; neutral gives way to any emotion; ties: lower id."""
    rank = np.broadcast_to(rank, labels.shape).astype(float).copy()
    rank[:, NEUTRAL] = rank.min() - 1
    return np.asarray(np.where(labels, rank, -np.inf).argmax(axis=1))


def _frequent(labels: BoolArray, train_labels: BoolArray | None, votes: Any) -> IntArray:
    del votes
    counts = _needs(train_labels, "train_labels", "frequent").sum(axis=0)
    return _pick(labels, counts.astype(float))


def _rare(labels: BoolArray, train_labels: BoolArray | None, votes: Any) -> IntArray:
    del votes
    counts = _needs(train_labels, "train_labels", "rare").sum(axis=0)
    return _pick(labels, -counts.astype(float))


def _votes(labels: BoolArray, train_labels: BoolArray | None, votes: IntArray | None) -> IntArray:
    votes = _needs(votes, "votes", "votes")
    if votes.shape != labels.shape:
        raise DataError(f"votes must have the shape of labels {labels.shape}: got {votes.shape}")
    # Equal votes are settled by training frequency, which is always a fraction below one vote.
    counts = _needs(train_labels, "train_labels", "votes").sum(axis=0)
    return _pick(labels, votes + counts / (counts.sum() + 1.0))


def _first(labels: BoolArray, train_labels: Any, votes: Any) -> IntArray:
    del train_labels, votes
    return _pick(labels, -np.arange(len(EMOTIONS), dtype=float))


def _only(labels: BoolArray, train_labels: Any, votes: Any) -> IntArray:
    del train_labels, votes
    several = np.flatnonzero(labels.sum(axis=1) > 1)
    if len(several):
        raise DataError(
            f"row {several[0]} has several labels, which the rule 'only' drops: filter with Scheme.keeps"
        )
    return np.asarray(labels.argmax(axis=1))


Rule = Callable[[BoolArray, BoolArray | None, IntArray | None], IntArray]

DOMINANCE_RULES: dict[str, Rule] = {
    "votes": _votes,
    "frequent": _frequent,
    "rare": _rare,
    "first": _first,
    "only": _only,
}
"""The rules that pick one label of several. In every rule but ``only``, ``neutral`` gives way.

``votes``: most rater votes, ties to the label more frequent in training. ``frequent`` and
``rare``: most or least frequent in training. ``first``: lowest id, which is alphabetical.
``only``: texts with several labels are dropped.
"""


@cache
def scheme_names() -> tuple[str, ...]:
    """Return the names of all registered schemes, in the order of ``schemes.toml``."""
    return tuple(_registry())


@cache
def _registry() -> dict[str, dict[str, Any]]:
    text = resources.files(__package__).joinpath("schemes.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def get_scheme(name: str, dominance: str = "frequent") -> Scheme:
    """Look up a scheme.

    Parameters
    ----------
    name : str
        A name from `scheme_names`.
    dominance : str, default "frequent"
        How a multiclass scheme settles several labels; ignored by multilabel schemes.

    Returns
    -------
    Scheme

    Raises
    ------
    DataError
        If the scheme or the rule is unknown.

    Examples
    --------
    >>> get_scheme("sentiment").labels
    ('positive', 'negative', 'ambiguous', 'neutral')
    >>> get_scheme("simplified").dominance
    'frequent'
    """
    if name not in _registry():
        raise DataError(unknown_name("scheme", name, _registry()))
    if dominance not in DOMINANCE_RULES:
        raise DataError(unknown_name("dominance rule", dominance, DOMINANCE_RULES))
    entry = _registry()[name]
    groups = entry.get("groups", {emotion: [emotion] for emotion in EMOTIONS})
    return Scheme(
        name=name,
        kind=entry["kind"],
        labels=tuple(groups),
        groups=tuple(tuple(EMOTIONS.index(e) for e in group) for group in groups.values()),
        dominance=dominance if entry["kind"] == "multiclass" else None,
    )

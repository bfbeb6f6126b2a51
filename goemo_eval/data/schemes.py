"""Schemes: how a text's labels become the targets that an encoder is trained and scored on.

Which schemes there are, and what their classes stand for: `goemo_eval.data.groupings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goemo_eval.data.dominance import DOMINANCE_RULES, BoolArray, Counts, IntArray
from goemo_eval.data.goemotions import EMOTIONS, NEUTRAL
from goemo_eval.data.groupings import Groups, Kind, grouping_of
from goemo_eval.data.words import check_label_names, shown, shown_list
from goemo_eval.errors import DataError, unknown_name


@dataclass(frozen=True)
class Scheme:
    """A named way to turn labels into targets.

    Attributes
    ----------
    name : str
        As it stands in cell ids.
    kind : {"multilabel", "multiclass"}
        ``multilabel``: independent sigmoids; ``multiclass``: one softmax.
    labels : tuple of str, length K
        Class names in column order.
    groups : tuple of tuple of int, length K
        For each class the columns of the data set's labels that it stands for.
    dominance : str or None
        The rule that picks one label of several, see
        `goemo_eval.data.dominance`; None in multilabel schemes,
        and where no text has several.
    data_labels : tuple of str, length L
        The data set's labels.
    fallback : int or None
        The column of `data_labels` that gives way to the others under the rule.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    dominance: str | None
    data_labels: tuple[str, ...]
    fallback: int | None = None

    def facts(self) -> dict[str, Any]:
        """Return what decides the targets, as JSON can hold it: a part of keys."""
        return {
            "name": self.name,
            "kind": self.kind,
            "labels": list(self.labels),
            "groups": [[self.data_labels[column] for column in group] for group in self.groups],
            "dominance": self.dominance,
            "fallback": None if self.fallback is None else self.data_labels[self.fallback],
        }

    def keeps(self, labels: BoolArray) -> BoolArray:
        """Say which texts the scheme can use.

        Parameters
        ----------
        labels : ndarray of bool, shape (N, L)

        Returns
        -------
        ndarray of bool, shape (N,)
            False only under the rule ``only``, for texts with several labels.

        Raises
        ------
        DataError
            As in `targets`.
        """
        labels = self._checked(labels)
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
        labels : ndarray of bool, shape (N, L)
        train_labels : ndarray of bool, shape (M, L), optional
            Labels of the training split; the rules ``votes``, ``frequent`` and ``rare`` count
            them. Pass the same ones for every split, or the splits disagree.
        votes : ndarray of int, shape (N, L), optional
            Rater votes per label, for the rule ``votes``.

        Returns
        -------
        ndarray of bool, shape (N, K), or ndarray of int64, shape (N,)
            Multilabel targets, or class ids in ``[0, K)``.

        Raises
        ------
        DataError
            If the labels are not those of the data set, if a multiclass scheme meets a row
            without a label, if the rule lacks what it counts, or if ``only`` meets a text with
            several labels (drop those with `keeps` first).
        """
        labels = self._checked(labels)
        if self.kind == "multilabel":
            if all(len(group) == 1 for group in self.groups):
                return np.ascontiguousarray(labels[:, [column for (column,) in self.groups]])
            return np.stack([labels[:, list(group)].any(axis=1) for group in self.groups], axis=1)
        rule = DOMINANCE_RULES[self.dominance or "only"]
        picked = rule(labels, Counts(train_labels, votes, self.fallback))
        return self._class_of_label()[picked]

    def _class_of_label(self) -> IntArray:
        of = np.full(len(self.data_labels), -1, dtype=np.int64)
        for column, group in enumerate(self.groups):
            of[list(group)] = column
        return of

    def _checked(self, labels: BoolArray) -> BoolArray:
        labels = np.asarray(labels)
        wanted = len(self.data_labels)
        if labels.ndim != 2 or labels.shape[1] != wanted or labels.dtype != np.bool_:
            raise DataError(
                f"labels must be a boolean array of shape (N, {wanted}): got dtype "
                f"{labels.dtype}, shape {labels.shape}"
            )
        if self.kind == "multiclass":
            empty = np.flatnonzero(~labels.any(axis=1))
            if len(empty):
                raise DataError(
                    f"row {empty[0] + 1} has no label, as {len(empty):,} of {len(labels):,} rows: "
                    f"scheme {self.name!r} needs one in every row; use 'raw', leave those rows "
                    "out, or give them a label of their own"
                )
        return labels


def get_scheme(
    name: str,
    labels: Sequence[str] | None = None,
    *,
    dominance: str = "frequent",
    fallback: str | None = None,
    groups: Mapping[str, Groups] | None = None,
    single_label: bool = False,
) -> Scheme:
    """Return a scheme for a data set's labels.

    Parameters
    ----------
    name : str
        A name from `goemo_eval.data.groupings.scheme_names`.
    labels : sequence of str, length L, optional
        The data set's; GoEmotions' 28 by default.
    dominance : str, default "frequent"
        How a multiclass scheme settles several labels; ignored by multilabel schemes.
    fallback : str, optional
        The label that gives way to others under that rule; ``neutral`` with the default labels.
    groups : mapping of str to mapping of str to sequence of str, optional
        Groupings of the user's by name: class -> the labels that it stands for. A text belongs to
        a class when it carries any of them. They go before published groupings of the same name.
    single_label : bool, default False
        No text has several labels, so that there is nothing to settle.

    Returns
    -------
    Scheme

    Raises
    ------
    DataError
        If the scheme, the rule or the fallback is unknown, a grouping names what is no label, or
        a multiclass scheme would have one class.

    Examples
    --------
    >>> get_scheme("sentiment").labels
    ('positive', 'negative', 'ambiguous', 'neutral')
    >>> get_scheme("simplified").dominance
    'frequent'
    >>> get_scheme("raw", ["billing", "bug"]).labels
    ('billing', 'bug')
    """
    if labels is None:
        labels, fallback = EMOTIONS, fallback or NEUTRAL
    labels = check_label_names(labels, where="labels")
    if dominance not in DOMINANCE_RULES:
        raise DataError(unknown_name("dominance rule", dominance, DOMINANCE_RULES))
    if fallback is not None and fallback not in labels:
        raise DataError(f"fallback {shown(fallback)} is no label: they are {shown_list(labels)}")
    kind, grouping = grouping_of(name, labels, groups=groups or {})
    columns = {label: column for column, label in enumerate(labels)}
    picks = kind == "multiclass" and not single_label
    return Scheme(
        name=name,
        kind=kind,
        labels=tuple(grouping),
        groups=tuple(tuple(columns[label] for label in group) for group in grouping.values()),
        dominance=dominance if picks else None,
        data_labels=labels,
        fallback=columns[fallback] if picks and fallback is not None else None,
    )

"""Schemes: how a text's labels become the targets that an encoder is trained and scored on.

``raw`` and ``simplified`` are there for any labels. Groupings are data: GoEmotions' own
(``schemes.toml``), a run file's, or those of a package with the entry point
``goemo_eval.schemes``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

import numpy as np

from goemo_eval.data.dominance import DOMINANCE_RULES, BoolArray, Counts, IntArray
from goemo_eval.data.goemotions import EMOTIONS, NEUTRAL, is_goemotions
from goemo_eval.data.words import check_label_names, shown, shown_list
from goemo_eval.errors import DataError, unknown_name

Kind = Literal["multilabel", "multiclass"]
Groups = Mapping[str, Sequence[str]]
"""Class -> the labels that it stands for."""

ENTRY_POINTS = "goemo_eval.schemes"
BUILT_IN: dict[str, Kind] = {"raw": "multilabel", "simplified": "multiclass"}
"""The schemes whose classes are the labels themselves."""


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


def scheme_names(
    labels: Sequence[str] | None = None, *, groups: Mapping[str, Groups] | None = None
) -> tuple[str, ...]:
    """Return the names of the schemes that there are for some labels.

    Parameters
    ----------
    labels : sequence of str, optional
        The data set's; GoEmotions' by default.
    groups : mapping of str to mapping of str to sequence of str, optional
        Groupings of the user's.

    Examples
    --------
    >>> scheme_names()
    ('raw', 'simplified', 'ekman', 'sentiment')
    >>> scheme_names(["billing", "bug"], groups={"money": {"money": ["billing"]}})
    ('raw', 'simplified', 'money')
    """
    published = _published() if labels is None or is_goemotions(labels) else {}
    return tuple(dict.fromkeys([*BUILT_IN, *published, *(groups or {}), *_entry_points()]))


@cache
def _published() -> dict[str, dict[str, Any]]:
    text = resources.files(__package__).joinpath("schemes.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def published_fallback(labels: Sequence[str]) -> str | None:
    """Return the label that gives way where labels are GoEmotions', or one of its groupings'.

    Examples
    --------
    >>> published_fallback(["positive", "negative", "ambiguous", "neutral"])
    'neutral'
    """
    known = [set(EMOTIONS), *map(set, _published().values())]
    return NEUTRAL if set(labels) in known else None


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


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
        A name from `scheme_names`.
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
    kind, grouping = _grouping(name, labels, groups or {})
    columns = {label: column for column, label in enumerate(labels)}
    _check_grouping(name, kind, grouping, labels)
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


def _grouping(
    name: str, labels: tuple[str, ...], groups: Mapping[str, Groups]
) -> tuple[Kind, Groups]:
    """Return a scheme's kind and its classes."""
    if name in BUILT_IN:
        if name in groups:
            raise DataError(f"scheme {name!r} is built in: give the grouping another name")
        return BUILT_IN[name], {label: [label] for label in labels}
    if name in groups:
        return "multilabel", groups[name]
    if name in _published():
        if not is_goemotions(labels):
            raise DataError(
                f"scheme {name!r} groups GoEmotions' 28 labels, and these data have "
                f"{shown_list(labels, most=4)}: use raw or simplified, or give groups of your own"
            )
        return "multilabel", _published()[name]
    if name in _entry_points():
        return _from_entry_point(_entry_points()[name])
    raise DataError(unknown_name("scheme", name, scheme_names(labels, groups=groups)))


def _from_entry_point(point: EntryPoint) -> tuple[Kind, Groups]:
    """Load a package's scheme: a mapping with ``groups`` and, by choice, ``kind``."""
    try:
        table = point.load()
    except (ImportError, AttributeError) as error:
        raise DataError(
            f"scheme {point.name!r}: {point.value} cannot be loaded ({error}): install its package "
            "anew, or remove it"
        ) from error
    if not isinstance(table, Mapping) or not isinstance(table.get("groups"), Mapping):
        raise DataError(
            f"scheme {point.name!r} of {point.value} must be a mapping with 'groups': got "
            f"{shown(table)}"
        )
    kind = table.get("kind", "multilabel")
    if kind not in ("multilabel", "multiclass"):
        raise DataError(
            f"scheme {point.name!r} of {point.value}: kind must be multilabel or multiclass: got "
            f"{shown(kind)}"
        )
    return kind, table["groups"]


def _check_grouping(name: str, kind: Kind, grouping: Groups, labels: tuple[str, ...]) -> None:
    if not re.fullmatch(r"[a-z0-9_]{1,40}", name):
        raise DataError(
            f"scheme {shown(name)}: a name is of small letters, digits and _, since it is a word "
            "of ids"
        )
    if not isinstance(grouping, Mapping) or not grouping:
        raise DataError(
            f"scheme {name!r} must map each class to its labels, as {{money = ['billing']}}: got "
            f"{shown(grouping)}"
        )
    check_label_names(tuple(grouping), where=f"scheme {name!r}")
    if kind == "multiclass" and len(grouping) < 2:
        raise DataError(
            f"scheme {name!r} picks one class of several, and there is one: use raw, or two labels"
        )
    known = set(labels)
    owner: dict[str, str] = {}
    for group, members in grouping.items():
        _check_members(name, group, members, known, labels)
        for label in members:
            if label in owner and kind == "multiclass":
                raise DataError(
                    f"scheme {name!r}: label {label!r} is in {owner[label]!r} and in {group!r}, "
                    "and a text has one class: name it in one"
                )
            owner[label] = group
    if kind == "multiclass" and len(owner) < len(labels):
        left = [label for label in labels if label not in owner]
        raise DataError(
            f"scheme {name!r} has no class for {shown_list(left)}: every text needs one class"
        )


def _check_members(
    name: str, group: str, members: Sequence[str], known: set[str], labels: tuple[str, ...]
) -> None:
    where = f"scheme {name!r}, class {group!r}"
    if isinstance(members, str) or not isinstance(members, Sequence) or not members:
        raise DataError(f"{where}: must be a list of labels: got {shown(members)}")
    for label in members:
        if not isinstance(label, str) or label not in known:
            raise DataError(f"{where}: {shown(label)} is no label: they are {shown_list(labels)}")
    if len(set(members)) < len(members):
        raise DataError(f"{where}: a label is there twice: name each once")

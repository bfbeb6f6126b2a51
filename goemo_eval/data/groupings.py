"""Which schemes there are, and which labels each of their classes stands for.

``raw`` and ``simplified`` are there for any labels. Groupings are data: GoEmotions' own
(``schemes.toml``), a run file's, or those of a package with the entry point
``goemo_eval.schemes``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from goemo_eval.data.goemotions import EMOTIONS, NEUTRAL, is_goemotions
from goemo_eval.data.words import check_label_names, shown, shown_list
from goemo_eval.errors import DataError, unknown_name

Kind = Literal["multilabel", "multiclass"]
Groups = Mapping[str, Sequence[str]]
"""Class -> the labels that it stands for."""

ENTRY_POINTS = "goemo_eval.schemes"
BUILT_IN: dict[str, Kind] = {"raw": "multilabel", "simplified": "multiclass"}
"""The schemes whose classes are the labels themselves."""


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


def grouping_of(
    name: str, labels: tuple[str, ...], *, groups: Mapping[str, Groups]
) -> tuple[Kind, Groups]:
    """Return a scheme's kind and its classes, checked.

    Parameters
    ----------
    name : str
    labels : tuple of str, length L
        The data set's.
    groups : mapping of str to mapping of str to sequence of str
        Groupings of the user's by name; they go before published ones of the same name.

    Returns
    -------
    kind : {"multilabel", "multiclass"}
    grouping : mapping of str to sequence of str
        Class -> the labels that it stands for, in column order.

    Raises
    ------
    DataError
        If there is no such scheme for these labels, or its grouping names what is no label, a
        label twice, or leaves a multiclass scheme with one class or a label without.
    """
    kind, grouping = _find(name, labels, groups)
    _check_grouping(name, kind, grouping, labels)
    return kind, grouping


def _find(name: str, labels: tuple[str, ...], groups: Mapping[str, Groups]) -> tuple[Kind, Groups]:
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

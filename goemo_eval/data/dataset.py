"""A data set: texts with their labels, in three splits, with what makes it the same data again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from goemo_eval.data.goemotions import is_goemotions
from goemo_eval.data.notes import Notes
from goemo_eval.data.words import check_label_names, shown, shown_list
from goemo_eval.errors import DataError

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Texts with their labels.

    Attributes
    ----------
    name : {"train", "validation", "test"}
    texts : tuple of str, length N
    labels : ndarray of bool, shape (N, K)
        A row may have no label.
    ids : tuple of str, length N
        The texts' ids where the data have them, else row numbers from 1.
    sha256 : str
        Of the rows; see `rows_sha256`.
    votes : ndarray of int64, shape (N, K), or None
        Raters who chose each label, where the source knows them.
    """

    name: str
    texts: tuple[str, ...]
    labels: npt.NDArray[np.bool_]
    ids: tuple[str, ...]
    sha256: str
    votes: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"Split({self.name}, {len(self)} rows, sha256 {self.sha256[:12]})"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Texts in three splits, with their labels.

    Attributes
    ----------
    name : str
        As records name it.
    source : str
        ``sample``, ``goemotions``, ``hub:owner/name``, or the form of the files (``csv``, ...).
    revision : str or None
        The hub's pinned commit.
    labels : tuple of str, length K
        Columns of every split's labels.
    splits : mapping of str to Split
        ``train``, ``validation`` and ``test``.
    fallback : str or None
        The label that gives way to others where one of several must be picked, as ``neutral``.
    single_label : bool
        Every row has exactly one label.
    notes : Notes
    """

    name: str
    source: str
    revision: str | None
    labels: tuple[str, ...]
    splits: Mapping[str, Split]
    fallback: str | None = None
    single_label: bool = False
    notes: Notes = field(default_factory=Notes)

    def __repr__(self) -> str:
        rows = "/".join(str(len(split)) for split in self.splits.values())
        return f"Dataset({self.name}, {self.source}, {rows} rows, {len(self.labels)} labels)"


def rows_sha256(
    texts: Sequence[str],
    labels: npt.NDArray[np.bool_],
    ids: Sequence[str],
    *,
    label_names: Sequence[str],
    votes: npt.NDArray[np.int64] | None = None,
) -> str:
    """Return the identity of rows.

    GoEmotions' labels without votes: the sha256 of the rows in the published form (text, TAB, label
    ids, TAB, id), so that the published files have their own hash, whatever they were read from.
    Everything else: of a JSON line with the label names, then a JSON line for each row with its
    text, its label ids and, where there are votes, the row's votes. Ids of texts are no part of it.

    Parameters
    ----------
    texts : sequence of str, length N
    labels : ndarray of bool, shape (N, K)
    ids : sequence of str, length N
    label_names : sequence of str, length K
    votes : ndarray of int64, shape (N, K), optional

    Raises
    ------
    DataError
        If a text is not valid Unicode.
    """
    rows, columns = np.nonzero(labels)
    ends = np.cumsum(np.bincount(rows, minlength=len(texts))).tolist()
    flat = columns.tolist()
    starts = [0, *ends][:-1]
    published = is_goemotions(label_names) and votes is None
    digest = hashlib.sha256()
    if not published:
        digest.update(_json_line({"labels": list(label_names)}))
    for row, (text, start, end) in enumerate(zip(texts, starts, ends, strict=True)):
        own = flat[start:end]
        try:
            if published:
                line = f"{text}\t{','.join(map(str, own))}\t{ids[row]}\n".encode()
            elif votes is None:
                line = _json_line([text, own])
            else:
                line = _json_line([text, own, votes[row].tolist()])
        except UnicodeEncodeError:
            raise DataError(
                f"row {row + 1}: {shown(text)} holds half a surrogate pair: save the data as UTF-8"
            ) from None
        digest.update(line)
    return digest.hexdigest()


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _json_line(value: object) -> bytes:
    return (_encode(value) + "\n").encode()


def make_split(
    name: str,
    texts: Sequence[str],
    labels: npt.NDArray[np.bool_],
    ids: Sequence[str] | None = None,
    *,
    label_names: Sequence[str],
    votes: npt.NDArray[np.int64] | None = None,
) -> Split:
    """Build a split of rows that were already checked.

    Parameters
    ----------
    name : {"train", "validation", "test"}
    texts : sequence of str, length N
    labels : ndarray of bool, shape (N, K)
    ids : sequence of str, length N, optional
        Row numbers from 1 by default.
    label_names : sequence of str, length K
    votes : ndarray of int64, shape (N, K), optional

    Raises
    ------
    DataError
        If the shapes do not agree, or a text is not valid Unicode.

    Examples
    --------
    >>> split = make_split("test", ["It broke."], np.array([[True]]), label_names=["bug"])
    >>> len(split), split.ids
    (1, ('1',))
    """
    labels = np.asarray(labels)
    wanted = (len(texts), len(label_names))
    if labels.dtype != np.bool_ or labels.shape != wanted:
        raise DataError(
            f"the {name} split's labels must be boolean, of shape {wanted} (texts, labels): "
            f"got {labels.dtype}, {labels.shape}"
        )
    if votes is not None and votes.shape != wanted:
        raise DataError(f"the {name} split's votes must have shape {wanted}: got {votes.shape}")
    ids = tuple(map(str, range(1, len(texts) + 1))) if ids is None else tuple(ids)
    if len(ids) != len(texts):
        raise DataError(f"the {name} split has {len(texts)} texts and {len(ids)} ids")
    sha256 = rows_sha256(texts, labels, ids, label_names=label_names, votes=votes)
    return Split(name, tuple(texts), labels, ids, sha256, votes)


def take(split: Split, rows: npt.NDArray[np.int64], *, label_names: Sequence[str]) -> Split:
    """Return some rows of a split, in the order given."""
    return make_split(
        split.name,
        [split.texts[row] for row in rows],
        split.labels[rows],
        [split.ids[row] for row in rows],
        label_names=label_names,
        votes=None if split.votes is None else split.votes[rows],
    )


def subset(split: Split, rows: int, *, seed: int) -> Split:
    """Return random rows of a split, in their order.

    Parameters
    ----------
    split : Split
    rows : int
    seed : int

    Returns
    -------
    Split
        Its sha256 is of the split's own and the numbers of the rows.

    Raises
    ------
    DataError
        If the split has fewer rows, or none are asked for.
    """
    kept = random_rows(split, rows, seed=seed)
    identity = f"{split.sha256}\n{','.join(map(str, kept.tolist()))}\n"
    return Split(
        name=split.name,
        texts=tuple(split.texts[row] for row in kept),
        labels=split.labels[kept],
        ids=tuple(split.ids[row] for row in kept),
        sha256=hashlib.sha256(identity.encode()).hexdigest(),
        votes=None if split.votes is None else split.votes[kept],
    )


def random_rows(split: Split, rows: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the rows that `subset` takes, ascending."""
    if not 1 <= rows <= len(split):
        raise DataError(f"the {split.name} split has {len(split)} rows: cannot take {rows} of them")
    return np.sort(np.random.default_rng(seed).permutation(len(split))[:rows])


def make_dataset(
    splits: Mapping[str, Split],
    labels: Sequence[str],
    *,
    name: str,
    source: str,
    revision: str | None = None,
    fallback: str | None = None,
    drop_shared: bool = False,
    assumed: Sequence[str] = (),
) -> Dataset:
    """Put splits together: what must not be is refused, what should be known is counted.

    Parameters
    ----------
    splits : mapping of str to Split
        ``train``, ``validation`` and ``test``.
    labels : sequence of str, length K
    name, source : str
    revision : str, optional
    fallback : str, optional
        A label.
    drop_shared : bool, default False
        Leave rows out of train whose text stands in validation or test.
    assumed : sequence of str

    Raises
    ------
    DataError
        If a split is missing or has no rows or no text, if the test split has the texts of another
        one, or if labels or fallback are none.
    """
    labels = check_label_names(labels, where="labels")
    if tuple(splits) != SPLIT_NAMES:
        raise DataError(f"a data set has the splits {', '.join(SPLIT_NAMES)}: got {list(splits)}")
    if fallback is not None and fallback not in labels:
        raise DataError(
            f"fallback {shown(fallback)} is none of the labels: they are {shown_list(labels)}"
        )
    _check_splits(splits)
    train, dropped = splits["train"], 0
    if drop_shared:
        train = _without(train, {*splits["validation"].texts, *splits["test"].texts}, labels)
        dropped = len(splits["train"]) - len(train)
        splits = {**splits, "train": train}
    present = np.atleast_1d(train.labels.any(axis=0)).tolist()
    return Dataset(
        name=name,
        source=source,
        revision=revision,
        labels=labels,
        splits=splits,
        fallback=fallback,
        single_label=len(labels) > 1
        and all(bool((split.labels.sum(axis=1) == 1).all()) for split in splits.values()),
        notes=Notes(
            empty={n: sum(not text.strip() for text in s.texts) for n, s in splits.items()},
            unlabelled={n: int((~s.labels.any(axis=1)).sum()) for n, s in splits.items()},
            duplicates={n: len(s) - len(set(s.texts)) for n, s in splits.items()},
            shared=_shared(splits),
            dropped=dropped,
            absent=tuple(label for label, here in zip(labels, present, strict=True) if not here),
            assumed=tuple(assumed),
        ),
    )


def _check_splits(splits: Mapping[str, Split]) -> None:
    for name, split in splits.items():
        if not len(split):
            raise DataError(f"the {name} split has no rows: it needs at least one")
        if not any(map(str.strip, split.texts)):
            raise DataError(f"every text of the {name} split is empty: name the column with text=")
    for other in ("validation", "train"):
        check_apart(splits["test"].texts, splits[other].texts, other)


def check_apart(test: Sequence[str], texts: Sequence[str], other: str) -> None:
    """Refuse a test split that has the texts of another split, in whatever order."""
    if len(test) == len(texts) and Counter(test) == Counter(texts):
        raise DataError(
            f"the test split has the same texts as the {other} split: what is scored must not "
            "be what was chosen on; give each its own file, or one file to be split in three"
        )


def _without(train: Split, texts: Collection[str], labels: Sequence[str]) -> Split:
    kept = np.array([i for i, text in enumerate(train.texts) if text not in texts], dtype=np.int64)
    if not len(kept):
        raise DataError(
            "every text of the train split stands in validation or test: nothing is left to train "
            "on when shared texts are dropped"
        )
    return train if len(kept) == len(train) else take(train, kept, label_names=labels)


def _shared(splits: Mapping[str, Split]) -> dict[str, int]:
    texts = {name: set(split.texts) for name, split in splits.items()}
    return {
        f"{name} in {other}": sum(text in texts[other] for text in splits[name].texts)
        for name, other in (("validation", "train"), ("test", "train"), ("test", "validation"))
    }

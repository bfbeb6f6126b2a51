"""The one type of split, and the two forms in which rows are read: TSV files and hub tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from goemo_eval.data.labels import EMOTIONS
from goemo_eval.errors import DataError

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")
TSV_NAMES: dict[str, str] = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}


@dataclass(frozen=True, eq=False)
class Split:
    """Texts with their labels.

    Attributes
    ----------
    name : {"train", "validation", "test"}
    source : str
        ``sample``, ``hub`` or ``tsv``.
    revision : str or None
        Pinned hub revision, where the source has one.
    texts : tuple of str, length N
    labels : ndarray of bool, shape (N, 28)
        Columns in the published order (`goemo_eval.data.labels.EMOTIONS`).
    ids : tuple of str, length N
        Comment ids.
    sha256 : str
        Of the rows in the published three-column form, so that the same rows have the same
        hash whatever source they came from.
    votes : ndarray of int64, shape (N, 28), or None
        Rater votes per emotion, where the source has them.
    """

    name: str
    source: str
    revision: str | None
    texts: tuple[str, ...]
    labels: npt.NDArray[np.bool_]
    ids: tuple[str, ...]
    sha256: str
    votes: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"Split({self.name}, {self.source}, {len(self)} rows, sha256 {self.sha256[:12]})"


def make_split(
    name: str,
    source: str,
    rows: Iterable[tuple[str, Sequence[int], str]],
    *,
    revision: str | None = None,
    votes: npt.NDArray[np.int64] | None = None,
) -> Split:
    """Build a split from ``(text, label ids, comment id)`` rows that were already checked."""
    rows = list(rows)
    labels = np.zeros((len(rows), len(EMOTIONS)), dtype=bool)
    digest = hashlib.sha256()
    for row, (text, label_ids, comment_id) in enumerate(rows):
        labels[row, list(label_ids)] = True
        joined = ",".join(map(str, sorted(set(label_ids))))
        digest.update(f"{text}\t{joined}\t{comment_id}\n".encode())
    return Split(
        name=name,
        source=source,
        revision=revision,
        texts=tuple(text for text, _, _ in rows),
        labels=labels,
        ids=tuple(comment_id for _, _, comment_id in rows),
        sha256=digest.hexdigest(),
        votes=votes,
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
        With its own sha256.

    Raises
    ------
    DataError
        If the split has fewer rows.
    """
    if rows > len(split):
        raise DataError(f"the {split.name} split has {len(split)} rows: cannot take {rows} of them")
    kept = np.sort(np.random.default_rng(seed).permutation(len(split))[:rows])
    triples = (
        (split.texts[i], np.flatnonzero(split.labels[i]).tolist(), split.ids[i]) for i in kept
    )
    return make_split(
        split.name,
        split.source,
        triples,
        revision=split.revision,
        votes=None if split.votes is None else split.votes[kept],
    )


def parse_label_ids(field: str, where: str) -> list[int]:
    """Parse ``"3,10"`` into label ids.

    Raises
    ------
    DataError
        If the field is empty, holds something other than integers, or an id outside 0 to 27.
    """
    if not field.strip():
        raise DataError(f"{where}: empty label: expected label ids such as 3 or 3,10")
    ids = []
    for part in field.split(","):
        try:
            label_id = int(part)
        except ValueError:
            raise DataError(f"{where}: label {part!r} is not an integer id 0 to 27") from None
        if not 0 <= label_id < len(EMOTIONS):
            raise DataError(f"{where}: label id {label_id} is outside 0 to {len(EMOTIONS) - 1}")
        ids.append(label_id)
    return ids


def read_tsv(path: Path, name: str, *, source: str = "tsv") -> Split:
    """Read a split in the published form: text, TAB, comma-separated label ids, TAB, comment id.

    There is no header and no quoting: a ``"`` is a character of the text, and only a line feed
    ends a row (texts may hold other line separators of Unicode).

    Parameters
    ----------
    path : Path
    name : {"train", "validation", "test"}
    source : str
        What stands in `Split.source`.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If the file is missing or empty, or a row is malformed; file and line are named.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot read the {name} split ({error.strerror}): the directory must hold "
            f"{', '.join(TSV_NAMES.values())}"
        ) from None
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if not lines:
        raise DataError(f"{path}: the {name} split is empty: expected at least one row")
    return make_split(
        name, source, [_parse_row(line, f"{path}:{n}") for n, line in enumerate(lines, start=1)]
    )


def _parse_row(line: bytes, where: str) -> tuple[str, list[int], str]:
    try:
        fields = line.removesuffix(b"\r").decode("utf-8").split("\t")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: byte 0x{line[error.start]:02x} at column {error.start + 1} is not UTF-8: "
            "save the file as UTF-8"
        ) from None
    if len(fields) != 3:
        raise DataError(
            f"{where}: {len(fields)} columns: expected 3 (text, label ids, comment id) between tabs"
        )
    text, label_field, comment_id = fields
    if not text.strip():
        raise DataError(f"{where}: empty text: every row needs one")
    return text, parse_label_ids(label_field, where), comment_id

"""Tables as a data set: what their columns are, what their labels are called, how rows are dealt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from goemo_eval.data.dataset import Dataset, check_apart, make_dataset, make_split
from goemo_eval.data.goemotions import (
    AGREEING_RATERS,
    EMOTIONS,
    PUBLISHED_SHA256,
    RATER_COLUMNS,
    is_goemotions,
)
from goemo_eval.data.groupings import published_fallback
from goemo_eval.data.labelling import Columns, RawRows, Seen, read_rows
from goemo_eval.data.naming import name_labels
from goemo_eval.data.places import LABELS_FILE, Origin
from goemo_eval.data.readers.form import refuse_other_forms
from goemo_eval.data.readers.table import Table
from goemo_eval.data.stratify import split_rows
from goemo_eval.data.words import check_label_names, shown, shown_path
from goemo_eval.errors import DataError
from goemo_eval.files import read_text

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
"""Of one file's texts, for the splits that it is dealt to."""
FEWEST_TEXTS = 10
_MOST_NAMES_BYTES = 4 << 20


@dataclass(frozen=True)
class Asked:
    """What the caller says of the data; see `goemo_eval.data.sources.load_dataset`."""

    text: str = "text"
    labels: str | tuple[str, ...] = "labels"
    separator: str | None = None
    ids: str | None = None
    rater: str | None = None
    names: tuple[str, ...] | None = None
    names_from: str = "names"
    """Where `names` are from, for messages."""


class Part(NamedTuple):
    """Rows of one split, or of all of the data."""

    texts: Sequence[str]
    labels: npt.NDArray[np.bool_]
    ids: Sequence[str]
    votes: npt.NDArray[np.int64] | None = None

    def take(self, rows: npt.NDArray[np.int64]) -> Part:
        """Return some of the rows."""
        return Part(
            [self.texts[row] for row in rows],
            self.labels[rows],
            [self.ids[row] for row in rows],
            None if self.votes is None else self.votes[rows],
        )


def assemble(
    tables: Mapping[str, Sequence[Table]],
    origin: Origin,
    asked: Asked,
    *,
    name: str | None,
    seed: int,
    fallback: str | None,
    drop_shared: bool,
) -> Dataset:
    """Make a data set of tables.

    Parameters
    ----------
    tables : mapping of str to sequence of Table
        By split; ``train`` alone is all of the data.
    origin : Origin
    asked : Asked
    name : str or None
        Of the data set; its origin's by default.
    seed : int
        Of the split in three.
    fallback : str or None
    drop_shared : bool

    Raises
    ------
    DataError
        If the tables are no data set.
    """
    columns = {split: [columns_of(t, asked) for t in listed] for split, listed in tables.items()}
    read_as = {type(one.labels) for listed in columns.values() for one in listed}
    if len(read_as) > 1:
        raise DataError(
            "some files have one column of labels and others 0/1 columns: write one way"
        )
    seen: Seen = {}
    raw = {split: RawRows() for split in tables}
    for split, listed in tables.items():
        for table, own in zip(listed, columns[split], strict=True):
            read_rows(table, own, seen, raw[split])
        if not raw[split].texts:
            raise DataError(f"{listed[0].path}: the {split} split has no rows")
    first, own = tables["train"][0], columns["train"][0]
    assumed = [line for listed in tables.values() for table in listed for line in table.assumed]
    if own.rater is not None and asked.rater is None:
        assumed.append("these are GoEmotions' rater files: a row is one rater's")
    labels, column_numbers = _labels(
        first,
        own,
        seen,
        known=_known_names(first, own.labels, origin, asked),
        rows=sum(len(rows.texts) for rows in raw.values()),
        assumed=assumed,
    )
    if first.form == "lines":
        _check_no_header(first, raw["train"], seen)
    parts = {
        split: Part(rows.texts, rows.labels(column_numbers, len(labels)), rows.ids)
        for split, rows in raw.items()
    }
    if own.rater is not None:
        parts = {
            split: _join_raters(part, raw[split].raters, split, assumed)
            for split, part in parts.items()
        }
    parts = _deal(parts, seed, assumed)
    splits = {
        split: make_split(
            split, part.texts, part.labels, part.ids, label_names=labels, votes=part.votes
        )
        for split, part in parts.items()
    }
    published = {split: one.sha256 for split, one in splits.items()} == PUBLISHED_SHA256
    if published:
        assumed.clear()
    elif first.form == "published":
        assumed += _csv_quotes(raw)
    return make_dataset(
        splits,
        labels,
        name=name or ("goemotions" if published else origin.name),
        source=origin.source,
        revision=origin.revision,
        fallback=fallback or published_fallback(labels),
        drop_shared=drop_shared,
        assumed=assumed,
    )


def columns_of(table: Table, asked: Asked) -> Columns:
    """Return which columns of a table hold what: as asked, or as the table's form fixes it."""
    if table.form == "published":
        return Columns(asked.text, asked.labels, asked.ids or "id", separator=",")
    if asked.rater is None and asked.labels == Asked.labels and is_of_raters(table):
        return Columns("text", EMOTIONS, "id", "rater_id")
    return Columns(asked.text, asked.labels, asked.ids, asked.rater, asked.separator)


def _check_no_header(table: Table, rows: RawRows, seen: Seen) -> None:
    """Refuse lines of text;label whose first one has a label that no other line has."""
    label, (code, where) = next(iter(seen.items()))
    if where == table.where(1) and rows.codes.count(code) == 1 and len(rows.texts) >= 20:
        raise DataError(
            f"{where}: label {shown(label)} stands in the first line alone, as a header's would: take "
            "it out, or name the column of texts with text="
        )


def is_of_raters(table: Table) -> bool:
    """Say whether a table has the columns of GoEmotions' rater files."""
    return {*RATER_COLUMNS, *EMOTIONS} <= set(table.columns)


def _labels(
    table: Table,
    columns: Columns,
    seen: Seen,
    *,
    known: tuple[str, tuple[str, ...]] | None,
    rows: int,
    assumed: list[str],
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the data set's labels, and each token's column; see `name_labels`."""
    if not isinstance(columns.labels, str):
        return columns.labels, np.arange(len(columns.labels))
    if known is None and table.form == "published":
        if str(len(EMOTIONS) - 1) not in seen:
            raise DataError(
                f"{table.path}: no labels.txt beside it, and no row of any split has id "
                f"{len(EMOTIONS) - 1}, as GoEmotions' have: write the names of the ids into "
                "labels.txt, one a line, or pass names="
            )
        assumed.append("no labels.txt beside the files: ids are read as GoEmotions' 28")
        known = "GoEmotions' 28", EMOTIONS
    names_from, names = known or ("", None)
    return name_labels(
        seen,
        names=names,
        names_from=names_from,
        column=columns.labels,
        separator=columns.separator,
        rows=rows,
    )


def _known_names(
    table: Table, column: str | tuple[str, ...], origin: Origin, asked: Asked
) -> tuple[str, tuple[str, ...]] | None:
    """Return where the labels' names are written, and the names; 0/1 columns name themselves."""
    if not isinstance(column, str):
        return None
    if asked.names is not None:
        return asked.names_from, asked.names
    if origin.source == "sample":
        return "GoEmotions' 28", EMOTIONS
    found = {
        shown_path(directory / LABELS_FILE): read_names(directory / LABELS_FILE)
        for directory in origin.beside
        if (directory / LABELS_FILE).exists()
    }
    if column in table.label_names:
        found[table.path] = check_label_names(table.label_names[column], where=table.path)
    (first, names), *others = found.items() or [("", None)]
    if names is None:
        return None
    for other, differing in others:
        if differing != names:
            raise DataError(f"{first} and {other} name different labels: keep one of them")
    if table.form == "published" and set(names) == set(EMOTIONS) and not is_goemotions(names):
        at = next(i for i, name in enumerate(names) if name != EMOTIONS[i])
        raise DataError(
            f"{first}:{at + 1}: id {at} is {names[at]!r} here and {EMOTIONS[at]!r} in GoEmotions: "
            "write the ids in the published order, with its labels.txt"
        )
    return first, names


def read_names(path: Path) -> tuple[str, ...]:
    """Read names of labels from a file with a name a line; the line's number from 0 is the id.

    Raises
    ------
    DataError
        If it cannot be read, or a name is none.
    """
    content = read_text(path, error=DataError, most_bytes=_MOST_NAMES_BYTES)
    refuse_other_forms(content.encode(), shown_path(path))
    lines = [line.removesuffix("\r").strip(" \t") for line in content.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return check_label_names(lines, where=shown_path(path))


def _join_raters(part: Part, raters: Sequence[str], split: str, assumed: list[str]) -> Part:
    """Make one row of the rows of each id; a rater has one vote for a label."""
    unit_of: dict[str, int] = {}
    units = np.array([unit_of.setdefault(one, len(unit_of)) for one in part.ids])
    rater_of: dict[str, int] = {}
    numbers = np.array([rater_of.setdefault(one, len(rater_of)) for one in raters])
    first = np.unique(units, return_index=True)[1]
    for row, unit in enumerate(units.tolist()):
        if part.texts[row] != part.texts[first[unit]]:
            raise DataError(
                f"id {shown(part.ids[row])} has two texts, {shown(part.texts[first[unit]])} and "
                f"{shown(part.texts[row])}: raters vote on one text"
            )
    pairs = units * len(rater_of) + numbers
    order = np.argsort(pairs, kind="stable")
    _, starts = np.unique(pairs[order], return_index=True)
    ballots = np.logical_or.reduceat(part.labels[order], starts, axis=0)
    _, starts = np.unique(units[order][starts], return_index=True)
    votes = np.add.reduceat(ballots.astype(np.int64), starts, axis=0)
    labels = votes >= AGREEING_RATERS
    agreed = np.flatnonzero(labels.any(axis=1))
    if len(agreed) < len(labels):
        assumed.append(
            f"{split}: {len(labels) - len(agreed):,} of {len(labels):,} texts left out, on which no "
            f"{AGREEING_RATERS} raters agreed"
        )
    if not len(agreed):
        raise DataError(f"the {split} split has no text on which {AGREEING_RATERS} raters agreed")
    texts = [part.texts[row] for row in first]
    return Part(texts, labels, [part.ids[row] for row in first], votes).take(agreed)


def _deal(parts: Mapping[str, Part], seed: int, assumed: list[str]) -> dict[str, Part]:
    """Deal train's rows to the splits that have none of their own."""
    names = [split for split in SHARES if split == "train" or split not in parts]
    if len(names) == 1:
        return {split: parts[split] for split in SHARES}
    train = parts["train"]
    if "test" in parts:
        check_apart(parts["test"].texts, train.texts, "train")
    if len(set(train.texts)) < FEWEST_TEXTS:
        raise DataError(
            f"{len(set(train.texts))} different texts: at least {FEWEST_TEXTS} are dealt to "
            f"{', '.join(names)}"
        )
    shares = [SHARES[split] for split in names]
    dealt = split_rows(
        train.texts, train.labels, shares=[share / sum(shares) for share in shares], seed=seed
    )
    found = {split: train.take(rows) for split, rows in zip(names, dealt, strict=True)}
    sizes = "/".join(str(len(part.texts)) for part in found.values())
    assumed.append(
        f"rows of one file dealt to {', '.join(names)} ({sizes}), each with its share of every label, "
        f"seed {seed}"
    )
    return {split: found.get(split) or parts[split] for split in SHARES}


def _csv_quotes(raw: Mapping[str, RawRows]) -> list[str]:
    count = sum(
        text.startswith('"') and text.endswith('"') and '""' in text
        for rows in raw.values()
        for text in rows.texts
    )
    line = (
        f"{count:,} texts look quoted as CSV quotes texts: rows without a header are read as "
        "published, where quotes are text"
    )
    return [line] if count else []

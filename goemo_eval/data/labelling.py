"""Cells of labels as columns of an array.

A cell may hold a list of names or ids, names between separators, one name, one id, or there is a
0/1 column for each label. Reading collects what stands in the cells, with the place where each
first stood; `goemo_eval.data.naming` then says what the columns are.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.data.readers.table import MOST_CHARACTERS, Table, check_cell
from goemo_eval.data.words import MOST_LABELS, shown
from goemo_eval.errors import DataError

Token = str | int
"""What a cell says of one label: its name, or its id (as an integer, or in digits)."""

MOST_CELLS = 2_000_000_000
UNLABELLED = "; -1 marks rows that were never labelled: leave them out"
_LIST = re.compile(r"\s*[\[{(].*[\])}]\s*", re.DOTALL)
FLAGS: dict[Any, bool] = {
    1: True,  # and true, and 1.0
    0: False,
    **dict.fromkeys(("1", "1.0", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "0.0", "false", "False", "FALSE"), False),
}
"""What a cell of a 0/1 column may hold."""


@dataclass(frozen=True)
class Columns:
    """Which columns hold what.

    Attributes
    ----------
    text : str
    labels : str or tuple of str
        The one column of labels, or the 0/1 columns.
    ids : str or None
    rater : str or None
        Of who gave a row's labels: rows with the same id are then votes on one text.
    separator : str or None
        Between the labels of a cell.
    """

    text: str
    labels: str | tuple[str, ...]
    ids: str | None = None
    rater: str | None = None
    separator: str | None = None

    @property
    def wanted(self) -> list[str]:
        """The columns in the order in which `read_rows` takes their cells."""
        optional = [name for name in (self.ids, self.rater) if name is not None]
        labels = [self.labels] if isinstance(self.labels, str) else [*self.labels]
        return [self.text, *optional, *labels]


@dataclass
class RawRows:
    """Rows whose labels are numbers of tokens in the order in which they were met."""

    texts: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    raters: list[str] = field(default_factory=list)
    codes: array[int] = field(default_factory=lambda: array("q"))
    lengths: array[int] = field(default_factory=lambda: array("q"))

    def labels(self, columns_of: npt.NDArray[np.int64], labels: int) -> npt.NDArray[np.bool_]:
        """Return the labels as an array of shape (N, K)."""
        if len(self.texts) * labels > MOST_CELLS:
            raise DataError(
                f"{len(self.texts):,} rows of {labels:,} labels: rows times labels may be "
                f"{MOST_CELLS:,} at most"
            )
        out = np.zeros((len(self.texts), labels), dtype=bool)
        rows = np.repeat(np.arange(len(self.texts)), np.asarray(self.lengths, dtype=np.int64))
        if len(rows):
            out[rows, columns_of[np.asarray(self.codes, dtype=np.int64)]] = True
        return out


Seen = dict[Token, tuple[int, str]]
"""Token -> its number and the place where it first stood."""


def read_rows(table: Table, columns: Columns, seen: Seen, into: RawRows) -> None:
    """Read a table's rows.

    Parameters
    ----------
    table : Table
    columns : Columns
    seen : dict
        Grows by the tokens that are new.
    into : RawRows
        Grows by the rows.

    Raises
    ------
    DataError
        If a column is missing or a cell is not as it must be; the place is named.
    """
    if isinstance(columns.labels, tuple):  # the columns are the labels
        for number, name in enumerate(columns.labels):
            seen.setdefault(name, (number, table.path))
    optional = sum(name is not None for name in (columns.ids, columns.rater))
    for number, cells in table.read(columns.wanted):
        where = table.where(number)
        into.texts.append(_text(cells[0], columns.text, where))
        into.ids.append(
            str(len(into.texts)) if columns.ids is None else _key(cells[1], columns.ids, where)
        )
        if columns.rater is not None:
            into.raters.append(_key(cells[optional], columns.rater, where))
        before = len(into.codes)
        if isinstance(columns.labels, tuple):
            _flags(cells[1 + optional :], columns.labels, into.codes, where)
        else:
            _tokens(cells[-1], columns, seen, into.codes, where)
        into.lengths.append(len(into.codes) - before)


def _text(cell: Any, column: str, where: str) -> str:
    if not isinstance(cell, str):
        raise DataError(f"{where}: column {shown(column)} must hold texts: got {shown(cell)}")
    return check_cell(cell, where=where)


def _key(cell: Any, column: str, where: str) -> str:
    if isinstance(cell, int) and not isinstance(cell, bool) and abs(cell) < 10**30:
        return str(cell)
    if not isinstance(cell, str) or not cell.isprintable():
        raise DataError(
            f"{where}: column {shown(column)} must hold ids, integers or printable characters: got "
            f"{shown(cell)}"
        )
    return check_cell(cell, where=where)


def _flags(cells: Sequence[Any], labels: Sequence[str], codes: array[int], where: str) -> None:
    for code, cell in enumerate(cells):
        try:
            flag = FLAGS.get(cell)
        except TypeError:  # a list, an object
            flag = None
        if flag is None:
            raise DataError(
                f"{where}: column {shown(labels[code])} must hold 0 or 1: got {shown(cell)}"
                + (UNLABELLED if cell in (-1, "-1") else "")
            )
        if flag:
            codes.append(code)


def _tokens(cell: Any, columns: Columns, seen: Seen, codes: array[int], where: str) -> None:
    assert isinstance(columns.labels, str)  # else _flags
    try:
        tokens = _split(cell, columns.separator)
    except ValueError as problem:
        raise DataError(f"{where}: column {shown(columns.labels)}: {problem}") from None
    for token in tokens:
        found = seen.get(token)
        if found is None:
            if len(seen) >= MOST_LABELS:
                raise DataError(
                    f"{where}: column {shown(columns.labels)} holds more than {MOST_LABELS:,} labels: "
                    "name the column of labels with labels=, and what is between the labels of a "
                    "cell with separator="
                )
            found = seen[token] = (len(seen), where)
        codes.append(found[0])
    if len(set(tokens)) < len(tokens):
        raise DataError(
            f"{where}: column {shown(columns.labels)}: {shown(cell)} has a label twice: name each "
            "once"
        )


def _split(cell: Any, separator: str | None) -> Sequence[Token]:
    """Return the tokens of a cell; what is wrong with it is raised as a ValueError."""
    if isinstance(cell, str):
        return _split_text(cell, separator)
    if cell is None:
        return []
    if isinstance(cell, int) and not isinstance(cell, bool):
        return [cell]
    if not isinstance(cell, (list, tuple)):
        raise ValueError(f"labels must be a list, a text or an integer: got {shown(cell)}")
    tokens: list[Token] = []
    for item in cell:
        if isinstance(item, str):
            tokens.append(_name(item))
        elif isinstance(item, int) and not isinstance(item, bool):
            tokens.append(item)
        else:
            raise ValueError(f"a list of labels holds names or ids: got {shown(item)}")
    return tokens


def _split_text(cell: str, separator: str | None) -> Sequence[Token]:
    if not cell or cell.isspace():
        return []
    if len(cell) > MOST_CHARACTERS:
        raise ValueError(f"{len(cell):,} characters of labels: at most {MOST_CHARACTERS:,}")
    if separator is not None:
        return [_name(part) for part in cell.split(separator)]
    if _LIST.fullmatch(cell):
        raise ValueError(
            f"{shown(cell)} is a list written as text: write labels as billing,bug with "
            "separator=',', or save the data as JSON lines or parquet"
        )
    return [_name(cell)]


def _name(text: str) -> str:
    name = text.strip()
    if not name:
        raise ValueError("an empty label: a separator stands between two labels")
    if "\0" in name or not name.isprintable():
        raise ValueError(f"label {shown(name)} holds what cannot be printed: take it out")
    return name

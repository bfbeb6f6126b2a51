"""Cells of labels as columns of an array.

A cell may hold a list of names or ids, names between separators, one name, one id, or there is a
0/1 column for each label. Reading collects what stands in the cells, with the place where each
first stood; `name_labels` then says what the columns are.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.data.readers.table import MOST_CHARACTERS, Table, check_cell
from goemo_eval.data.words import MOST_LABELS, check_label_names, shown, shown_list
from goemo_eval.errors import DataError

Token = str | int
"""What a cell says of one label: its name, or its id (as an integer, or in digits)."""

MOST_CELLS = 2_000_000_000
SEPARATORS = (",", ";", "|", "/", "\t")
_UNLABELLED = "; -1 marks rows that were never labelled: leave them out"
_ID = re.compile(r"0|[1-9][0-9]{0,8}")
_LIST = re.compile(r"\s*[\[{(].*[\])}]\s*", re.DOTALL)
_FLAGS: dict[Any, bool] = {
    1: True,  # and true, and 1.0
    0: False,
    **dict.fromkeys(("1", "1.0", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "0.0", "false", "False", "FALSE"), False),
}


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
            flag = _FLAGS.get(cell)
        except TypeError:  # a list, an object
            flag = None
        if flag is None:
            raise DataError(
                f"{where}: column {shown(labels[code])} must hold 0 or 1: got {shown(cell)}"
                + (_UNLABELLED if cell in (-1, "-1") else "")
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


def name_labels(
    seen: Mapping[Token, tuple[int, str]],
    *,
    names: Sequence[str] | None,
    names_from: str,
    column: str,
    separator: str | None,
    rows: int,
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Say what the columns of labels are, and which token belongs to which.

    Parameters
    ----------
    seen : mapping of token to (number, place)
    names : sequence of str, optional
        The labels, where they are known: a token is one of them, or its position among them.
        Without them the tokens are names, and the labels are those that there are, sorted.
    names_from : str
        Where the names come from, as messages say it.
    column : str
        The column of labels, as messages name it.
    separator : str or None
    rows : int
        Number of rows that the tokens come from.

    Returns
    -------
    labels : tuple of str, length K
    columns_of : ndarray of int64, length of `seen`
        Each token's column, by its number.

    Raises
    ------
    DataError
        If a token is no label, or names look like several labels, like ids, or like texts.
    """
    columns_of = np.zeros(len(seen), dtype=np.int64)
    if names is None:
        names = _found_names(seen, column=column, separator=separator, rows=rows)
    by_token = _token_columns(seen, names, names_from)
    for token, (number, _) in seen.items():
        columns_of[number] = by_token[token]
    return tuple(names), columns_of


def _token_columns(
    seen: Mapping[Token, tuple[int, str]], names: Sequence[str], names_from: str
) -> dict[Token, int]:
    columns: dict[Token, int] = {name: number for number, name in enumerate(names)}
    if any(
        map(_is_id, names)
    ):  # names that are numbers are names, or 0 and "0" would be two things
        seen = {str(token): place for token, place in seen.items()}
        columns |= {int(name): number for name, number in columns.items() if _is_id(name)}
    elif not all(token in columns for token in seen):
        return _id_columns(seen, names, names_from)
    for token, (_, where) in seen.items():
        if token not in columns:
            raise DataError(
                f"{where}: label {shown(token)} is none of {names_from}: {shown_list(names)}"
            )
    return columns


def _id_columns(
    seen: Mapping[Token, tuple[int, str]], names: Sequence[str], names_from: str
) -> dict[Token, int]:
    found: dict[Token, int] = {}
    for token, (_, where) in seen.items():
        if isinstance(token, str) and not _looks_like_id(token):
            other = "is a name, and other rows hold what is" if token in names else "is"
            raise DataError(
                f"{where}: label {shown(token)} {other} none of {names_from}: {shown_list(names)}"
            )
        found[token] = _id(token, len(names), names_from, where)
    return found


def _is_id(token: Token) -> bool:
    return isinstance(token, int) or _ID.fullmatch(token) is not None


def _looks_like_id(token: str) -> bool:
    """Say whether a text was meant as a number, though it may be none that is read."""
    return any(character.isdigit() for character in token) and not any(
        character.isalpha() for character in token
    )


def _id(token: Token, labels: int, names_from: str, where: str) -> int:
    if not _is_id(token):
        raise DataError(
            f"{where}: label {shown(token)} is no id: ids are written in the digits 0 to 9, as 3 or "
            "3,10"
        )
    number = int(token)
    if not 0 <= number < labels:
        raise DataError(
            f"{where}: label id {shown(token)} is outside 0 to {labels - 1}, the ids of {names_from}"
            + (_UNLABELLED if number == -1 else "")
        )
    return number


def _found_names(
    seen: Mapping[Token, tuple[int, str]], *, column: str, separator: str | None, rows: int
) -> tuple[str, ...]:
    if not seen:
        raise DataError(f"column {shown(column)} holds no label in any row: name it with labels=")
    first = next(iter(seen))
    if all(map(_is_id, seen)):
        raise DataError(
            f"{seen[first][1]}: label {shown(first)} is an id, and nothing says what it stands for: "
            "write labels.txt beside the file, a name a line, or pass names="
        )
    number = next((token for token in seen if isinstance(token, int)), None)
    if number is not None:
        raise DataError(
            f"{seen[number][1]}: label {shown(number)} is an integer, and other rows have names: "
            "write one or the other"
        )
    names = sorted(map(str, seen))
    _check_alike(names, seen)
    if separator is None:
        _check_several(names, seen)
        if rows >= 20 and len(names) > rows / 2:
            raise DataError(
                f"column {shown(column)} has {len(names):,} labels in {rows:,} rows, such as "
                f"{shown(names[0])}: name the column of labels with labels=, or what is between "
                "labels with separator="
            )
    return check_label_names(names, where=f"column {shown(column)}")


def _check_alike(names: Sequence[str], seen: Mapping[Token, tuple[int, str]]) -> None:
    folded: dict[str, str] = {}
    for name in names:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(
                f"{seen[name][1]}: label {shown(name)} is {shown(other)} but for its capitals: write "
                "it one way, or pass names= with both"
            )


def _check_several(names: Sequence[str], seen: Mapping[Token, tuple[int, str]]) -> None:
    """Refuse names that are made of other names: one column may hold several labels a row."""
    whole = set(names)
    for separator in SEPARATORS:
        parts_of = {
            name: {part.strip() for part in name.split(separator)}
            for name in names
            if separator in name
        }
        known = Counter(part for parts in parts_of.values() for part in parts)
        known.update(names)
        for name, parts in parts_of.items():
            if parts & whole or all(known[part] > 1 for part in parts):
                raise DataError(
                    f"{seen[name][1]}: {shown(name)} looks like several labels: pass "
                    f"separator={separator!r}, or names= to say that it is one"
                )

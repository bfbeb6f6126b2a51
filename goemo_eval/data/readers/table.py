"""What every form is read into: columns by name, rows one after another, bounds on all of it.

Files come from anyone, so that each reader stops at the first thing that is not as it must be, and
names the file and the line. Limits are far above what a text classifier reads, and far below what
a machine holds: a text of 131,072 characters is some two hundred pages.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from goemo_eval.data.words import shown, shown_list
from goemo_eval.errors import DataError

MOST_BYTES = 2 << 30
MOST_LINE_BYTES = 1 << 20
MOST_ROWS = 20_000_000
MOST_COLUMNS = 20_000
MOST_CHARACTERS = 131_072
"""Of one cell; the limit of Python's csv module, and so the limit of every form."""

Form = Literal["published", "csv", "tsv", "lines", "jsonl", "parquet", "hub"]
Rows = Iterator[tuple[int, Sequence[Any]]]
"""Line or row number, and the wanted cells of the row."""


@dataclass(frozen=True)
class Table:
    """A file as columns and rows.

    Attributes
    ----------
    path : str
        As messages name it.
    form : str
    columns : tuple of str
    read : callable
        Takes the names of the wanted columns and returns an iterator of `Rows`.
    label_names : mapping of str to tuple of str
        Column -> the names of the ids that it holds, where the file says so.
    assumed : tuple of str
    """

    path: str
    form: Form
    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Rows]
    label_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()

    def where(self, number: int) -> str:
        """Return the place of a row as messages name it."""
        if self.form in ("parquet", "hub"):
            return f"{self.path}: row {number}"
        return f"{self.path}:{number}"


def check_columns(columns: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Return the names of a table's columns.

    Raises
    ------
    DataError
        If there are none or too many, or a name is there twice.
    """
    if not 1 <= len(columns) <= MOST_COLUMNS:
        raise DataError(f"{where}: {len(columns):,} columns: there may be 1 to {MOST_COLUMNS:,}")
    if len(set(columns)) < len(columns):
        twice = max(columns, key=columns.count)
        raise DataError(f"{where}: column {shown(twice)} is there twice: name each column once")
    return tuple(columns)


def column_numbers(columns: Sequence[str], wanted: Sequence[str], *, where: str) -> list[int]:
    """Return the positions of the wanted columns.

    Raises
    ------
    DataError
        If one is missing; what there is is listed.
    """
    at = {name: number for number, name in enumerate(columns)}
    for name in wanted:
        if name not in at:
            raise DataError(
                f"{where}: no column {shown(name)}: the columns are {shown_list(columns)}; name "
                "them with text=, labels= and ids="
            )
    return [at[name] for name in wanted]


def lines_of(content: bytes, *, path: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file with their numbers and their line ends.

    Only a line feed ends a line: texts may hold other line separators of Unicode.

    Raises
    ------
    DataError
        If a line is too long, holds NUL, or is not UTF-8.
    """
    stream = io.BytesIO(content)
    for number in count(1):
        line = stream.readline(MOST_LINE_BYTES + 1)
        if not line:
            return
        where = f"{path}:{number}"
        if number > MOST_ROWS:
            raise DataError(f"{where}: more than {MOST_ROWS:,} lines: take a part of the data")
        if len(line) > MOST_LINE_BYTES:
            raise DataError(
                f"{where}: a line longer than {MOST_LINE_BYTES:,} bytes: one row stands on a line, "
                "and encoders read a few hundred words of it"
            )
        if b"\0" in line:
            raise DataError(
                f"{where}: NUL at column {line.index(0) + 1}: save the file as UTF-8 text"
            )
        try:
            yield number, line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{where}: byte 0x{line[error.start]:02x} at column {error.start + 1} is not "
                "UTF-8: save the file as UTF-8"
            ) from None


def check_cell(cell: str, *, where: str) -> str:
    """Return a text cell.

    Raises
    ------
    DataError
        If it is too long, or holds NUL or half a surrogate pair.
    """
    if len(cell) > MOST_CHARACTERS:
        raise DataError(
            f"{where}: a text of {len(cell):,} characters: at most {MOST_CHARACTERS:,} are read; "
            "cut it, since encoders read a few hundred words"
        )
    if not cell.isascii():
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{where}: {shown(cell)} holds half a surrogate pair at character "
                f"{error.start + 1}: save the data as UTF-8"
            ) from None
    if "\0" in cell:
        raise DataError(f"{where}: {shown(cell)} holds NUL: take it out")
    return cell

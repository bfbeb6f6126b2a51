"""Rows between commas, semicolons or tabs: with a header, or in one of two forms without.

``published``: text, TAB, comma-separated label ids, TAB, id, as GoEmotions is published. There is
no header and no quoting: a ``"`` is a character of the text.
``lines``: text, ``;``, label. The last semicolon of a line counts.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence

from goemo_eval.data.readers.table import (
    Form,
    Rows,
    Table,
    check_columns,
    column_numbers,
    lines_of,
)
from goemo_eval.data.words import shown, shown_list
from goemo_eval.errors import DataError

PUBLISHED = ("text", "labels", "id")
LINES = ("text", "labels")
DELIMITERS = {".csv": ",;\t", ".tsv": "\t", ".tab": "\t"}
"""By the file's ending, in the order in which they are tried; else tab, semicolon, comma."""
_IDS = re.compile(r"[^A-Za-z]*[0-9][^A-Za-z]*")
"""What stands for ids, rightly or not: a header has letters there."""
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def open_delimited(content: bytes, *, path: str, suffix: str, text: str) -> Table:
    """Tell the form of a file of delimited rows.

    Parameters
    ----------
    content : bytes
        Without a byte order mark.
    path : str
        As messages name the file.
    suffix : str
        The file's ending, such as ``.csv``.
    text : str
        A first row with this name is a header.

    Raises
    ------
    DataError
        If the first row is neither a header nor a row of a form without one.
    """
    first = next(lines_of(content, path=path), (0, ""))[1]
    delimiters = DELIMITERS.get(suffix, "\t;,")
    for delimiter in delimiters:
        if text in _header(first, delimiter):
            return _with_header(content, path=path, delimiter=delimiter)
    fields = first.rstrip("\r\n").split("\t")
    if suffix != ".csv" and len(fields) > 1 and _IDS.fullmatch(fields[1]):
        return _published(content, path=path)
    if suffix not in DELIMITERS and first.count(";") == 1:
        return _lines(content, path=path)
    delimiter = max(delimiters, key=first.count)
    columns = shown_list(map(shown, _header(first, delimiter)))
    raise DataError(
        f"{path}:1: no column {shown(text)}: the first row holds {columns}; name the column of "
        "texts with text=, or write rows of text, label ids such as 3,10 and id between tabs"
    )


def first_row(content: bytes, *, path: str, suffix: str) -> list[str]:
    """Return the first row as its most frequent delimiter divides it."""
    first = next(lines_of(content, path=path), (0, ""))[1]
    delimiters = DELIMITERS.get(suffix, "\t;,")
    return _header(first, max(delimiters, key=first.count))


def _header(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return line.rstrip("\r\n").split(delimiter)


def _with_header(content: bytes, *, path: str, delimiter: str) -> Table:
    quoted = delimiter != "\t" or _is_quoted(content, path=path)
    form: Form = "tsv" if delimiter == "\t" else "csv"

    def rows() -> Iterator[tuple[int, list[str]]]:
        if quoted:
            return _quoted_rows(content, path=path, delimiter=delimiter)
        return _plain_rows(content, path=path, delimiter=delimiter)

    _, header = next(rows())
    columns = check_columns(header, where=f"{path}:1")

    def read(wanted: Sequence[str]) -> Rows:
        numbers = column_numbers(columns, wanted, where=path)
        found = rows()
        next(found)
        for line, fields in found:
            if len(fields) != len(columns):
                raise DataError(
                    f"{path}:{line}: {len(fields)} columns: the header has {len(columns)}"
                    + ("; a text with a separator or a quote in it must be quoted" * quoted)
                )
            yield line, [fields[number] for number in numbers]

    assumed = (
        (f"{path}: quotes are read as CSV's" if quoted else f"{path}: quotes are text")
        if delimiter == "\t" and b'"' in content
        else None
    )
    return Table(path, form, columns, read, assumed=(assumed,) if assumed else ())


def _quoted_rows(content: bytes, *, path: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file with the line that each begins on; blank lines are passed over."""
    lines = (line for _, line in lines_of(content, path=path))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        began = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{path}:{began}: no row of CSV ({_shown(error)}): a quoted text ends with a quote, and a "
                "quote inside it is doubled"
            ) from None
        if fields is None:
            return
        if fields:
            yield began, fields


def _shown(error: csv.Error) -> str:
    return str(error).replace("\t", r"\t")


def _plain_rows(content: bytes, *, path: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines_of(content, path=path):
        if stripped := _without_end(line):
            yield number, stripped.split(delimiter)


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _is_quoted(content: bytes, *, path: str) -> bool:
    """Say whether the quotes of a TSV file are CSV's: every field with one is quoted as CSV quotes.

    TSV is written both ways, and a file says nothing of it. What pandas or a spreadsheet wrote has no
    quote outside a quoted field; tweets that were written as they are soon have one.
    """
    if b'"' not in content:
        return False
    width = None
    for _, line in lines_of(content, path=path):
        if width is None:
            width = line.count("\t")
        if '"' not in line:
            continue
        fields = _without_end(line).split("\t")
        if len(fields) - 1 != width:  # a quoted field runs over a tab or a line's end
            return line.count('"') % 2 == 1 or _QUOTED.search(line) is not None
        if not all(_QUOTED.fullmatch(field) for field in fields if '"' in field):
            return False
    return True


def _published(content: bytes, *, path: str) -> Table:
    def read(wanted: Sequence[str]) -> Rows:
        numbers = column_numbers(PUBLISHED, wanted, where=path)
        for number, line in lines_of(content, path=path):
            fields = _without_end(line).split("\t")
            if len(fields) != len(PUBLISHED):
                hint = "; the quotes of a CSV are text here" if '"' in line else ""
                raise DataError(
                    f"{path}:{number}: {len(fields)} columns: expected 3 (text, label ids, id) "
                    f"between tabs{hint}"
                )
            yield number, [fields[number] for number in numbers]

    return Table(path, "published", PUBLISHED, read)


def _lines(content: bytes, *, path: str) -> Table:
    def read(wanted: Sequence[str]) -> Rows:
        numbers = column_numbers(LINES, wanted, where=path)
        for number, line in lines_of(content, path=path):
            text, semicolon, label = _without_end(line).rpartition(";")
            if not semicolon:
                raise DataError(
                    f"{path}:{number}: no semicolon in {shown(_without_end(line))}: a row is text;label"
                )
            fields = (text, label)
            yield number, [fields[number] for number in numbers]

    return Table(path, "lines", LINES, read)

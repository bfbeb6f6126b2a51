"""A file opened as a table, whatever its form."""

from __future__ import annotations

from pathlib import Path

from goemo_eval.data.readers.delimited import first_row, open_delimited
from goemo_eval.data.readers.jsonl import open_jsonl
from goemo_eval.data.readers.parquet import open_parquet
from goemo_eval.data.readers.table import MOST_BYTES, Table
from goemo_eval.data.words import shown_path
from goemo_eval.errors import DataError
from goemo_eval.files import read_regular

SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
_BOM = b"\xef\xbb\xbf"
_REFUSED = {
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
    b"\x1f\x8b": "is compressed with gzip: unpack it",
    b"PK\x03\x04": "is a ZIP archive or a spreadsheet: save it as CSV",
    b"version https://git-lfs": "is a pointer of Git LFS: fetch the file with git lfs pull",
}


def open_table(path: Path, *, text: str) -> Table:
    """Open a file as a table.

    Parameters
    ----------
    path : Path
        Ends in one of `SUFFIXES`. The ending says parquet or JSON lines; the first row says which
        of the other forms.
    text : str
        The column of texts: a first row with this name is a header.

    Raises
    ------
    DataError
        If the file cannot be read, or its form is none of these.
    """
    where, suffix = shown_path(path), path.suffix.lower()
    content = _checked(path)
    if suffix == ".parquet" or content.startswith(b"PAR1"):
        return open_parquet(content, path=where)
    if suffix in (".jsonl", ".ndjson", ".json"):
        return open_jsonl(content, path=where)
    return open_delimited(content, path=where, suffix=suffix, text=text)


def open_unknown(path: Path) -> Table:
    """Open a file of which nobody said which column holds the texts; see `open_table`.

    What can be read without a header is; else the first row is one.
    """
    try:
        return open_table(path, text="text")
    except DataError:
        where, suffix = shown_path(path), path.suffix.lower()
        if suffix not in (".csv", ".tsv", ".tab", ".txt"):
            raise
        row = first_row(_checked(path), path=where, suffix=suffix)
        if len(row) < 2:
            raise
        return open_table(path, text=row[0])


def refuse_other_forms(content: bytes, where: str) -> None:
    """Refuse what is known by its first bytes and is neither text in UTF-8 nor parquet.

    Raises
    ------
    DataError
    """
    for magic, what in _REFUSED.items():
        if content.startswith(magic):
            raise DataError(f"{where}: {what}")


def _checked(path: Path) -> bytes:
    """Return a file's content without a byte order mark, if it can be of any form."""
    where, suffix = shown_path(path), path.suffix.lower()
    content = _read(path)
    refuse_other_forms(content, where)
    if suffix not in SUFFIXES:
        raise DataError(
            f"{where}: ending {suffix!r} says no form that is read here: {', '.join(SUFFIXES)}"
        )
    content = content.removeprefix(_BOM)
    if not content or content.isspace():
        raise DataError(f"{where}: the file is empty: expected at least one row")
    return content


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, error=DataError, most_bytes=MOST_BYTES)
    except ValueError as problem:  # a path with NUL in it
        if isinstance(problem, DataError):
            raise
        raise DataError(f"{shown_path(path)}: no file can have this name") from None

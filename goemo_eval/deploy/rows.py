"""Texts of a file or of standard input, row by row, and predictions as lines of a file.

Files are read as bytes, line by line: whatever is wrong is told with the number of its line.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from goemo_eval.deploy.bundle import Prediction
from goemo_eval.errors import DataError, unknown_name

LONGEST_LINE = 1 << 24
"""Bytes of a line, and characters of a CSV field: what is longer is no text."""
Form = Literal["text", "csv", "jsonl"]
FORMS: tuple[Form, ...] = ("text", "csv", "jsonl")
_DIGITS = 6
_BOM = b"\xef\xbb\xbf"

ToLine = Callable[[int, Prediction], str]
"""A row's number, from 1, and what was predicted -> its line, with its end."""


def form_of(path: str, *, default: Form) -> Form:
    """Return a file's form by its ending: ``.csv``, ``.jsonl`` (``.ndjson``), ``.txt``, or the default."""
    ending = Path(path).suffix.lower()
    known: dict[str, Form] = {
        ".csv": "csv",
        ".jsonl": "jsonl",
        ".ndjson": "jsonl",
        ".txt": "text",
    }
    return known.get(ending, default)


def read_texts(lines: IO[bytes], form: str, *, column: str, source: str) -> Iterator[str]:
    """Yield the texts of an open file.

    Parameters
    ----------
    lines : binary file
    form : {"text", "csv", "jsonl"}
        One text a line, the empty one included; or rows with a column, blank lines left out.
    column : str
        Of CSV and JSONL, that holds the text.
    source : str
        Of the file, for messages.

    Raises
    ------
    DataError
        If a line is not UTF-8, too long or malformed, or holds no text; it is named.
    """
    if form not in FORMS:
        raise DataError(unknown_name("format", form, FORMS))
    decoded = _decoded(lines, source)
    if form == "text":
        return (line.rstrip("\r\n") for line in decoded)
    if form == "jsonl":
        return _jsonl_texts(decoded, column, source)
    return _csv_texts(decoded, column, source)


def _decoded(lines: IO[bytes], source: str) -> Iterator[str]:
    number = 0
    while line := lines.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise DataError(f"{source}: line {number}: longer than {LONGEST_LINE:,} bytes")
        if number == 1:
            line = line.removeprefix(_BOM)
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{source}: line {number}: byte 0x{line[error.start]:02x} at offset {error.start} is not UTF-8: "
                "save the file as UTF-8"
            ) from None


def _csv_texts(lines: Iterator[str], column: str, source: str) -> Iterator[str]:
    csv.field_size_limit(LONGEST_LINE)
    reader = csv.reader(lines, strict=True)
    begins = 1
    try:
        head = next(reader, None)
        if head is None:
            return
        if head.count(column) != 1:
            found = "no column" if column not in head else "two columns"
            raise DataError(
                f"{source}: {found} {column!r}: it has {', '.join(head[:20])}; pass --text COLUMN"
            )
        at = head.index(column)
        begins = reader.line_num + 1
        for row in reader:
            if row and len(row) != len(head):
                raise DataError(
                    f"{source}: line {begins}: {len(row)} columns: expected {len(head)}, as the head has"
                )
            begins = reader.line_num + 1
            if row:
                yield row[at]
    except csv.Error as error:
        raise DataError(f"{source}: row that begins in line {begins}: not CSV ({error})") from None


def _jsonl_texts(lines: Iterator[str], column: str, source: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry: Any = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"{source}: line {number}: not JSON") from None
        if not isinstance(entry, dict) or column not in entry:
            raise DataError(f"{source}: line {number}: no {column!r}: pass --text COLUMN")
        if not isinstance(entry[column], str):
            raise DataError(
                f"{source}: line {number}: {column!r} is {type(entry[column]).__name__}: expected a string"
            )
        yield entry[column]


def head_of(form: Form, labels: Sequence[str]) -> str:
    """Return what stands before the first row of an output: the names of CSV's columns, or nothing."""
    return _csv_line(["row", "labels", *labels]) if form == "csv" else ""


def to_lines(form: Form, labels: Sequence[str], *, top: int | None) -> ToLine:
    """Return the function that makes a row's line.

    Parameters
    ----------
    form : {"text", "csv", "jsonl"}
        ``jsonl``: an object of row, labels and scores. ``csv``: row, labels joined by a comma, and a
        column a label with its score. ``text``: the labels with their scores, as on a terminal.
    labels : sequence of str
        In the bundle's order.
    top : int, optional
        Only the scores of the so many most probable labels; all by default.
    """

    def as_json(row: int, found: Prediction) -> str:
        entry = {"row": row, **json_of(found, top)}
        return json.dumps(entry, ensure_ascii=False) + "\n"

    def as_csv(row: int, found: Prediction) -> str:
        shown = found.scores if top is None else found.top(top)
        scores = [round(shown[k], _DIGITS) if k in shown else "" for k in labels]
        return _csv_line([row, ",".join(found.labels), *scores])

    def as_text(row: int, found: Prediction) -> str:
        del row
        return text_of(found, top) + "\n"

    return {"jsonl": as_json, "csv": as_csv, "text": as_text}[form]


def json_of(found: Prediction, top: int | None) -> dict[str, Any]:
    """Return a prediction as values for JSON."""
    scores = found.scores if top is None else found.top(top)
    return {
        "labels": found.labels,
        "scores": {label: round(score, _DIGITS) for label, score in scores.items()},
    }


def text_of(found: Prediction, top: int | None) -> str:
    """Return a prediction in a line: the predicted labels, or the so many most probable."""
    shown = found.top(top) if top else {label: found.scores[label] for label in found.labels}
    parts = (f"{_printable(label)} {score:.3f}" for label, score in shown.items())
    return ", ".join(parts) or "(no label)"


def _csv_line(values: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(
        [_printable(v) if isinstance(v, str) else v for v in values]
    )
    return line.getvalue()


def _printable(label: str) -> str:
    """Return a label that keeps to its line, and cannot steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in label)

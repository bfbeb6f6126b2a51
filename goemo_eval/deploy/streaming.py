"""Predictions of any number of rows in flat memory: read, predict and write, a stretch at a time."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from goemo_eval.deploy.bundle import Bundle
from goemo_eval.errors import DataError
from goemo_eval.progress import progress

STRETCH = 8192
"""Rows that are batched together. Logits of INT8 depend on what shares a batch: a run that is resumed
begins at a stretch's first row, so that it gives the bits of an undisturbed one."""
LONGEST_LINE = 1 << 24
"""Bytes of a line: a longer one is no text."""
STANDARD = "-"
Form = Literal["text", "csv", "jsonl"]


def form_of(path: str) -> Form:
    """Return how a file is read, by its ending: ``.csv``, ``.jsonl``, or one text a line."""
    ending = Path(path).suffix.lower()
    return "csv" if ending == ".csv" else "jsonl" if ending in (".jsonl", ".ndjson") else "text"


def predict_file(
    bundle: Bundle,
    source: str,
    target: str,
    *,
    column: str = "text",
    form: Form | None = None,
    top: int | None = None,
    resume: bool = False,
) -> int:
    """Predict every row of a file.

    Parameters
    ----------
    bundle : Bundle
    source, target : str
        Paths, or ``-`` for the standard streams.
    column : str
        Of a CSV or JSONL file, that holds the text.
    form : {"text", "csv", "jsonl"}, optional
        By the source's ending by default.
    top : int, optional
        Write only the so many most probable labels' scores; all by default.
    resume : bool
        Go on behind the stretches that are whole in `target`.

    Returns
    -------
    int
        Rows written by this call.

    Raises
    ------
    DataError
        If a row is malformed or a text cannot be read; file and row are named.
    """
    done = 0
    if resume:
        if STANDARD in (source, target):
            raise DataError("--resume needs files: standard streams cannot be taken up again")
        done = _keep_whole_stretches(Path(target))
    written = 0
    with _opened(source, "r") as lines, _opened(target, "a" if resume else "w") as out:
        rows = _texts(lines, form or form_of(source), column, source)
        for _ in range(done):
            if next(rows, None) is None:
                raise DataError(f"{target}: holds more rows than {source}: leave --resume out")
        with progress(desc="predicting", unit="text") as bar:
            while stretch := _take(rows, STRETCH):
                _check(stretch, done + written, source)
                out.write("".join(_lines(bundle, stretch, done + written, top)))
                out.flush()
                written += len(stretch)
                bar.update(len(stretch))
    return written


def _take(rows: Iterator[str], count: int) -> list[str]:
    return [text for _, text in zip(range(count), rows, strict=False)]


def _check(texts: list[str], start: int, source: str) -> None:
    for offset, text in enumerate(texts):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"{source}: row {start + offset + 1}: cannot be written as UTF-8 ({error.reason})"
            ) from None


def _lines(bundle: Bundle, texts: list[str], start: int, top: int | None) -> Iterator[str]:
    for row, found in enumerate(bundle.predict(texts), start=start + 1):
        scores = found.scores
        if top is not None:
            scores = dict(sorted(scores.items(), key=lambda item: -item[1])[:top])
        entry = {
            "row": row,
            "labels": found.labels,
            "scores": {label: round(score, 6) for label, score in scores.items()},
        }
        yield json.dumps(entry, ensure_ascii=False) + "\n"


def _keep_whole_stretches(path: Path) -> int:
    """Cut an output off behind its last whole stretch, and return the rows that stay."""
    if not path.exists():
        return 0
    ends = [0]
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            ends.append(ends[-1] + len(line))
    rows = (len(ends) - 1) // STRETCH * STRETCH
    os.truncate(path, ends[rows])
    return rows


@contextmanager
def _opened(path: str, mode: Literal["r", "w", "a"]) -> Iterator[IO[str]]:
    if path == STANDARD:
        stream = sys.stdin if mode == "r" else sys.stdout
        if mode == "r":
            stream = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline="")
        yield stream
        return
    file = Path(path)
    try:
        if mode == "r" and not file.is_file():
            raise DataError(f"{path}: no regular file: pass a file, or - for standard input")
        with file.open(
            mode, encoding="utf-8-sig" if mode == "r" else "utf-8", newline=""
        ) as opened:
            yield opened
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason}): save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def _texts(lines: IO[str], form: Form, column: str, source: str) -> Iterator[str]:
    if form == "csv":
        return _csv_texts(lines, column, source)
    if form == "jsonl":
        return _jsonl_texts(lines, column, source)
    return (line.rstrip("\r\n") for line in _bounded(lines, source))


def _bounded(lines: IO[str], source: str) -> Iterator[str]:
    number = 0
    while line := lines.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise DataError(f"{source}: line {number}: longer than {LONGEST_LINE:,} characters")
        yield line


def _csv_texts(lines: IO[str], column: str, source: str) -> Iterator[str]:
    csv.field_size_limit(LONGEST_LINE)
    reader = csv.reader(_bounded(lines, source), strict=True)
    try:
        head = next(reader, None)
        if head is None:
            return
        if column not in head:
            raise DataError(
                f"{source}: no column {column!r}: it has {', '.join(head[:20])}; pass --text"
            )
        at = head.index(column)
        for row in reader:
            if len(row) != len(head):
                raise DataError(
                    f"{source}: line {reader.line_num}: {len(row)} columns: expected {len(head)}"
                )
            yield row[at]
    except csv.Error as error:
        raise DataError(f"{source}: line {reader.line_num}: not CSV ({error})") from None


def _jsonl_texts(lines: IO[str], column: str, source: str) -> Iterator[str]:
    for number, line in enumerate(_bounded(lines, source), start=1):
        try:
            entry: Any = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"{source}: line {number}: not JSON") from None
        text = entry.get(column) if isinstance(entry, dict) else None
        if not isinstance(text, str):
            raise DataError(f"{source}: line {number}: no text in {column!r}; pass --text")
        yield text

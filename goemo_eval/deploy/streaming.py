"""Predictions of any number of rows in flat memory: read, predict and write, a stretch at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Literal, NamedTuple

from goemo_eval.deploy.bundle import Bundle, check_texts
from goemo_eval.deploy.rows import LONGEST_LINE, Form, form_of, head_of, read_texts, to_lines
from goemo_eval.errors import DataError
from goemo_eval.progress import progress

STRETCH = 8192
"""Rows that share batches. A run that is resumed begins with a stretch, and so gives the bits of an
undisturbed one. A test split of no more rows is decided as it was scored."""
STRETCH_CHARACTERS = 1 << 23
"""A stretch of long texts ends before they are more: memory stays flat."""
STANDARD = "-"
_AT_ONCE = 512  # rows that are turned into lines


class Stretch(NamedTuple):
    """Texts that share batches, and the row of the first of them, from 1."""

    first_row: int
    texts: list[str]


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
        Paths, or ``-`` for the standard streams. What is written has a line a row, in the form that the
        target's ending says: ``.csv``, ``.txt``, else JSON lines.
    column : str, default "text"
        Of a CSV or JSONL source, that holds the text.
    form : {"text", "csv", "jsonl"}, optional
        Of the source; by its ending by default, else one text a line.
    top : int, optional
        Write only the so many most probable labels' scores; all by default.
    resume : bool, default False
        Go on behind the stretches that are whole in `target`. What would not have been written by the same
        call is refused.

    Returns
    -------
    int
        Rows written by this call.

    Raises
    ------
    DataError
        If a row is malformed or a text cannot be read (file and row are named), or `target` cannot be
        written or gone on with. What was written before stays.
    """
    if STANDARD in (source, target):
        if resume:
            raise DataError("--resume needs files: standard streams cannot be taken up again")
    elif _is_same(Path(source), Path(target)):
        raise DataError(f"{target}: is the input: write to another file")
    job = _Job(bundle, source, target, form_of(target, default="jsonl"), top)
    with _reading(source) as lines:
        texts = read_texts(
            lines, form or form_of(source, default="text"), column=column, source=source
        )
        stretches = stretches_of(texts)
        if resume and Path(target).exists():
            with _writing(target, "r+b") as out:
                return _write(job, _take_up(job, stretches, out), out)
        stretches = _begun(stretches)
        with _writing(target) as out:
            out.write(job.head())
            return _write(job, stretches, out)


def _begun(stretches: Iterator[Stretch]) -> Iterator[Stretch]:
    """Read the first: a mistake in the source's first rows must not cost what stands in the target."""
    return chain(list(islice(stretches, 1)), stretches)


def stretches_of(texts: Iterator[str]) -> Iterator[Stretch]:
    """Yield texts in stretches, whose ends depend on the texts alone."""
    row, characters = 1, 0
    held: list[str] = []
    for text in texts:
        if held and (len(held) == STRETCH or characters + len(text) > STRETCH_CHARACTERS):
            yield Stretch(row, held)
            row, held, characters = row + len(held), [], 0
        held.append(text)
        characters += len(text)
    if held:
        yield Stretch(row, held)


class _Job(NamedTuple):
    """What is predicted, and how it is written."""

    bundle: Bundle
    source: str
    target: str
    form: Form
    top: int | None

    def head(self) -> bytes:
        return head_of(self.form, self.bundle.info.labels).encode()

    def lines(self, stretch: Stretch) -> Iterator[bytes]:
        """Yield the lines of a stretch, some at a time.

        Scores as Python's own numbers, and lines, take fifty times the memory of logits.
        """
        try:
            check_texts(stretch.texts, first_row=stretch.first_row)
        except DataError as error:
            raise DataError(f"{self.source}: {error}") from None
        to_line = to_lines(self.form, self.bundle.info.labels, top=self.top)
        logits = self.bundle.logits(stretch.texts)
        for start in range(0, len(logits), _AT_ONCE):
            found = self.bundle.predictions(logits[start : start + _AT_ONCE])
            rows = enumerate(found, start=stretch.first_row + start)
            yield "".join(to_line(row, prediction) for row, prediction in rows).encode()


def _write(job: _Job, stretches: Iterator[Stretch], out: IO[bytes]) -> int:
    written = 0
    with progress(desc="predicting", unit="text") as bar:
        for stretch in stretches:
            out.writelines(job.lines(stretch))
            out.flush()
            written += len(stretch.texts)
            bar.update(len(stretch.texts))
    return written


def _take_up(job: _Job, stretches: Iterator[Stretch], out: IO[bytes]) -> Iterator[Stretch]:
    """Cut an output off behind its last whole stretch, and return the stretches that are missing.

    The last rows that stand there are predicted again and compared: another bundle, source or option
    gives others.
    """
    head = job.head()
    begun = out.read(len(head))
    if begun != head:
        _check(job, head.startswith(begun), "it begins otherwise")
        out.seek(0)
        out.truncate()
        out.write(head)
    last: _Held | None = None
    for stretch in stretches:
        at = out.tell()
        is_whole = _pass_lines(out, len(stretch.texts))
        held = _Held(stretch, at, out.tell())
        if is_whole:
            last = held
            continue
        _check_rows(job, out, held if held.end > at else last)
        out.seek(at)
        out.truncate()
        return chain([stretch], stretches)
    _check(job, not out.read(1), f"it has more rows than {job.source}")
    _check_rows(job, out, last)
    return iter(())


class _Held(NamedTuple):
    """A stretch of which an output holds lines, and where they begin and end."""

    stretch: Stretch
    begin: int
    end: int


def _check_rows(job: _Job, out: IO[bytes], held: _Held | None) -> None:
    if held is None:
        return
    out.seek(held.begin)
    left = held.end - held.begin
    for expected in job.lines(held.stretch):
        found = out.read(min(left, len(expected)))
        left -= len(found)
        is_ours = expected.startswith(found)
        _check(job, is_ours, f"rows from {held.stretch.first_row} on differ")
    _check(job, not left, f"rows from {held.stretch.first_row} on differ")


def _check(job: _Job, is_ours: bool, otherwise: str) -> None:
    if not is_ours:
        raise DataError(
            f"{job.target}: was not written by this call ({otherwise}): pass the same bundle, input and "
            "options, or leave --resume out and begin anew"
        )


def _pass_lines(file: IO[bytes], count: int) -> bool:
    """Pass over the next lines of a file; say whether there were as many, all of them whole."""
    return all(file.readline(LONGEST_LINE).endswith(b"\n") for _ in range(count))


def _is_same(source: Path, target: Path) -> bool:
    return source.exists() and target.exists() and source.samefile(target)


@contextmanager
def _reading(path: str) -> Iterator[IO[bytes]]:
    if path == STANDARD:
        yield sys.stdin.buffer
        return
    # A pipe is read like a file; a directory cannot be.
    if not Path(path).exists() or Path(path).is_dir():
        raise DataError(f"{path}: no such file: pass a file, or - for standard input")
    with _openable(path).open("rb") as file:
        yield file


def _openable(path: str) -> Path:
    if not os.access(path, os.R_OK):
        raise DataError(f"{path}: cannot be read: not allowed")
    return Path(path)


@contextmanager
def _writing(path: str, mode: Literal["wb", "r+b"] = "wb") -> Iterator[IO[bytes]]:
    """Open a target; what the disk refuses, then and later, is one line."""
    if path == STANDARD:
        sys.stdout.flush()
        yield sys.stdout.buffer
        return
    try:
        with Path(path).open(mode) as file:
            yield file
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None

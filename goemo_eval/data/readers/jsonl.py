"""One JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from goemo_eval.data.readers.table import Rows, Table, check_columns, column_numbers, lines_of
from goemo_eval.data.words import shown
from goemo_eval.errors import DataError


def open_jsonl(content: bytes, *, path: str) -> Table:
    """Open JSON lines; the keys of the first object are the columns, which every other one has, too.

    Raises
    ------
    DataError
        If the first line is no object.
    """
    _, first = next(_objects(content, path=path), (0, None))
    if first is None:
        raise DataError(f"{path}: the file is empty: expected an object on each line")
    columns = check_columns(list(first), where=f"{path}:1")

    def read(wanted: Sequence[str]) -> Rows:
        column_numbers(columns, wanted, where=path)
        for number, row in _objects(content, path=path):
            try:
                yield number, [row[name] for name in wanted]
            except KeyError as error:
                raise DataError(
                    f"{path}:{number}: no key {shown(error.args[0])}: every object has it"
                ) from None

    return Table(path, "jsonl", columns, read)


def _objects(content: bytes, *, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in lines_of(content, path=path):
        if line.isspace():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_once, parse_constant=_no_number)
        except RecursionError:
            raise DataError(f"{path}:{number}: nested too deeply: a row is a flat object") from None
        except ValueError as error:
            hint = "; write one object a line, and no list around them" if number == 1 else ""
            raise DataError(f"{path}:{number}: not JSON ({str(error)[:120]}){hint}") from None
        if not isinstance(row, dict):
            raise DataError(
                f"{path}:{number}: {shown(row)} is no object: write one object a line, such as "
                '{"text": "...", "labels": ["..."]}'
            )
        yield number, row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")

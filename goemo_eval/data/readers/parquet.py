"""Parquet files. They pack well: what they unpack to is bounded while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from goemo_eval.data.readers.table import (
    MOST_BYTES,
    MOST_CHARACTERS,
    MOST_ROWS,
    Rows,
    Table,
    check_columns,
    column_numbers,
)
from goemo_eval.errors import DataError

_BATCH = 1024


def open_parquet(content: bytes, *, path: str) -> Table:
    """Open a parquet file; ids of a column that `datasets` wrote have the names written with it.

    Raises
    ------
    DataError
        If it is no parquet file, or holds too much.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _errors_of_arrow(path):
        file = pq.ParquetFile(pa.BufferReader(content))
        rows, schema = file.metadata.num_rows, file.schema_arrow
    if rows > MOST_ROWS:
        raise DataError(f"{path}: {rows:,} rows: at most {MOST_ROWS:,} are read")
    columns = check_columns(schema.names, where=path)

    def read(wanted: Sequence[str]) -> Rows:
        column_numbers(columns, wanted, where=path)
        words = [
            name
            for name in wanted
            if pa.types.is_string(schema.field(name).type)
            or pa.types.is_large_string(schema.field(name).type)
        ]
        with _errors_of_arrow(path):
            # as dictionaries, a text that stands a million times is held once
            file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=words)
            number = total = 0
            for batch in file.iter_batches(_BATCH, columns=list(dict.fromkeys(wanted))):
                for name in words:
                    _check_lengths(batch.column(name), f"{path}, column {name!r}")
                cells = [batch.column(name).to_pylist() for name in wanted]
                total += _size(cells)
                if total > MOST_BYTES:
                    raise DataError(f"{path}: unpacks to more than {MOST_BYTES:,} bytes")
                for row in zip(*cells, strict=True):
                    number += 1
                    yield number, row

    return Table(path, "parquet", columns, read, label_names=_label_names(schema))


@contextmanager
def _errors_of_arrow(path: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, MemoryError) as error:
        what = str(error).partition("\n")[0][:160]
        raise DataError(f"{path}: cannot be read as parquet ({what!a}): write it anew") from None


def _check_lengths(column: Any, where: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    words = column.dictionary if pa.types.is_dictionary(column.type) else column
    longest = pc.max(pc.binary_length(words)).as_py() or 0
    if longest > 4 * MOST_CHARACTERS:
        raise DataError(
            f"{where}: a text of {longest:,} bytes: at most {MOST_CHARACTERS:,} characters are read"
        )


def _size(cells: Sequence[Sequence[Any]]) -> int:
    return sum(
        len(cell) if isinstance(cell, (str, bytes, list)) else 8
        for column in cells
        for cell in column
    )


def _label_names(schema: Any) -> dict[str, tuple[str, ...]]:
    """Return the names of label ids that `datasets` writes into a file."""
    if b"huggingface" not in (schema.metadata or {}):
        return {}
    from datasets import Features

    try:
        features = Features.from_arrow_schema(schema)
    except (ValueError, KeyError, TypeError, AttributeError):  # the file's own words, of any kind
        return {}
    return names_of_features(features)


def names_of_features(features: Any) -> dict[str, tuple[str, ...]]:
    """Return column -> label names, of the features of a `datasets.Dataset`."""
    found = {}
    for column, feature in features.items():
        names = getattr(getattr(feature, "feature", feature), "names", None)
        if names:
            found[column] = tuple(names)
    return found

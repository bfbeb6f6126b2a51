"""Files of records: ``records.json``, and the same records inside pytest-benchmark's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen
from goemo_eval.records.schema import SCHEMA_VERSION, Record


class Provenance(Frozen):
    """What a file of records says of itself; reports made of it say the same."""

    title: str | None = None
    command: str | None = None
    """The command that made the records."""


def dump_records(records: Iterable[Record], provenance: Provenance | None = None) -> str:
    """Return records as the text of a ``records.json``, sorted by cell id."""
    entries = [r.model_dump(mode="json") for r in sorted(records, key=lambda r: r.cell.id)]
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    if provenance:
        content["provenance"] = provenance.model_dump(mode="json")
    content["records"] = entries
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def read_records(path: str | Path) -> list[Record]:
    """Read records from a ``records.json`` or from pytest-benchmark's JSON.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    list of Record
        Sorted by cell id, one per cell.

    Raises
    ------
    RecordError
        If the file is missing, is neither form, is of another schema, a record is malformed, or
        two records of one cell differ.
    """
    path = Path(path)
    content = _read_json(path)
    records: dict[str, Record] = {}
    for where, entry in _entries(content, path):
        try:
            record = Record.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(map(str, first["loc"])) or "record"
            raise RecordError(
                f"{path}: {where}: {at}: {first['msg']} (this goemo_eval reads schema {SCHEMA_VERSION})"
            ) from None
        # pytest-benchmark's rows repeat their cell's record; two that differ contradict each other.
        if records.setdefault(record.cell.id, record) != record:
            raise RecordError(
                f"{path}: {where}: another record of cell {record.cell.id} precedes it"
            )
    if not records:
        raise RecordError(
            f"{path}: holds no goemo records: run pytest bench --benchmark-json={path.name}"
        )
    return [records[cell] for cell in sorted(records)]


def read_provenance(path: str | Path) -> Provenance:
    """Read what a file of records says of itself; of pytest-benchmark's JSON, nothing.

    Raises
    ------
    RecordError
        If the file is missing, no JSON, or its provenance is malformed.
    """
    path = Path(path)
    content = _read_json(path)
    entry = content.get("provenance") if isinstance(content, dict) else None
    try:
        return Provenance.model_validate(entry or {})
    except ValidationError as error:
        raise RecordError(f"{path}: provenance: {error.errors()[0]['msg']}") from None


def join_records(paths: Sequence[str | Path]) -> tuple[list[Record], Provenance]:
    """Read records of several runs as one, say of more seeds or of another machine's encoders.

    Parameters
    ----------
    paths : sequence of str or Path
        One or more files of records; pytest-benchmark's JSON, too.

    Returns
    -------
    list of Record
        Sorted by cell id, one per cell.
    Provenance
        The first title that a file has, and every command.

    Raises
    ------
    RecordError
        As `read_records` and `read_provenance`; also if two files hold different records of one
        cell, or were measured on different data.
    """
    records: dict[str, tuple[Record, str | Path]] = {}
    for path in paths:
        for record in read_records(path):
            held, where = records.setdefault(record.cell.id, (record, path))
            if held != record:
                raise RecordError(
                    f"{path}: another record of cell {record.cell.id} is in {where}: leave one of them out"
                )
            first, where = next(iter(records.values()))
            if record.data.splits != first.data.splits:
                raise RecordError(
                    f"{path}: {record.cell.id} was measured on other data than {first.cell.id} in "
                    f"{where}: report them apart"
                )
    said = [read_provenance(path) for path in paths]
    commands = list(dict.fromkeys(one.command for one in said if one.command))
    return [records[cell][0] for cell in sorted(records)], Provenance(
        title=next((one.title for one in said if one.title), None),
        command="\n".join(commands) or None,
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_nan)
    except OSError as error:
        raise RecordError(f"{path}: cannot read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not JSON ({error})") from None


def _no_nan(constant: str) -> float:
    raise ValueError(f"{constant} is no number that a record may hold")


def _entries(content: Any, path: Path) -> list[tuple[str, Any]]:
    """Return (where, record as JSON) from either form of file."""
    if isinstance(content, dict) and isinstance(content.get("records"), list):
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise RecordError(
                f"{path}: schema_version {version!r}: this goemo_eval reads {SCHEMA_VERSION}; run the "
                "bench again, or the goemo_eval that wrote it"
            )
        return [(f"record {i}", entry) for i, entry in enumerate(content["records"])]
    if isinstance(content, dict) and isinstance(content.get("benchmarks"), list):
        found = []
        for i, row in enumerate(content["benchmarks"]):
            extra = row.get("extra_info") if isinstance(row, dict) else None
            if isinstance(extra, dict) and "goemo" in extra:
                found.append((f"benchmark {i}", extra["goemo"]))
        return found
    raise RecordError(
        f"{path}: neither a records.json nor a pytest-benchmark file: "
        "expected an object with 'records' or 'benchmarks'"
    )

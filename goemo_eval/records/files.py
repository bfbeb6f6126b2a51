"""Files of records: ``records.json``, and the same records inside pytest-benchmark's JSON.

Whatever is read is checked: types strictly, scores against the decisions that they come from, times
against their percentiles. Who holds a record that was read need not ask whether it is true of itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from goemo_eval.errors import RecordError
from goemo_eval.files import read_json
from goemo_eval.frozen import Frozen
from goemo_eval.records.migrate import OLDEST, migrate
from goemo_eval.records.schema import SCHEMA_VERSION, Record
from goemo_eval.records.values import check_values, escaped_values, shown
from goemo_eval.records.verified import verified_decisions

_READS = f"this goemo_eval reads schemas {OLDEST} to {SCHEMA_VERSION}"
# What a baseline says besides its records is judge.baseline's to read.
_KEYS = {"schema_version", "provenance", "records", "baseline"}
_M = TypeVar("_M", bound=Frozen)


class Provenance(Frozen):
    """What a file of records says of itself; reports made of it say the same."""

    title: str | None = None
    command: str | None = None
    """The command that made the records."""


def dump_records(records: Iterable[Record], provenance: Provenance | None = None) -> str:
    """Return records as the text of a ``records.json``, sorted by cell id."""
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    if provenance:
        content["provenance"] = escaped_values(provenance.model_dump(mode="json"), lines=True)
    content["records"] = [
        record_to_json(record) for record in sorted(records, key=lambda r: r.cell.id)
    ]
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def record_to_json(record: Record) -> dict[str, Any]:
    """Return a record as values for JSON; text that reading would refuse is escaped."""
    values = escaped_values(record.model_dump(mode="json"))
    assert isinstance(values, dict)
    return values


def embed(record: Record) -> dict[str, Any]:
    """Return a record as values for JSON that say their schema themselves, for others' files."""
    return {"schema_version": SCHEMA_VERSION, **record_to_json(record)}


def read_records(path: str | Path) -> list[Record]:
    """Read records from a ``records.json`` or from pytest-benchmark's JSON.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    list of Record
        Sorted by cell id, one per cell. Records of schema 2 are migrated.

    Raises
    ------
    RecordError
        If the file is missing, is neither form, is of another schema, a record is malformed, two
        records of one cell differ, or scores do not follow from the decisions.
    """
    return _read(Path(path))[0]


def records_in(content: Any, where: str | Path) -> list[Record]:
    """Return the records of a file's content, as `read_json` returns it; see `read_records`.

    Parameters
    ----------
    content : object
    where : str or Path
        Of the content, for messages.

    Raises
    ------
    RecordError
        As `read_records` does.
    """
    records: dict[str, Record] = {}
    seen: set[str] = set()
    for entry in _entries(content, where):
        check_values(entry.values, f"{where}: {entry.where}")
        # pytest-benchmark's rows repeat their cell's record: equal ones are verified once.
        text = json.dumps(entry.values, sort_keys=True)
        if text in seen:
            continue
        seen.add(text)
        record = _record(entry, f"{where}: {entry.where}")
        if records.setdefault(record.cell.id, record) != record:
            raise RecordError(
                f"{where}: {entry.where}: another record of cell {record.cell.id} precedes it"
            )
    if not records:
        raise RecordError(
            f"{where}: holds no goemo records: run pytest bench --benchmark-json={Path(where).name}"
        )
    return [records[cell] for cell in sorted(records)]


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
        As `read_records`; also if a file's provenance is malformed, two files hold different records of one
        cell, or were measured on different data.
    """
    records: dict[str, tuple[Record, str | Path]] = {}
    said = []
    for path in paths:
        found, provenance = _read(Path(path))
        said.append(provenance)
        for record in found:
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
    commands = list(dict.fromkeys(one.command for one in said if one.command))
    return [records[cell][0] for cell in sorted(records)], Provenance(
        title=next((one.title for one in said if one.title), None),
        command="\n".join(commands) or None,
    )


class _Entry(NamedTuple):
    """A record as a file has it."""

    where: str
    version: int
    values: Any


def _read(path: Path) -> tuple[list[Record], Provenance]:
    content = read_json(path, error=RecordError, allow_nan=True)
    return records_in(content, path), _provenance(content, path)


def _record(entry: _Entry, where: str) -> Record:
    values = entry.values
    if entry.version < SCHEMA_VERSION and isinstance(values, dict):
        values = migrate(values)
    record = _validated(Record, values, where)
    if record.decisions:
        try:
            verified_decisions(record)
        except RecordError as error:
            raise RecordError(f"{where}: {error}") from None
    return record


def _provenance(content: Any, path: Path) -> Provenance:
    entry = content.get("provenance") if isinstance(content, dict) else None
    check_values(entry, f"{path}: provenance", lines=True)
    return _validated(Provenance, {} if entry is None else entry, f"{path}: provenance")


def _validated(model: type[_M], values: Any, where: str) -> _M:
    """Validate values as JSON, not as objects of Python: there an array may be a tuple, strictly."""
    try:
        return model.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = shown(".".join(map(str, first["loc"]))) or model.__name__.lower()
        said = shown(first["msg"], 300)
        raise RecordError(f"{where}: {at}: {said} ({_READS})") from None


def _entries(content: Any, path: str | Path) -> list[_Entry]:
    """Return the records of either form of file, as JSON."""
    if isinstance(content, dict) and isinstance(content.get("records"), list):
        if unknown := sorted(content.keys() - _KEYS):
            raise RecordError(f"{path}: unknown key {shown(unknown[0])!r} beside the records")
        version = _version(content.get("schema_version"), str(path))
        return [_Entry(f"record {i}", version, v) for i, v in enumerate(content["records"])]
    if isinstance(content, dict) and isinstance(content.get("benchmarks"), list):
        return [
            _embedded(row["extra_info"]["goemo"], path, f"benchmark {i}")
            for i, row in enumerate(content["benchmarks"])
            if isinstance(row, dict)
            and isinstance(row.get("extra_info"), dict)
            and "goemo" in row["extra_info"]
        ]
    raise RecordError(
        f"{path}: neither a records.json nor a pytest-benchmark file: "
        "expected an object with 'records' or 'benchmarks'"
    )


def _embedded(values: Any, path: str | Path, where: str) -> _Entry:
    """Return a record of a pytest-benchmark row; up to schema 2 it did not say its schema."""
    if not isinstance(values, dict) or "schema_version" not in values:
        # What schema 3 dropped tells an older record.
        old = isinstance(values, dict) and "peak_rss_bytes" in values
        return _Entry(where, OLDEST if old else SCHEMA_VERSION, values)
    version = _version(values["schema_version"], f"{path}: {where}")
    return _Entry(where, version, {k: v for k, v in values.items() if k != "schema_version"})


def _version(value: Any, where: str) -> int:
    if type(value) is not int or not OLDEST <= value <= SCHEMA_VERSION:
        raise RecordError(
            f"{where}: schema_version {shown(repr(value))}: {_READS}; run the bench again, or the "
            "goemo_eval that wrote it"
        )
    return value

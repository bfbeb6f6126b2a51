"""The run file of a project: ``goemo.toml``, or ``[tool.goemo-eval]`` of ``pyproject.toml``, below what is given here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from goemo_eval.errors import OptionError, unknown_name
from goemo_eval.files import read_text
from goemo_eval.options import Options, extra_of

RUN_FILE = "goemo.toml"
PROJECT_FILE, PROJECT_TABLE = "pyproject.toml", "goemo-eval"
_LARGEST_FILE = 1 << 20
_TABLES = {"budgets": "budgets", "encoders": "encoder_tables", "schemes": "groups"}
"""Sections of a run file whose tables are a field each."""
_TOML_NAMES = {"data": "source"}
"""Fields that a run file calls otherwise, since their section says the rest."""


def read_options(given: Mapping[str, Any], *, run_file: Path | None, prefix: str = "--") -> Options:
    """Return the options of a run: those given, over those of a run file, over the defaults.

    Parameters
    ----------
    given : mapping of str to object
        Field names to what a command line set; None for what it did not.
    run_file : Path, optional
        See `find_run_file`.
    prefix : str, default "--"
        Of options in messages.

    Raises
    ------
    OptionError
        Naming the option, or the file and its key.
    """
    from_file = {} if run_file is None else _read_run_file(run_file)
    set_here = {name: value for name, value in given.items() if value is not None}
    try:
        return Options.model_validate({**from_file, **set_here})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name, *rest = map(str, first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        if name in set_here:
            where = f"{prefix}{name.replace('_', '-')} {set_here[name]!s:.80}"
        else:
            where = f"{run_file}: {'.'.join([_in_toml(name), *rest])}"
        raise OptionError(f"{where}: {' '.join(said.split())[:240]}") from None


def find_run_file(directory: Path) -> Path | None:
    """Return the run file of a project: ``goemo.toml``, or a ``pyproject.toml`` that has our table."""
    own, project = directory / RUN_FILE, directory / PROJECT_FILE
    if own.is_file():
        return own
    if project.is_file() and f"[tool.{PROJECT_TABLE}" in read_text(
        project, error=OptionError, most_bytes=_LARGEST_FILE
    ):
        return project
    return None


def _read_run_file(path: Path) -> dict[str, Any]:
    """Return a run file's values by the names of their fields; paths in it are relative to it."""
    text = read_text(path, error=OptionError, most_bytes=_LARGEST_FILE)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{path}: not TOML ({' '.join(str(error).split())[:200]})") from None
    if path.name == PROJECT_FILE:
        content = content.get("tool", {}).get(PROJECT_TABLE, {})
    known: dict[str, dict[str, str]] = {}
    for name, info in Options.model_fields.items():
        section = extra_of(info)["section"]
        known.setdefault(section, {})[_TOML_NAMES.get(name, name)] = name
    found: dict[str, Any] = {}
    for section, table in content.items():
        if section not in known:
            raise OptionError(f"{path}: {unknown_name('table', section, known)}")
        if not isinstance(table, dict):
            raise OptionError(f"{path}: {section}: expected a table [{section}]")
        if section in _TABLES:
            found[_TABLES[section]] = table
            continue
        for key, value in table.items():
            if key not in known[section]:
                raise OptionError(f"{path}: [{section}] {unknown_name('key', key, known[section])}")
            found[known[section][key]] = _beside(path.parent, known[section][key], value)
    return found


def _beside(directory: Path, name: str, value: Any) -> Any:
    """Return a run file's value; a path in it starts from the file's own directory."""
    if name in ("store", "reports", "baseline") and isinstance(value, str):
        return directory / value
    if name in ("recipe", "names") and isinstance(value, str) and (directory / value).is_file():
        return str(directory / value)
    if name in ("checkpoint", "weights", "data") and isinstance(value, dict):
        return {key: str(directory / str(path)) for key, path in value.items()}
    if name == "teacher" and isinstance(value, list):
        return [_teacher_beside(directory, str(each)) for each in value]
    if name == "data" and isinstance(value, str) and (directory / value).exists():
        return str(directory / value)
    return value


def _teacher_beside(directory: Path, value: str) -> str:
    scheme, equals, path = value.partition("=")
    return f"{scheme}={directory / path}" if equals else value


def _in_toml(name: str) -> str:
    section = (
        extra_of(Options.model_fields[name])["section"] if name in Options.model_fields else ""
    )
    return ".".join(filter(None, [section, _TOML_NAMES.get(name, name)]))

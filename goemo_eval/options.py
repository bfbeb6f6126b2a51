"""The options of a run: one model, of which run file, command line and pytest are three views.

A field stands in its section of ``goemo.toml`` (or of ``[tool.goemo-eval]`` in ``pyproject.toml``), as
``--goemo-NAME`` in pytest and as ``--NAME`` on the command line, with the same help. An option beats the
file, the file beats the default.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from goemo_eval.errors import OptionError, unknown_name
from goemo_eval.files import read_text

RUN_FILE = "goemo.toml"
PROJECT_FILE, PROJECT_TABLE = "pyproject.toml", "goemo-eval"
_LARGEST_FILE = 1 << 20


def _field(section: str, description: str, *, metavar: str | None = None, **bounds: Any) -> Any:
    return Field(
        description=description,
        json_schema_extra={"section": section, "metavar": metavar},
        **bounds,
    )


def _listed(value: Any) -> Any:
    """Read ``"a,b"`` as a list."""
    if isinstance(value, str):
        return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    return value


def _integers(value: Any) -> Any:
    parts = _listed(value)
    if isinstance(parts, tuple | list) and parts and all(isinstance(p, str) for p in parts):
        if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
            raise ValueError(
                f"expected integers of 0 or more, such as 1,2,3: got {str(value)[:80]!r}"
            )
        return tuple(dict.fromkeys(map(int, parts)))
    return parts


def _pairs(value: Any) -> Any:
    """Read ``NAME=DIR`` texts as a mapping."""
    if not isinstance(value, list | tuple):
        return value
    found = {}
    for text in value:
        name, equals, directory = str(text).partition("=")
        if not (name and equals and directory):
            raise ValueError(f"expected NAME=DIR: got {str(text)[:80]!r}")
        found[name] = directory
    return found


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Directories = Annotated[dict[str, Path], BeforeValidator(_pairs)]


class Options(BaseModel):
    """Everything that a run can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: Annotated[
        str | dict[str, str],
        _field(
            "data",
            "sample (bundled), goemotions or hub:OWNER/NAME@REVISION, a file, or a directory with three splits",
            metavar="SOURCE",
        ),
    ] = "sample"
    text: Annotated[str, _field("data", "column that holds the text")] = "text"
    labels: Annotated[
        str | tuple[str, ...],
        BeforeValidator(lambda v: _listed(v) if isinstance(v, str) and "," in v else v),
        _field("data", "column that holds the labels, or the names of 0/1 columns: A,B,..."),
    ] = "labels"
    separator: Annotated[
        str | None, _field("data", "what stands between several labels of a text, such as ','")
    ] = None
    ids: Annotated[str | None, _field("data", "column of ids; default: row numbers")] = None
    rater: Annotated[
        str | None,
        _field("data", "column that says who labelled a row: what two raters chose is kept"),
    ] = None
    names: Annotated[
        str | tuple[str, ...] | None,
        _field("data", "labels in the order of their ids, or a file with a name a line"),
    ] = None
    name: Annotated[str | None, _field("data", "of the data set, in records")] = None
    fallback: Annotated[
        str | None, _field("data", "label that gives way to any other, such as neutral")
    ] = None
    split_seed: Annotated[
        int, _field("data", "of the rule that splits one file into three", ge=0, lt=2**31)
    ] = 0
    drop_shared: Annotated[
        bool, _field("data", "leave texts that stand in validation or test out of training")
    ] = False

    encoders: Annotated[
        Names,
        _field(
            "run",
            "by name, or as hub:OWNER/NAME@COMMIT; default: the study's four and the floor, or those that were brought",
            metavar="A,B",
        ),
    ] = ()
    schemes: Annotated[
        Names,
        _field(
            "run",
            "default: what data and brought checkpoints allow of raw,simplified",
            metavar="A,B",
        ),
    ] = ()
    engines: Annotated[
        Names,
        _field(
            "run",
            "torch,onnxruntime,openvino, or auto: the two or three cells that a short probe of this machine finds worth "
            "measuring; default: torch for the sample, else all",
            metavar="A,B",
        ),
    ] = ()
    precisions: Annotated[
        Names,
        _field(
            "run",
            "fp32,int8, and bf16 where the CPU has it (torch, openvino); default: fp32,int8",
            metavar="A,B",
        ),
    ] = ()
    seeds: Annotated[
        tuple[Seed, ...],
        BeforeValidator(_integers),
        _field("run", "of fine-tuning: a cell per seed; default: 0", metavar="1,2", min_length=1),
    ] = (0,)
    recipe: Annotated[
        str | None,
        _field(
            "run",
            "of fine-tuning, by name or as FILE.toml; default: sample for the sample, else strong",
            metavar="NAME",
        ),
    ] = None
    train: Annotated[
        Literal["missing", "never"], _field("run", "fine-tune what the store lacks, or never")
    ] = "missing"
    dominance: Annotated[
        Literal["auto", "votes", "frequent", "rare", "first", "only"],
        _field(
            "run",
            "rule that picks one label of several; auto: votes where they are known, else frequent",
        ),
    ] = "auto"
    thresholds: Annotated[
        str | None,
        _field(
            "run", "threshold strategy of multi-label cells; default: the recipe's", metavar="NAME"
        ),
    ] = None
    checkpoint: Annotated[
        Directories,
        _field(
            "run", "measure this fine-tuned checkpoint (repeatable)", metavar="ENCODER-SCHEME=DIR"
        ),
    ] = Field(default_factory=dict)
    weights: Annotated[
        Directories,
        _field("run", "fine-tune these pretrained weights (repeatable)", metavar="ENCODER=DIR"),
    ] = Field(default_factory=dict)
    teacher: Annotated[
        tuple[str, ...],
        _field(
            "run",
            "learn from this fine-tuned checkpoint, too, or from the cross-fitted floor (repeatable; recipe distil)",
            metavar="SCHEME=DIR|tfidf",
        ),
    ] = ()
    max_length: Annotated[
        int | None,
        _field(
            "run",
            "tokens to which brought checkpoints cut texts; default: their own limit",
            metavar="N",
            ge=2,
            le=100_000,
        ),
    ] = None
    int8_repair: Annotated[
        Literal["when-needed", "never"],
        _field(
            "run",
            "where INT8 loses more than the budget max_int8_drop, smooth it and keep layers in FP32, or report it plain",
        ),
    ] = "when-needed"
    isa: Annotated[
        Literal["avx2", "avx512"] | None,
        _field("run", "forbid higher instruction sets; ONNX Runtime has no such switch"),
    ] = None
    timing: Annotated[
        Literal["quick", "full", "off"] | None,
        _field("run", "how often cells are timed; default: quick for the sample, else full"),
    ] = None
    threads: Annotated[
        int | None, _field("run", "CPU threads; default: all available", metavar="N", ge=1, le=4096)
    ] = None
    executor: Annotated[
        Literal["order", "ray"],
        _field("run", "fine-tune and score cells in order, or as tasks of a Ray cluster"),
    ] = "order"
    gpus_per_cell: Annotated[
        float, _field("run", "GPUs that a Ray task claims", metavar="N", ge=0, le=64)
    ] = 0.0
    store: Annotated[
        Path | None,
        _field(
            "run", "where the results of steps are kept; default: the user's cache", metavar="DIR"
        ),
    ] = None
    reports: Annotated[
        Path | None, _field("run", "where the report goes; default: reports/DATA", metavar="DIR")
    ] = None

    budgets: Annotated[
        Path | dict[str, Any] | None, _field("budgets", "budgets to assert", metavar="FILE")
    ] = None

    baseline: Annotated[
        Path | None,
        _field("gate", "judge every scored cell against this baseline, too", metavar="FILE"),
    ] = None
    max_drop: Annotated[
        float, _field("gate", "Macro-F1 that a gated cell may lose", metavar="X", ge=0, le=1)
    ] = 0.01
    alpha: Annotated[
        float, _field("gate", "false alarms of the gate, over the run", metavar="X", gt=0, lt=0.5)
    ] = 0.05

    encoder_tables: Annotated[
        dict[str, Any],
        _field(
            "encoders",
            "encoders of your own: [encoders.NAME] with lines model_type, hub_id, revision, config",
        ),
    ] = Field(default_factory=dict)

    groups: Annotated[
        dict[str, dict[str, tuple[str, ...]]],
        _field("schemes", "schemes of your own: [schemes.NAME] with lines class = [labels]"),
    ] = Field(default_factory=dict)


class View(NamedTuple):
    """A field as a command line needs it."""

    name: str
    """Of the field, with underscores."""
    help: str
    metavar: str | None
    repeatable: bool
    flag: bool

    @property
    def option(self) -> str:
        """The option's name, without leading dashes."""
        return self.name.replace("_", "-")


_TABLES = {"budgets": "budgets", "encoders": "encoder_tables", "schemes": "groups"}
"""Sections of a run file whose tables are a field each."""
_TOML_NAMES = {"data": "source"}
"""Fields that a run file calls otherwise, since their section says the rest."""


def views() -> list[View]:
    """Return the fields that a command line can set, in their order."""
    found = []
    for name, info in Options.model_fields.items():
        extra = _extra(info)
        if extra["section"] in ("encoders", "schemes"):
            continue
        choices = getattr(info.annotation, "__args__", ())
        words = [c for c in choices if isinstance(c, str)] or [
            c for inner in choices for c in getattr(inner, "__args__", ()) if isinstance(c, str)
        ]
        metavar = extra["metavar"] or ("|".join(words) or None)
        repeatable = name in ("checkpoint", "weights", "teacher")
        found.append(
            View(name, str(info.description), metavar, repeatable, info.annotation is bool)
        )
    return found


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
        section = _extra(info)["section"]
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
    section = _extra(Options.model_fields[name])["section"] if name in Options.model_fields else ""
    return ".".join(filter(None, [section, _TOML_NAMES.get(name, name)]))


def _extra(info: Any) -> dict[str, Any]:
    extra = info.json_schema_extra
    assert isinstance(extra, dict)
    return extra


def pytest_table() -> str:
    """Return the views as the JSON that the pytest plugin reads."""
    return json.dumps([view._asdict() for view in views()], indent=1) + "\n"

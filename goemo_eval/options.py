"""The options of a run: one model, of which run file, command line and pytest are three views.

A field stands in its section of ``goemo.toml`` (or of ``[tool.goemo-eval]`` in ``pyproject.toml``), as
``--goemo-NAME`` in pytest and as ``--NAME`` on the command line, with the same help. An option beats the
file, the file beats the default.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


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


def views() -> list[View]:
    """Return the fields that a command line can set, in their order."""
    found = []
    for name, info in Options.model_fields.items():
        extra = extra_of(info)
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


def extra_of(info: Any) -> dict[str, Any]:
    """Return what a field says beside its description: its section, and what stands for a value of it."""
    extra = info.json_schema_extra
    assert isinstance(extra, dict)
    return extra


def pytest_table() -> str:
    """Return the views as the JSON that the pytest plugin reads."""
    return json.dumps([view._asdict() for view in views()], indent=1) + "\n"

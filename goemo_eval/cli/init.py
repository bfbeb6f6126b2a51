"""``goemo-eval init``: a run file for a file of data, with what was found and what was assumed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goemo_eval.errors import OptionError
from goemo_eval.records.values import escaped, shown

if TYPE_CHECKING:
    from goemo_eval.data.dataset import Dataset

FIRST = ("tfidf", "minilm")
_NAMED = 20


def init(
    data: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="A data file, or three splits.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The run file to write.")] = Path(
        "goemo.toml"
    ),
) -> None:
    """Look at a file of data, write a run file with what was found, and say what was assumed.

    `goemo-eval run` then measures; edit the file first where an assumption is wrong.
    """
    from goemo_eval.data.describe import describe
    from goemo_eval.data.sources import load_dataset
    from goemo_eval.files import write_atomic

    if out.exists():
        raise OptionError(f"{out}: exists already: edit it, or pass another --out")
    found = describe(data)
    if found.needed:
        for line in found.assumed:
            print(f"assumed: {escaped(line)}")
        raise OptionError(f"{data}: {'; '.join(found.needed)}")
    options = found.options()
    dataset = load_dataset(data, **options)
    assumed = (*found.assumed, f"{' and '.join(FIRST)}: the floor, and the smallest encoder")
    source = os.path.relpath(data, out.parent)
    text = _run_file(source, options, assumed=assumed, notes=dataset.notes.lines())
    try:
        write_atomic(out, text.encode())
    except UnicodeEncodeError:
        raise OptionError(f"{shown(source)}: no name that TOML can hold: rename the file") from None
    print(f"{escaped(str(data))}: {_summary(dataset)}")
    for line in assumed:
        print(f"assumed: {escaped(line)}")
    for line in dataset.notes.lines():
        print(f"found: {escaped(line)}")
    print(out)


def _run_file(
    source: str, options: Mapping[str, Any], *, assumed: Sequence[str], notes: Sequence[str]
) -> str:
    """Return a run file's text."""
    lines = [
        f"# What goemo-eval init found in {escaped(source)}; goemo-eval run measures it.",
        *(f"# Assumed: {escaped(line)}" for line in assumed),
        *(f"# Found: {escaped(line)}" for line in notes),
        "[data]",
        f"source = {_toml(source)}",
        *(f"{key} = {_toml(value)}" for key, value in options.items()),
        "",
        "[run]",
        f"encoders = {_toml(list(FIRST))}",
        '# engines = ["torch", "onnxruntime", "openvino"]   # default: those that are installed',
        "",
        "# [gate]",
        '# baseline = "baseline.json"   # goemo-eval baseline set RECORDS --out baseline.json',
        "# max_drop = 0.02",
        "",
    ]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    """Return text or a list of it as TOML, whose escapes are JSON's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _summary(dataset: Dataset) -> str:
    rows = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    kind = "one label a text" if dataset.single_label else "several labels a text"
    names = ", ".join(map(shown, dataset.labels[:_NAMED]))
    more = ", ..." if len(dataset.labels) > _NAMED else ""
    return f"{rows} rows; {len(dataset.labels)} labels ({kind}): {names}{more}"

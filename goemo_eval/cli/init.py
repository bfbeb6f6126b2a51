"""``goemo-eval init``: a run file for a file of data, with what was found and what was assumed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from goemo_eval.errors import OptionError


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
            print(f"assumed: {line}")
        raise OptionError(f"{data}: {'; '.join(found.needed)}")
    options = found.options()
    dataset = load_dataset(data, **options)
    source = os.path.relpath(data, out.parent)
    lines = [
        f"# What goemo-eval init found in {source}. `goemo-eval run` measures it.",
        *(f"# Assumed: {line}" for line in (*found.assumed, *dataset.notes.lines())),
        "[data]",
        f"source = {json.dumps(source)}",
        *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in options.items()),
        "",
        "[run]",
        '# encoders = ["tfidf", "minilm"]',
        '# engines = ["torch", "onnxruntime", "openvino"]',
        "",
    ]
    write_atomic(out, "\n".join(lines).encode())
    rows = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    kind = "one label a text" if dataset.single_label else "several labels a text"
    print(
        f"{data}: {rows} rows, {len(dataset.labels)} labels ({kind}): {', '.join(dataset.labels[:20])}"
    )
    for line in (*found.assumed, *dataset.notes.lines()):
        print(f"assumed: {line}")
    print(out)

"""The commands that take a model home: ``goemo-eval export`` and ``goemo-eval predict``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goemo_eval.errors import BundleError, unknown_name

if TYPE_CHECKING:
    from goemo_eval.deploy.bundle import Bundle


def export(
    cell: Annotated[
        str, typer.Argument(metavar="CELL", help="Such as minilm-raw-onnxruntime-int8.")
    ],
    records: Annotated[
        Path, typer.Option(metavar="FILE", help="Records of the run that measured it.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The bundle; it must not exist.")],
    store: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The run's store; the user's cache by default."),
    ] = None,
) -> None:
    """Write the bundle of a cell: the very files that were measured, and how they decide.

    DIR gets the artifact, tokenizer.json, bundle.json (labels, thresholds, limits, scores, times, sha256 of
    every file) and a model card, README.md. Nothing is computed anew: what the store does not hold is
    refused. A checkpoint of your own is measured first: goemo-eval run --checkpoint NAME-SCHEME=DIR.
    """
    from goemo_eval.deploy.exporting import export_artifact
    from goemo_eval.pipeline.store import Store, default_store
    from goemo_eval.records.files import read_records

    known = {record.cell.id: record for record in read_records(records)}
    if cell not in known:
        raise BundleError(f"{records}: {unknown_name('cell', cell, known)}")
    record = known[cell]
    if record.artifact is None:
        raise BundleError(f"{cell}: its record names no artifact: run the cell again")
    opened = Store(store or default_store())
    try:
        artifact = opened.find_artifact(record.artifact.key)
        if artifact is None:
            raise BundleError(
                f"store {opened.root}: has no whole artifact of {cell} (key {record.artifact.key}): pass the run's "
                "--store, or run the cell again"
            )
        print(export_artifact(record, artifact, out))
    finally:
        opened.close()


def predict(
    bundle: Annotated[Path, typer.Argument(metavar="DIR", help="A bundle.")],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts to classify.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="FILE", help="One text a line, .csv or .jsonl; - for stdin."
        ),
    ] = None,
    target: Annotated[
        str,
        typer.Option("--output", metavar="FILE", help="JSON lines, .csv or .txt; - for stdout."),
    ] = "-",
    column: Annotated[
        str, typer.Option("--text", help="Column of a CSV or JSONL input that holds the text.")
    ] = "text",
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="Of the input: text, csv or jsonl; by its ending by default."
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Write the scores of so many labels only.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on behind what an interrupted run has written.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print predictions as JSON.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, max=4096, help="CPU threads.")] = None,
) -> None:
    """Predict the labels of texts, or of every row of a file, with a bundle.

    A file of any length is read in flat memory. Its output has a line per row: its number from 1, the labels
    predicted, and the labels' scores. Blank lines of a file with one text a line are empty texts. An output
    that exists is replaced, unless --resume takes it up.
    """
    from goemo_eval.deploy.bundle import load_bundle

    if bool(texts) == (source is not None):
        raise BundleError("pass texts, or a file with --input: one of the two")
    if source is None and (target != "-" or resume or form is not None):
        raise BundleError("--output, --resume and --format belong to --input: pass a file")
    if source is not None and as_json and target != "-":
        raise BundleError("--json is for the terminal: --output FILE.jsonl is JSON already")
    loaded = load_bundle(bundle, threads=threads)
    if source is not None:
        _predict_file(loaded, source, target, column=column, form=form, top=top, resume=resume)
        return
    from goemo_eval.deploy.rows import json_of, text_of

    found = loaded.predict(texts or [])
    for each in found:
        text = json.dumps(json_of(each, top), ensure_ascii=False) if as_json else text_of(each, top)
        sys.stdout.buffer.write(f"{text}\n".encode())
    sys.stdout.buffer.flush()


def _predict_file(bundle: Bundle, source: str, target: str, **options: Any) -> None:
    from goemo_eval.deploy.streaming import STANDARD, predict_file

    try:
        predict_file(bundle, source, target, **options)
    except KeyboardInterrupt:
        mend = "" if STANDARD in (source, target) else ": the same command with --resume goes on"
        raise BundleError(f"interrupted{mend}") from None
    except BrokenPipeError:
        # Whoever reads standard output has enough; Python would say so once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""The commands that take a model home: ``goemo-eval export`` and ``goemo-eval predict``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from goemo_eval.errors import BundleError, unknown_name


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

    DIR gets the artifact, tokenizer.json, bundle.json (labels, thresholds, limits, scores, sha256 of every
    file) and a model card. Nothing is computed anew: what the store does not hold is refused.
    """
    from goemo_eval.deploy.bundle import describe_cell, write_bundle
    from goemo_eval.deploy.card import card
    from goemo_eval.pipeline.store import Store, default_store
    from goemo_eval.records.files import read_records

    known = {record.cell.id: record for record in read_records(records)}
    if cell not in known:
        raise BundleError(f"{records}: {unknown_name('cell', cell, known)}")
    record = known[cell]
    if record.artifact is None:
        raise BundleError(f"{cell}: its record names no artifact: run the cell again")
    opened = Store(store or default_store())
    artifact = opened.find_artifact(record.artifact.key)
    if artifact is None:
        raise BundleError(
            f"store {opened.root}: has no whole artifact of {cell} (key {record.artifact.key}): pass the run's "
            "--store, or run the cell again"
        )
    info = describe_cell(record, artifact)
    print(write_bundle(artifact, info, card(info, poolings=_poolings(artifact)), out))


def _poolings(artifact: Path) -> list[str]:
    """Return the pooling that a transformers artifact adds to its architecture."""
    config = artifact / "config.json"
    if not config.is_file():
        return []
    found: dict[str, Any] = json.loads(config.read_bytes())
    return [found["goemo_pooling"]] if found.get("goemo_pooling") else []


def predict(
    bundle: Annotated[Path, typer.Argument(metavar="DIR", help="A bundle.")],
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to classify.")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="FILE", help="One text a line, .csv or .jsonl; - for stdin."
        ),
    ] = None,
    target: Annotated[
        str, typer.Option("--output", metavar="FILE", help="JSON lines; - for stdout.")
    ] = "-",
    column: Annotated[
        str, typer.Option("--text", help="Column of a CSV or JSONL file that holds the text.")
    ] = "text",
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

    A file of any length is read in flat memory. Its output has a line per row: its number, the labels
    predicted, and the labels' scores.
    """
    from goemo_eval.deploy.bundle import load_bundle
    from goemo_eval.deploy.streaming import predict_file

    if bool(texts) == (source is not None):
        raise BundleError("pass texts, or a file with --input: one of the two")
    loaded = load_bundle(bundle, threads=threads)
    if source is not None:
        predict_file(loaded, source, target, column=column, top=top, resume=resume)
        return
    for found in loaded.predict(texts or []):
        best = sorted(found.scores.items(), key=lambda item: -item[1])[:top]
        if as_json:
            print(json.dumps({"labels": found.labels, "scores": dict(best)}, ensure_ascii=False))
            continue
        shown = best if top else [item for item in best if item[0] in found.labels]
        print(", ".join(f"{label} {score:.3f}" for label, score in shown) or "(no label)")

"""Measure, and write the page: ``python -m bench.torch_versions --checkpoint DIR --out reports``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.harness.keeping import keep, kept
from goemo_eval.cpu import available_threads, cpu, has_dot_products, isa_limit
from goemo_eval.data.sources import load_dataset
from goemo_eval.errors import GoemoError
from goemo_eval.files import write_atomic
from goemo_eval.measure.environment import git_commit
from goemo_eval.models.checkpoint import read_checkpoint
from goemo_eval.progress import say
from goemo_eval.records.files import read_records

from . import comparing, timing
from .contenders import Contender, ask, score, test
from .page import page

ENGINES = "torch,onnxruntime,openvino"
TESTS = ("tests/engines", "tests/models", "tests/pipeline")


@dataclass(frozen=True)
class Kept:
    """What was found in each interpreter, kept with what it was made of.

    Attributes
    ----------
    where : Path
    shared : dict
        What decides every result, whatever the interpreter.
    """

    where: Path
    shared: dict[str, Any]

    def of(self, contender: Contender) -> Path:
        """Return an interpreter's directory."""
        return self.where / contender.slug

    def get(
        self, contender: Contender, part: str, make: Callable[[], Any] | None, **more: Any
    ) -> Any:
        """Return a part's result; None if it is not kept and `make` is None."""
        told = {**self.shared, **more, "python": contender.python, **contender.versions}
        told = json.loads(json.dumps(told))
        found = kept(self.of(contender), part, told)
        if found is None and make is not None:
            say(f"torch {contender.label}: {part}")
            found = make()
            keep(self.of(contender), part, told, found)
        return found


def main(
    checkpoint: Annotated[Path, typer.Option(help="A fine-tuned MiniLM, multi-label.")],
    out: Annotated[Path, typer.Option(help="Where torch-versions.json and .md go.")],
    python: Annotated[
        list[Path] | None,
        typer.Option(
            help="Interpreter with another torch, as .tox/py-torch214/bin/python (repeatable)."
        ),
    ] = None,
    data: Annotated[str, typer.Option(help="GoEmotions' directory, or another source.")] = "sample",
    engines: Annotated[str, typer.Option(help="Separated by commas.")] = ENGINES,
    rounds: Annotated[
        int, typer.Option(min=0, help="Time so many, on an idle machine; 0: take what is kept.")
    ] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Of what is timed.")] = None,
    tests: Annotated[
        bool, typer.Option("--tests", help=f"Run {', '.join(TESTS)} in each as well.")
    ] = False,
    kept_in: Annotated[
        Path, typer.Option("--kept", help="Results are kept here; the same command goes on.")
    ] = Path("build/torch-versions"),
) -> None:
    """Measure one checkpoint under several versions of torch; this interpreter's is the reference."""
    # Not resolved: the interpreter of an environment is a link to the one that it was made with.
    contenders = ask([Path(sys.executable), *(path.absolute() for path in python or [])])
    source = str(Path(data).absolute()) if Path(data).exists() else data
    dataset = load_dataset(source)
    results = Kept(
        kept_in.absolute(),
        {
            "checkpoint": read_checkpoint(checkpoint.absolute()).content_sha256,
            "data": {name: split.sha256 for name, split in dataset.splits.items()},
            "engines": engines.split(","),
            "cpu": list(map(str, cpu())),
            "isa_limit": isa_limit(),
        },
    )
    found = measure(contenders, results, checkpoint.absolute(), source, tests=tests)
    found["times"] = times(
        contenders,
        results,
        found["cells"],
        dataset.splits["test"].texts,
        rounds=rounds,
        threads=threads or available_threads(),
    )
    result = {
        "command": _command(contenders, locals()),
        "machine": {
            "cpu": cpu()[0],
            "isa_flags": list(cpu()[1]),
            "isa_limit": isa_limit(),
            "dot_products": has_dot_products(),
        },
        "contenders": {c.label: {"python": c.python, "versions": c.versions} for c in contenders},
        **found,
    }
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, default=str) + "\n"
    write_atomic(out / "torch-versions.json", text.encode())
    write_atomic(out / "torch-versions.md", page(result).encode())
    typer.echo(str(out / "torch-versions.md"))


def measure(
    contenders: Sequence[Contender], results: Kept, checkpoint: Path, data: str, *, tests: bool
) -> dict[str, Any]:
    """Return each cell under each version, and how the tests ended there."""
    records, stores, tested = {}, {}, {}
    for contender in contenders:
        where = results.of(contender)

        def scored(contender: Contender = contender, where: Path = where) -> str:
            engines = results.shared["engines"]
            return str(
                score(contender, checkpoint=checkpoint, data=data, engines=engines, kept=where)
            )

        def ended(contender: Contender = contender) -> dict[str, Any]:
            return {"commit": git_commit(), **test(contender, TESTS)}

        records[contender.label] = read_records(results.get(contender, "scores", scored))
        stores[contender.label] = where / "store"
        if (found := results.get(contender, "tests", ended if tests else None)) is not None:
            tested[contender.label] = found
    first = records[contenders[0].label][0]
    return {
        "commits": {label: of[0].environment.git_commit for label, of in records.items()},
        "data": {name: split.rows for name, split in first.data.splits.items()},
        "cells": comparing.table(records, stores),
        "tests": tested,
    }


def times(
    contenders: Sequence[Contender],
    results: Kept,
    cells: dict[str, dict[str, dict[str, Any]]],
    texts: Sequence[str],
    *,
    rounds: int,
    threads: int,
) -> dict[str, Any] | None:
    """Time the versions in turns if rounds are asked for; else return what was found before, if anything was.

    What is kept is of the same versions and threads.
    """
    artifacts: dict[str, dict[str, str]] = {c.label: {} for c in contenders}
    for cell, beside in cells.items():
        for label, row in beside.items():
            artifacts[label][cell] = str(row.pop("artifact"))

    def timed() -> dict[str, Any]:
        found = timing.timed(contenders, artifacts, texts, rounds=rounds, threads=threads)
        return {"threads": threads, "rounds": rounds, **found}

    first, *others = contenders
    beside_it = [[c.python, c.versions] for c in others]
    if rounds:
        (results.of(first) / "times.json").unlink(missing_ok=True)
    found = results.get(first, "times", timed if rounds else None, beside=beside_it)
    if found is None:
        return None
    return {**found, "ratios": timing.ratios(found["seconds"], first.label)}


def _command(contenders: Sequence[Contender], given: dict[str, Any]) -> str:
    words = ["python -m bench.torch_versions"]
    # Directories of one machine mean nothing on another: last names are enough.
    words += [f"--python PYTHON-OF-{c.slug}" for c in contenders[1:]]
    words.append(
        f"--checkpoint {given['checkpoint'].name} --data {given['data']} --out {given['out']}"
    )
    words += [f"--engines {given['engines']}"] if given["engines"] != ENGINES else []
    words += ["--tests"] if given["tests"] else []
    if (timed := given["found"]["times"]) is not None:
        words.append(f"--rounds {timed['rounds']} --threads {timed['threads']}")
    return " ".join(words)


if __name__ == "__main__":
    try:
        typer.run(main)
    except GoemoError as error:
        raise SystemExit(f"error: {error}") from None

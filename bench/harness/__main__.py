"""Measure, and write the page: ``python -m bench.harness --checkpoint DIR --out reports``."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from goemo_eval.cpu import available_threads, cpu, has_dot_products, isa_limit, limit_isa
from goemo_eval.errors import CellError, GoemoError
from goemo_eval.measure.environment import git_commit, load_average, python_version, versions
from goemo_eval.models.checkpoint import read_checkpoint
from goemo_eval.pipeline.children import in_new_process
from goemo_eval.progress import say

from . import cells, growth, numbers, scoring, shares, starting, training
from .keeping import keep, kept
from .page import page
from .settings import Settings

Found = dict[str, Any]


def _memory(settings: Settings, chosen: Found) -> Found:
    found = {scoring.PIPELINE: in_new_process(scoring.peak_of_pipeline, settings)}
    for name, path in chosen["all"].items():
        found[name] = in_new_process(scoring.peak_of_cell, settings, path)
    return found


PARTS: dict[str, Callable[[Settings, Found], Found]] = {
    "scoring": lambda s, c: in_new_process(scoring.score_split, s, c),
    "single": lambda s, c: in_new_process(scoring.score_one, s, c),
    "thresholds": lambda _, __: in_new_process(numbers.thresholds),
    "bootstrap": lambda _, __: in_new_process(numbers.bootstrap),
    "training": lambda s, _: in_new_process(training.training, s),
    "starts": lambda _, __: in_new_process(starting.starts),
    "report": lambda _, __: in_new_process(starting.report),
    "memory": _memory,
    "shares": lambda s, c: in_new_process(shares.shares, s, c),
}
GROWTH, ROUNDS = "growth", 4
NAMES = (*PARTS, GROWTH)
_CHOOSING = {"scoring", "single", "memory", "shares", GROWTH}
"""Parts that need artifacts."""


def main(
    out: Annotated[Path, typer.Option(help="Where speed.json and speed.md go.")],
    checkpoint: Annotated[Path, typer.Option(help="A fine-tuned MiniLM, multi-label.")],
    layers: Annotated[Path | None, typer.Option(help="One of three layers.")] = None,
    data: Annotated[str, typer.Option(help="GoEmotions' directory, or another source.")] = "sample",
    isa: Annotated[
        str | None, typer.Option(help="avx2 or avx512: forbid what is higher; files get its name.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(NAMES)} (repeatable).")
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Leave a part out (repeatable).")] = None,
    rows: Annotated[int | None, typer.Option(min=64, help="Of every split, for a trial.")] = None,
    rounds: Annotated[int, typer.Option(min=2, help="Passes of the scoring lines.")] = ROUNDS,
    threads: Annotated[int | None, typer.Option(min=1)] = None,
    again: Annotated[bool, typer.Option(help="Measure anew what is kept already.")] = False,
    long: Annotated[bool, typer.Option(help="Let the encoder score the split 100 times.")] = False,
    kept_in: Annotated[
        Path, typer.Option("--kept", help="Results, artifacts and the floor are kept here.")
    ] = Path("build/speed"),
) -> None:
    """Measure this library beside what people use instead."""
    for name in (*(only or []), *(skip or [])):
        if name not in NAMES:
            raise typer.BadParameter(f"unknown part {name}: known are {', '.join(NAMES)}")
    if isa:
        limit_isa(isa)  # children inherit it, and load torch and oneDNN under it
    settings = Settings(
        data=str(Path(data).absolute()) if Path(data).exists() else data,
        checkpoint=checkpoint.absolute(),
        layers=layers.absolute() if layers else None,
        kept=kept_in.absolute(),
        rows=rows,
        rounds=rounds,
        threads=threads or available_threads(),
        long=long,
    )
    parts = [name for name in only or NAMES if name not in (skip or [])]
    load_start = load_average()
    found = measure(settings, parts, again=again)
    if "choose" in found:  # directories of one machine mean nothing on another
        found["choose"] = {name: found["choose"][name] for name in cells.TOLD}
    result = {
        "command": _command(locals()),
        "machine": {
            "cpu": cpu()[0],
            "isa_flags": list(cpu()[1]),
            "isa_limit": isa_limit(),
            "dot_products": has_dot_products(),
            "threads": settings.threads,
            "versions": versions(),
            "python": python_version(),
            "commit": git_commit(),
            "load_start": load_start,
            "load_end": load_average(),
        },
        "found": found,
    }
    out.mkdir(parents=True, exist_ok=True)
    stem = out / (f"speed-{isa}" if isa else "speed")
    stem.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(page(result), encoding="utf-8")
    typer.echo(str(stem.with_suffix(".md")))


def measure(settings: Settings, parts: list[str], *, again: bool) -> Found:
    """Return what each part found, taking what is kept; each is kept as soon as it is there."""
    where = settings.kept / (isa_limit() or "all")
    told = {
        "checkpoint": read_checkpoint(settings.checkpoint).content_sha256,
        "layers": settings.layers and read_checkpoint(settings.layers).content_sha256,
        "data": settings.data,
        "rows": settings.rows,
        "threads": settings.threads,
        "versions": versions(),
        "cpu": list(map(str, cpu())),
    }
    found: Found = {}

    def run(name: str, make: Callable[[], Found], **more: Any) -> Found:
        its = json.loads(json.dumps({**told, **more}))
        entry: Found | None = None if again else kept(where, name, its)
        if entry is None:
            say(name)
            entry = make()
            if "error" not in entry:
                keep(where, name, its, entry)
        return entry

    if _CHOOSING & set(parts):
        found["choose"] = run("choose", lambda: in_new_process(cells.choose, settings))
    chosen = found.get("choose", {})
    for name in parts:
        if name == GROWTH:
            found |= _growth(settings, chosen, run)
        else:
            more = {"rounds": settings.rounds} if name == "scoring" else {}
            found[name] = run(name, partial(PARTS[name], settings, chosen), **more)
    return found


def _growth(settings: Settings, chosen: Found, run: Callable[..., Found]) -> Found:
    found = {}
    for what, sizes in growth.SIZES.items():
        for size in (*sizes, *(growth.LONG.get(what, ()) if settings.long else ())):
            name = f"growth {what} {size[0]}x{size[1]}"
            found[name] = run(name, partial(_grown, settings, chosen, what, size))
    return found


def _grown(settings: Settings, chosen: Found, what: str, size: tuple[int, int]) -> Found:
    """Return what one size takes, or why it broke: that is a finding, too."""
    try:
        found: Found = in_new_process(growth.grown, settings, chosen, what, size)
    except (GoemoError, CellError) as error:
        return {"error": str(error)}
    return found


def _command(given: dict[str, Any]) -> str:
    words = ["python -m bench.harness"]
    for name in ("out", "checkpoint", "layers", "data", "isa", "rows", "rounds", "threads"):
        value = given[name]
        if value is not None and not (name == "rounds" and value == ROUNDS):
            # Directories of one machine mean nothing on another: their last names are enough.
            words.append(f"--{name} {Path(str(value)).name}")
    words += [f"--only {name}" for name in given["only"] or []]
    words += [f"--skip {name}" for name in given["skip"] or []]
    return " ".join(words)


if __name__ == "__main__":
    try:
        typer.run(main)
    except GoemoError as error:
        raise SystemExit(f"error: {error}") from None

"""Run the simulation and write the report: ``python -m bench.gate --out reports/gate``."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from . import cells, drift, family, over_time, power, seeds
from .keeping import Kept
from .report import render, write

PARTS: dict[str, ModuleType] = {
    "cells": cells,
    "family": family,
    "over_time": over_time,
    "drift": drift,
    "power": power,
    "seeds": seeds,
}


def main(
    out: Annotated[Path, typer.Option(help="Where gate_simulation.json and .md go.")],
    kept: Annotated[
        Path, typer.Option(help="What is drawn is kept here; the same command goes on from it.")
    ] = Path("build/gate"),
    seed: Annotated[int, typer.Option(min=0)] = 0,
    scale: Annotated[
        float, typer.Option(min=0.001, max=1, help="Share of the draws, for a quick look.")
    ] = 1.0,
    part: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(PARTS)}; all by default (repeatable).")
    ] = None,
) -> None:
    """Measure the gate where the truth is known, and write it down."""
    chosen = part or list(PARTS)
    if unknown := sorted(set(chosen) - PARTS.keys()):
        raise typer.BadParameter(f"unknown part {unknown[0]}: known are {', '.join(PARTS)}")
    store = Kept(kept, seed=seed, scale=scale)
    found = {name: PARTS[name].run(store) for name in chosen}
    words = ["python -m bench.gate --out reports/gate", f"--seed {seed}"]
    words += [f"--scale {scale:g}"] if scale != 1 else []
    words += [f"--part {name}" for name in part or []]
    command = " ".join(words)
    result = {"command": command, **found}
    text = render(command, [PARTS[name].render(found[name]) for name in chosen])
    write(out, json.dumps(result, indent=1) + "\n", text)
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)

"""What was drawn is kept, number by number, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from goemo_eval.progress import progress

Drawn = dict[str, Any]


class Kept:
    """Results of one part of the simulation, a line each in a file.

    Parameters
    ----------
    directory : Path
    seed : int
        With the name of a case and a number, it decides what is drawn.
    scale : float
        Share of the draws that a part asks for: below 1 for a quick look.
    """

    def __init__(self, directory: Path, *, seed: int, scale: float) -> None:
        self.directory, self.seed, self.scale = directory, seed, scale

    def count(self, number: int) -> int:
        """Return how many draws to make where a full run makes so many."""
        return max(2, round(number * self.scale))

    def draw(
        self,
        part: str,
        case: str,
        number: int,
        make: Callable[[np.random.Generator], Drawn],
        **options: Any,
    ) -> list[Drawn]:
        """Return the results of a case, making those that are not kept.

        Parameters
        ----------
        part, case : str
        number : int
            In a full run.
        make : callable
            Takes a generator of its own for each number; what it returns goes through JSON.
        **options
            Whatever else decides the results: results of other options are not taken.
        """
        count, told = self.count(number), {"seed": self.seed, "case": case, **options}
        path = self.directory / f"{part}.jsonl"
        found: dict[int, Drawn] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if entry["told"] == told:
                    found[entry["number"]] = entry["said"]
        self.directory.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            for i in progress(range(count), desc=f"{part}: {case}", leave=True):
                if i not in found:
                    words = [self.seed, i, *f"{part}/{case}".encode()]
                    said = json.loads(json.dumps(make(np.random.default_rng(words))))
                    found[i] = said
                    file.write(json.dumps({"told": told, "number": i, "said": said}) + "\n")
                    file.flush()
        return [found[i] for i in range(count)]


def share(values: Any) -> str:
    """Return a share as a percentage."""
    return f"{100 * float(np.mean(values)):.1f}%"

"""Times of every version in turns: one process each, all alive, one at work."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from bench.harness.turns import ratio
from goemo_eval.errors import OptionError
from goemo_eval.measure.machine_load import Watch

from .contenders import ROOT, Contender
from .worker import WHAT

SPLIT_TEXTS, SINGLE_TEXTS = 256, 25

Times = dict[str, dict[str, dict[str, list[float]]]]
"""What is timed -> cell -> version -> seconds, one per round."""


def timed(
    contenders: Sequence[Contender],
    artifacts: Mapping[str, Mapping[str, str]],
    texts: Sequence[str],
    *,
    rounds: int,
    threads: int,
) -> dict[str, Any]:
    """Time every cell of every version, round by round in turns.

    Parameters
    ----------
    contenders : sequence of Contender
    artifacts : mapping
        Version -> cell -> directory.
    texts : sequence of str
    rounds : int
        After one that is not counted.
    threads : int

    Returns
    -------
    dict
        ``seconds``: `Times`, of single texts each round's median. ``load``: what went on beside it.
    """
    told = {"split": list(texts[:SPLIT_TEXTS]), "single": list(texts[:SINGLE_TEXTS])}
    # The processes end inside of the watch: what they took is then known to be ours.
    with Watch() as watch, ExitStack() as stack:
        asks = {
            contender.label: stack.enter_context(
                _worker(
                    contender,
                    {"artifacts": artifacts[contender.label], "texts": told, "threads": threads},
                )
            )
            for contender in contenders
        }
        seconds = in_rounds(asks, artifacts, rounds=rounds)
    return {"seconds": seconds, "load": watch.load.model_dump()}


def in_rounds(
    asks: Mapping[str, Callable[[str, str], list[float]]],
    artifacts: Mapping[str, Mapping[str, str]],
    *,
    rounds: int,
) -> Times:
    """Ask every version for every cell that all have; another one goes first in every round."""
    labels = list(asks)
    cells = [cell for cell in artifacts[labels[0]] if all(cell in artifacts[n] for n in labels)]
    found: Times = {what: {cell: {n: [] for n in labels} for cell in cells} for what in WHAT}
    for number in range(rounds + 1):
        for cell in cells:
            for what in WHAT:
                for turn in range(len(labels)):
                    label = labels[(number + turn) % len(labels)]
                    took = asks[label](cell, what)
                    if number:
                        found[what][cell][label].append(statistics.median(took))
    return found


def ratios(seconds: Times, reference: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return how many times as long each version takes as the reference, with 95 % intervals.

    Returns
    -------
    dict
        What is timed -> cell -> version -> ``seconds`` (the median), ``value``, ``low``, ``high``.
    """
    return {
        what: {
            cell: {
                label: {
                    "seconds": statistics.median(times),
                    **ratio(times, of[reference])._asdict(),
                }
                for label, times in of.items()
            }
            for cell, of in cells.items()
        }
        for what, cells in seconds.items()
    }


@contextmanager
def _worker(
    contender: Contender, told: dict[str, Any]
) -> Iterator[Callable[[str, str], list[float]]]:
    words = [str(contender.path), "-m", "bench.torch_versions.worker"]
    with subprocess.Popen(  # noqa: S603 - an interpreter that the user names
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        tell, hear = process.stdin, process.stdout

        def ask(value: Any) -> Any:
            try:
                tell.write(json.dumps(value) + "\n")
                tell.flush()
                return json.loads(hear.readline())
            except (BrokenPipeError, json.JSONDecodeError):
                raise OptionError(f"torch {contender.label}: its process died: see above") from None

        try:
            ask(told)
            yield lambda cell, what: ask({"cell": cell, "what": what})
        finally:
            if not tell.closed:
                tell.close()  # it reads to the end, and leaves

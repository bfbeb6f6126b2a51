"""Contenders take turns; a ratio of their medians comes with an interval."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from goemo_eval.measure.machine_load import Load, Watch

_DRAWS = 10_000
_CONFIDENCE = 0.95


class Ratio(NamedTuple):
    """How many times as long one takes as another, and a 95 % interval."""

    value: float
    low: float
    high: float


def in_turns(
    calls: Mapping[str, Callable[[int], Any]], *, rounds: int, warm_up: bool = True
) -> tuple[dict[str, list[float]], Load]:
    """Time each call once a round; another one goes first in every round.

    Parameters
    ----------
    calls : mapping of str to callable
        Given the number of the round.
    rounds : int
    warm_up : bool, default True
        Begin with a round that is not counted.

    Returns
    -------
    seconds : dict of str to list of float
    load : Load
        What went on beside it.
    """
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    if warm_up:
        for call in calls.values():
            call(0)
    with Watch() as watch:
        for number in range(rounds):
            for turn in range(len(names)):
                name = names[(number + turn) % len(names)]
                start = time.perf_counter()
                calls[name](number)
                seconds[name].append(time.perf_counter() - start)
    return seconds, watch.load


def ratio(slow: Sequence[float], fast: Sequence[float], *, seed: int = 0) -> Ratio:
    """Return the ratio of two medians, with a percentile interval over the rounds that they share.

    Rounds are drawn with both times of each, since what slows one slows the other.
    """
    a, b = np.asarray(slow, dtype=float), np.asarray(fast, dtype=float)
    if a.shape != b.shape or not len(a):
        raise ValueError(f"as many times of each, at least one: got {len(a)} and {len(b)}")
    rows = np.random.default_rng(seed).integers(0, len(a), (_DRAWS, len(a)))
    drawn = np.median(a[rows], axis=1) / np.median(b[rows], axis=1)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Ratio(float(np.median(a) / np.median(b)), float(low), float(high))

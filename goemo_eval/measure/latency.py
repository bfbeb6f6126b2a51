"""Latency of the forward pass: the batches that are timed, and the times' summary.

Two shapes: ``real`` takes the texts in the split's own order, 32 at a time, padded to the
longest of the batch, as requests would arrive; ``padded128`` pads the same batches to 128 tokens.
Tokenization is not part of either.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field
from tqdm import tqdm

from goemo_eval.engines.base import BATCH_SIZE, Batch, Classifier, pad_batch
from goemo_eval.errors import DataError, unknown_name
from goemo_eval.frozen import Frozen

SHAPES = ("real", "padded128")
PADDED_LENGTH = 128
_QUEUE = 8  # least batches of a turn for engines that run them side by side

Seconds = Annotated[float, Field(gt=0)]


class Latency(Frozen):
    """Forward seconds per batch: every raw time, and their percentiles."""

    batch_size: Annotated[int, Field(ge=1)]
    threads: Annotated[int, Field(ge=1)]
    times_s: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    p50_s: Seconds
    p90_s: Seconds
    p99_s: Seconds


def summarize_times(times_s: Sequence[float], *, batch_size: int, threads: int) -> Latency:
    """Summarize raw times by linearly interpolated percentiles.

    Examples
    --------
    >>> summarize_times([0.1, 0.2, 0.3], batch_size=32, threads=2).p50_s
    0.2
    """
    p50, p90, p99 = np.percentile(np.asarray(times_s), [50, 90, 99])
    return Latency(
        batch_size=batch_size,
        threads=threads,
        times_s=tuple(times_s),
        p50_s=float(p50),
        p90_s=float(p90),
        p99_s=float(p99),
    )


def latency_batches(
    classifier: Classifier, texts: Sequence[str], shape: str, *, batch_size: int = BATCH_SIZE
) -> list[Batch]:
    """Return the full batches of a split in its own order, in one of the two shapes.

    Parameters
    ----------
    classifier : Classifier
    texts : sequence of str
        At least `batch_size` of them.
    shape : {"real", "padded128"}
    batch_size : int, default 32

    Returns
    -------
    list of Batch

    Raises
    ------
    DataError
        If there are too few texts.
    """
    if shape not in SHAPES:
        raise ValueError(unknown_name("shape", shape, SHAPES))
    if len(texts) < batch_size:
        raise DataError(f"timing needs at least one batch of {batch_size} texts: got {len(texts)}")
    encoded = classifier.encode(texts)
    length = PADDED_LENGTH if shape == "padded128" else None
    return [
        pad_batch(
            encoded, range(start, start + batch_size), pad_id=classifier.pad_id, length=length
        )
        for start in range(0, len(texts) - batch_size + 1, batch_size)
    ]


def rounds_within(
    seconds_per_round: float, *, budget_s: float, least: int = 3, most: int = 30
) -> int:
    """Return how many rounds fit a time budget, within bounds."""
    return int(np.clip(budget_s / seconds_per_round, least, most))


def time_split_interleaved(
    classifiers: Sequence[Classifier], texts: Sequence[str], *, budget_s: float, most: int = 5
) -> list[list[float]]:
    """Time whole passes over a split, the classifiers taking turns.

    A slow moment of the machine so falls on all of them alike, and their ratio stays true. A turn
    is one batch; where an engine runs batches side by side it is an equal share of every
    classifier's own batches, at least 8 of them, since a queue is idle at its end. The one that
    goes first changes from turn to turn.

    Parameters
    ----------
    classifiers : sequence of Classifier
    texts : sequence of str
    budget_s : float
        No new pass begins after this many seconds; the first always runs.
    most : int, default 5
        Passes at most.

    Returns
    -------
    list of list of float
        For each classifier the forward seconds of each pass.
    """
    work = [c.split_batches(texts) for c in classifiers]
    least = _QUEUE if any(c.forward_many for c in classifiers) else 1
    turns = max(1, min(len(batches) // least for batches in work))
    parts = [[batches[i::turns] for i in range(turns)] for batches in work]
    for classifier, stretches in zip(classifiers, parts, strict=True):
        classifier.run(stretches[0][:least])  # warm-up: first calls allocate and pack
    seconds: list[list[float]] = [[] for _ in classifiers]
    began = time.perf_counter()
    while len(seconds[0]) < most and (not seconds[0] or time.perf_counter() - began < budget_s):
        totals = [0.0] * len(classifiers)
        # disable=None: silent when stderr is no terminal
        for number in tqdm(range(turns), desc="timing", leave=False, disable=None):
            for turn in range(len(classifiers)):
                who = (number + turn) % len(classifiers)
                start = time.perf_counter()
                classifiers[who].run(parts[who][number])
                totals[who] += time.perf_counter() - start
        for kept, total in zip(seconds, totals, strict=True):
            kept.append(total)
    return seconds


def time_forward(classifier: Classifier, batch: Batch) -> float:
    """Return the seconds of one forward pass."""
    start = time.perf_counter()
    classifier.forward(batch)
    return time.perf_counter() - start

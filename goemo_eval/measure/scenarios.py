"""How a cell is timed: the scenarios, the batches that are timed, and the times' summary.

``real`` takes texts in the split's own order, 32 at a time, padded to the longest of the batch, as
requests would arrive; ``padded128`` pads the same batches to 128 tokens. Both time the forward pass
alone, as the study did. ``single`` is one text, text in, scores out; ``offline`` the whole split,
text in, scores out. Every scored cell of a run is timed on the same texts, the same number of times.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from goemo_eval.engines.base import BATCH_SIZE, Predictor
from goemo_eval.errors import DataError
from goemo_eval.frozen import Frozen
from goemo_eval.measure.machine_load import Load, Watch
from goemo_eval.progress import progress

Scenario = Literal["real", "padded128", "single"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
LEAST_FOR_P99 = 100
MOST_SPREAD = 0.25
"""Of the times of one batch around their median: what a quiet machine stays below."""

Seconds = Annotated[float, Field(ge=1e-9, lt=1e6)]
"""From what no clock tells apart up to eleven days."""
_ROUNDING = 1e-9  # percentiles travel as decimal text
_QUEUE = 8  # least batches of a turn for engines that run them side by side


class Latency(Frozen):
    """Seconds per batch: every raw time, and their percentiles."""

    batch_size: Annotated[int, Field(ge=1)]
    threads: Annotated[int, Field(ge=1)]
    texts_sha256: str | None
    """Of the texts that were timed, in order; None in records of schema 2, which did not keep it."""
    batches: Annotated[int, Field(ge=1)]
    """Different batches; each was timed equally often, round by round."""
    times_s: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    p50_s: Seconds
    p90_s: Seconds
    p95_s: Seconds
    p99_s: Seconds | None
    """None below 100 times: it would be one of the largest few."""
    load: Load

    @model_validator(mode="after")
    def _percentiles_of_the_times(self) -> Self:
        found = percentiles(self.times_s)
        for name, value in found.items():
            stated = getattr(self, name)
            if (stated is None) != (value is None) or (
                value is not None and abs(stated - value) > _ROUNDING + 1e-6 * value
            ):
                raise ValueError(f"{name} {stated} does not follow from times_s (found {value})")
        return self


class Throughput(Frozen):
    """The whole split, text in, scores out."""

    texts: Annotated[int, Field(ge=1)]
    threads: Annotated[int, Field(ge=1)]
    passes_s: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    load: Load

    @property
    def texts_per_s(self) -> float:
        """Of the median pass."""
        return self.texts / median(self.passes_s)


def percentiles(times_s: Sequence[float]) -> dict[str, float | None]:
    """Return the percentiles that a record keeps, linearly interpolated; p99 of 100 times or more.

    Examples
    --------
    >>> percentiles([0.1, 0.2, 0.3])["p50_s"]
    0.2
    """
    p50, p90, p95, p99 = map(float, np.percentile(np.asarray(times_s), [50, 90, 95, 99]))
    enough = len(times_s) >= LEAST_FOR_P99
    return {"p50_s": p50, "p90_s": p90, "p95_s": p95, "p99_s": p99 if enough else None}


def texts_sha256(texts: Sequence[str]) -> str:
    """Return the hash of texts in their order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Timed:
    """The batches of one scenario, ready to be timed.

    Attributes
    ----------
    scenario : {"real", "padded128", "single"}
    batch_size : int
    texts_sha256 : str
    calls : tuple of callable
        One per batch: calling it is what is timed.
    rounds : int
        How often each is timed.
    warm_ups : tuple of callable
        What is called before, and not timed.
    """

    scenario: Scenario
    batch_size: int
    texts_sha256: str
    calls: tuple[Callable[[], Any], ...]
    rounds: int
    warm_ups: tuple[Callable[[], Any], ...] = ()

    def warm_up(self) -> None:
        """Take the first calls, which allocate, pack and choose kernels."""
        for call in self.warm_ups:
            call()


def timed_batches(
    predictor: Predictor,
    texts: Sequence[str],
    scenario: Scenario,
    *,
    batches: int,
    rounds: int,
    warm_ups: int = 2,
) -> Timed:
    """Choose the batches of a scenario: the first of a split, the same for every cell.

    Parameters
    ----------
    predictor : Predictor
    texts : sequence of str
        Of the test split, at least one batch of them.
    scenario : {"real", "padded128", "single"}
    batches : int
        Different batches at most; of ``single``, texts.
    rounds : int
        How often each is timed.
    warm_ups : int, default 2
        How often the first batch is run before. With 0 one text alone is: of a large model, whose batches take
        seconds, it packs what there is to pack, and what is left for the first batch to do takes milliseconds.

    Raises
    ------
    DataError
        If there are too few texts.
    """
    chosen, size = chosen_texts(texts, scenario, batches=batches)
    calls: tuple[Callable[[], Any], ...]
    if scenario == "single":
        calls = tuple(_text_in_scores_out(predictor, text) for text in chosen)
    else:
        prepared = predictor.prepare(chosen, shape=scenario)
        calls = tuple(_forward(predictor, batch) for batch in prepared)
    before = (calls[0],) * warm_ups or (_text_in_scores_out(predictor, chosen[0]),)
    return Timed(scenario, size, texts_sha256(chosen), calls, rounds, before)


def chosen_texts(
    texts: Sequence[str], scenario: Scenario, *, batches: int
) -> tuple[list[str], int]:
    """Return the texts that a scenario times, and how many make a batch: `timed_batches` has the parameters."""
    size = 1 if scenario == "single" else BATCH_SIZE
    if len(texts) < size:
        raise DataError(f"timing needs at least one batch of {size} texts: got {len(texts)}")
    return list(texts[: min(batches, len(texts) // size) * size]), size


def _forward(predictor: Predictor, batch: Any) -> Callable[[], Any]:
    return lambda: predictor.run([batch])


def _text_in_scores_out(predictor: Predictor, text: str) -> Callable[[], Any]:
    return lambda: predictor.run(predictor.prepare([text], shape="single"))


def summarize_times(times_s: Sequence[float], timed: Timed, *, threads: int, load: Load) -> Latency:
    """Summarize raw times, taken round by round over the batches of `timed`."""
    return Latency(
        batch_size=timed.batch_size,
        threads=threads,
        texts_sha256=timed.texts_sha256,
        batches=len(timed.calls),
        times_s=tuple(times_s),
        load=judge_spread(load, times_s, batches=len(timed.calls)),
        **percentiles(times_s),
    )


def judge_spread(load: Load, times_s: Sequence[float], *, batches: int) -> Load:
    """Mark times unstable that scatter too far around the median of their own batch.

    Batches differ in length, so the spread of all times says nothing; that of one batch's does.
    Its measure is the 90th percentile of ``|time / median of its batch - 1|``.
    """
    rounds = len(times_s) // batches
    if rounds < 2:
        return load
    table = np.reshape(times_s[: rounds * batches], (rounds, batches))
    spread = float(np.quantile(np.abs(table / np.median(table, axis=0) - 1), 0.9))
    reasons = [load.reason] if load.reason else []
    if spread > MOST_SPREAD:
        reasons.append(f"times of one batch spread by {spread:.0%}")
    return load.model_copy(update={"spread": round(spread, 4), "reason": "; ".join(reasons)})


def time_batches(timed: Timed, *, threads: int) -> Latency:
    """Time the batches of a scenario, round by round, without pytest-benchmark."""
    timed.warm_up()
    times = []
    with Watch() as watch:
        for _ in range(timed.rounds):
            for call in timed.calls:
                start = time.perf_counter()
                call()
                times.append(time.perf_counter() - start)
    return summarize_times(times, timed, threads=threads, load=watch.load)


def time_offline(
    predictor: Predictor, texts: Sequence[str], *, passes: int, threads: int
) -> Throughput:
    """Time whole passes over a split, text in, scores out."""
    predictor.run(predictor.prepare(texts[:BATCH_SIZE]))
    seconds = []
    with Watch() as watch:
        for _ in progress(range(passes), desc="offline"):
            start = time.perf_counter()
            predictor.run(predictor.prepare(texts))
            seconds.append(time.perf_counter() - start)
    return Throughput(
        texts=len(texts),
        threads=threads,
        passes_s=tuple(seconds),
        load=judge_spread(watch.load, seconds, batches=1),
    )


def time_in_turns(
    predictors: Sequence[Predictor], texts: Sequence[str], *, passes: int
) -> tuple[list[list[float]], Load]:
    """Time whole forward passes over a split, the predictors taking turns.

    A slow moment of the machine so falls on all of them alike, and their ratio stays true. A turn
    is an equal share of every predictor's own batches, at least 8 of them, since a queue of batches that run
    side by side is idle at its end. The one that goes first changes from turn to turn.

    Parameters
    ----------
    predictors : sequence of Predictor
    texts : sequence of str
    passes : int

    Returns
    -------
    seconds : list of list of float
        For each predictor the forward seconds of each pass.
    load : Load
    """
    work = [predictor.prepare(texts) for predictor in predictors]
    turns = max(1, min(len(batches) // _QUEUE for batches in work))
    parts = [[batches[i::turns] for i in range(turns)] for batches in work]
    for predictor, stretches in zip(predictors, parts, strict=True):
        predictor.run(stretches[0][:_QUEUE])  # warm-up: first calls allocate and pack
    seconds = [[0.0] * passes for _ in predictors]
    with Watch() as watch:
        for number in progress(range(passes * turns), desc="timing in turns"):
            for turn in range(len(predictors)):
                who = (number + turn) % len(predictors)
                start = time.perf_counter()
                predictors[who].run(parts[who][number % turns])
                seconds[who][number // turns] += time.perf_counter() - start
    ratios = [a / b for a, b in zip(seconds[0], seconds[-1], strict=True)]
    return seconds, judge_spread(watch.load, ratios, batches=1)

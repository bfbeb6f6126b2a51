"""A probe of the engines: how long each takes over a batch and over one text, in turns, on this machine.

What is timed is a stack of a few layers at an encoder's real width, as each engine's own converter writes
it, so that it is the real kernels that run. Its weights are random and so are its token ids: both cost as
much as any.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from goemo_eval.cpu import cpu, isa_limit
from goemo_eval.engines.base import Predictor, TokenBatch
from goemo_eval.frozen import Frozen
from goemo_eval.measure.machine_load import Load, Watch
from goemo_eval.measure.scenarios import Seconds, judge_spread

TEXTS, TOKENS = 32, 16
"""Of a batch: 512 padded tokens, about what every engine takes at once; one text has as many tokens."""
BATCHES, SINGLES = 4, 5
"""A round of a cell: so many batches, side by side where the engine can, then so many single texts."""
LEAST_ROUNDS, MOST_ROUNDS = 3, 15
TIMED_S = 5.0
"""No further round begins after so many seconds."""
_FIRST_ID = 5  # below lie the special tokens of most vocabularies


def called(engine: str, precision: str) -> str:
    """Return what an engine at a precision is called where it is told: ``openvino INT8``."""
    return f"{engine} {precision.upper()}"


class Probed(Frozen):
    """The times of one engine at one precision, a time per round."""

    engine: str
    precision: str
    batch_s: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    """Of a batch of 512 padded tokens, as part of a queue of several."""
    single_s: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    """Of one text: the median of the round's."""

    @property
    def name(self) -> str:
        """As it is told."""
        return called(self.engine, self.precision)


class Probe(Frozen):
    """What a probe saw."""

    cpu_model: str
    isa_flags: tuple[str, ...]
    isa_limit: str | None
    threads: Annotated[int, Field(ge=1)]
    cells: tuple[Probed, ...]
    """Rounds were taken in turns: the same number of every cell."""
    refused: dict[str, str] = Field(default_factory=dict)
    """What could not be timed, such as ``openvino INT8``, and why."""
    load: Load

    @model_validator(mode="after")
    def _rounds_of_all(self) -> Self:
        rounds = {len(times) for cell in self.cells for times in (cell.batch_s, cell.single_s)}
        if len(rounds) > 1:
            raise ValueError("cells must have a time per round each")
        if len({cell.name for cell in self.cells}) != len(self.cells):
            raise ValueError("two cells of one engine and precision")
        return self


def time_engines(
    predictors: Mapping[tuple[str, str], Predictor],
    *,
    threads: int,
    refused: Mapping[str, str] | None = None,
    most_s: float = TIMED_S,
) -> Probe:
    """Time predictors in turns, round by round, over batches and over single texts.

    Parameters
    ----------
    predictors : mapping of (engine, precision) to Predictor
        Of one model. They are given token ids, no texts: tokenization is the same for all of them.
    threads : int
        That they were loaded with.
    refused : mapping of str to str, optional
        What could not be loaded, and why.
    most_s : float, default 5
        Seconds after which no further round begins, once there are three.

    Returns
    -------
    Probe
    """
    work = {key: _work(predictor) for key, predictor in predictors.items()}
    for key, (many, one) in work.items():  # first calls allocate, pack and choose kernels
        predictors[key].run(many)
        predictors[key].run(one)
    times: dict[tuple[str, str], tuple[list[float], list[float]]] = {k: ([], []) for k in work}
    order = list(work)
    began, rounds = time.perf_counter(), 0
    with Watch() as watch:
        while order and _goes_on(rounds, time.perf_counter() - began, most_s):
            for key in order:
                many, one = work[key]
                batch_s = _seconds(predictors[key], many) / BATCHES
                times[key][0].append(batch_s)
                times[key][1].append(median(_seconds(predictors[key], one) for _ in range(SINGLES)))
            order, rounds = [*order[1:], order[0]], rounds + 1
    model, flags = cpu()
    return Probe(
        cpu_model=model,
        isa_flags=flags,
        isa_limit=isa_limit(),
        threads=threads,
        cells=tuple(
            Probed(engine=engine, precision=precision, batch_s=tuple(batch), single_s=tuple(single))
            for (engine, precision), (batch, single) in times.items()
        ),
        refused=dict(refused or {}),
        load=_judged(watch.load, [batch for batch, _ in times.values()]),
    )


def _goes_on(rounds: int, elapsed_s: float, most_s: float) -> bool:
    return rounds < LEAST_ROUNDS or (rounds < MOST_ROUNDS and elapsed_s < most_s)


def _work(predictor: Predictor) -> tuple[list[TokenBatch], list[TokenBatch]]:
    """Return the batches of a round, and the one text, in token ids that the model knows."""
    tokens = predictor.info.tokens
    assert tokens is not None  # encoders read tokens; the floor, which does not, is not probed
    rng = np.random.default_rng(0)

    def batch(rows: int, *, beside: bool) -> TokenBatch:
        first = min(_FIRST_ID, tokens.vocabulary - 1)
        ids = rng.integers(first, tokens.vocabulary, (rows, TOKENS))
        types = np.zeros_like(ids) if tokens.type_ids else None
        return TokenBatch(tuple(range(rows)), ids, np.ones_like(ids), types, beside)

    return [batch(TEXTS, beside=True) for _ in range(BATCHES)], [batch(1, beside=False)]


def _seconds(predictor: Predictor, batches: list[TokenBatch]) -> float:
    start = time.perf_counter()
    predictor.run(batches)
    return time.perf_counter() - start


def _judged(load: Load, batch_s: list[list[float]]) -> Load:
    """Mark a probe unstable in which the two quickest cells' ratio went up and down from round to round."""
    if len(batch_s) < 2:
        return load
    first, second = sorted(batch_s, key=median)[:2]
    ratios = [b / a for a, b in zip(first, second, strict=True)]
    return judge_spread(load, ratios, batches=1)

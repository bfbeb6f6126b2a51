"""The repair of INT8 that loses too much: it is smoothed, and then keeps the few layers that it must in FP32.

Smoothing costs nothing at run time, and where outliers of attention are to blame it is all that is
needed. What is then still over the budget is ranked: each layer by how far the logits move, for each
of its weights, when it alone is quantized. A bisection finds the shortest head of the ranking that
brings validation Macro-F1 back, in about twice log2 of its length validation passes; then parts of that
head that are not needed after all are given back to INT8, in a few more.

All of it ends in names, which are part of the next key; artifacts that were tried are thrown away.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.artifact import Variant
from goemo_eval.engines.base import logits
from goemo_eval.engines.registry import ENGINES, Converter, converter, load
from goemo_eval.engines.sensitivity import rank_layers
from goemo_eval.engines.smoothing import smoothed
from goemo_eval.errors import ScoreError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.pretrained import load_pretrained
from goemo_eval.progress import progress

RANKING_TEXTS = 32
MOST_GIVEN_BACK = 6
"""Passes over validation that are spent on layers which need not stay in FP32 after all."""

Score = Callable[[npt.NDArray[np.float32]], float]
"""Logits of shape (N, K) -> Macro-F1."""


@dataclass(frozen=True)
class Repaired:
    """What a repair found, and what it cost.

    Attributes
    ----------
    smoothed : bool
        False in an engine that smooths by itself, and where there was nothing to smooth.
    kept_fp32 : tuple of str
        Most sensitive first.
    macro_f1 : float
        Of INT8 with these, on the split that the search looked at.
    smoothed_macro_f1 : float or None
        Of INT8 that is smoothed and keeps no layer; None in an engine that smooths by itself, and
        where there was nothing to smooth.
    int8_share : float
        Share of the linear layers' weights that are INT8, in [0, 1].
    passes : int
        Artifacts that were made and scored on that whole split.
    seconds : float
        Of the whole search, the ranking included.
    """

    smoothed: bool
    kept_fp32: tuple[str, ...]
    macro_f1: float
    smoothed_macro_f1: float | None
    int8_share: float
    passes: int
    seconds: float


class Tried(NamedTuple):
    """A variant's score on validation."""

    macro_f1: float
    int8_share: float


Try = Callable[[tuple[str, ...]], Tried]
"""Layers that stay in FP32 -> the score of INT8 with them."""


def repair(
    checkpoint: Checkpoint,
    engine: str,
    *,
    texts: Sequence[str],
    macro_f1: Score,
    least: float,
    calibration: Sequence[str] = (),
    threads: int,
    scratch: Path,
) -> Repaired:
    """Find what INT8 must smooth and keep in FP32 to lose no more than it may.

    Parameters
    ----------
    checkpoint : Checkpoint
    engine : str
    texts : sequence of str
        Of the validation split: a choice that was made on the test split would flatter itself.
    macro_f1 : callable
        Logits of `texts`, shape (N, K) -> Macro-F1.
    least : float
        Macro-F1 that INT8 must reach. INT8 as it is, is taken not to.
    calibration : sequence of str, default ()
        Training texts on which INT8 ranges are fitted, where the engine fits them.
    threads : int
    scratch : Path
        Directory for artifacts that are tried, one at a time.

    Returns
    -------
    Repaired
        Where not even all layers in FP32 reach `least`, that is what is returned.

    Raises
    ------
    GoemoError
        If the engine cannot convert the checkpoint.
    """
    began = time.perf_counter()
    made = converter(checkpoint, engine, calibration=calibration, threads=threads)
    given = load_pretrained(checkpoint) if made.layers else None
    pretrained = given
    if given is not None and not ENGINES[engine].smooths:
        pretrained = smoothed(given)
    is_smoothed = pretrained is not given
    passes = 0

    def attempt(kept_fp32: tuple[str, ...]) -> Tried:
        nonlocal passes
        passes += 1
        variant = Variant(
            engine=engine, precision="int8", smoothed=is_smoothed, kept_fp32=kept_fp32
        )
        return _try(made, variant, texts, macro_f1, threads=threads, scratch=scratch)

    kept: tuple[str, ...] = ()
    found = alone = attempt(()) if is_smoothed or pretrained is None else None
    if pretrained is not None and (found is None or found.macro_f1 < least):
        some = texts[:: max(1, len(texts) // RANKING_TEXTS)][:RANKING_TEXTS]
        # Calibrated INT8 has one scale for all tokens; ours has one for each.
        ranking = rank_layers(pretrained, some, per_token=not ENGINES[engine].calibrates)
        kept, found = shortest_head(ranking, attempt, least=least)
        if found.macro_f1 >= least:
            kept, found = given_back(kept, found, attempt, least=least)
    assert found is not None
    return Repaired(
        smoothed=is_smoothed,
        kept_fp32=kept,
        macro_f1=found.macro_f1,
        smoothed_macro_f1=alone.macro_f1 if alone is not None and is_smoothed else None,
        int8_share=found.int8_share,
        passes=passes,
        seconds=time.perf_counter() - began,
    )


def shortest_head(
    ranking: Sequence[str], attempt: Try, *, least: float
) -> tuple[tuple[str, ...], Tried]:
    """Find the shortest head of a ranking that must stay in FP32.

    Parameters
    ----------
    ranking : sequence of str
        The most sensitive layer first; at least one.
    attempt : callable
        Called with heads of the ranking. That of length 0 is taken to score too little.
    least : float
        Macro-F1 that must be reached.

    Returns
    -------
    tuple of str
        The head; the whole ranking where nothing reaches `least`.
    Tried
        Its score.

    Notes
    -----
    The bisection takes Macro-F1 to grow with the number of layers kept. Where it does not quite,
    the result still reaches `least`, by a head that may be longer than need be.
    """
    low, high = 0, len(ranking)  # so many are too few; so many are enough, or all that there are
    best: Tried | None = None
    with progress(desc="searching precision") as bar:
        while best is None or high - low > 1:
            # Few layers are to blame as a rule: 1, 2, 4, ... first, then halve what is between.
            count = min(max(1, 2 * low), len(ranking)) if best is None else (low + high) // 2
            tried = attempt(tuple(ranking[:count]))
            bar.update()
            if tried.macro_f1 >= least or count == len(ranking):
                high, best = count, tried
            else:
                low = count
    return tuple(ranking[:high]), best


def given_back(
    kept: tuple[str, ...], found: Tried, attempt: Try, *, least: float
) -> tuple[tuple[str, ...], Tried]:
    """Give parts of what stays in FP32 back to INT8 as long as that scores enough.

    A ranking looks at each layer alone: a head of it may hold layers that the others make needless. Halves
    are tried, then quarters, and so on (as delta debugging shrinks an input: Zeller and Hildebrandt,
    "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002), in `MOST_GIVEN_BACK` passes at most.

    Parameters
    ----------
    kept : tuple of str
        Layers that are enough; none of them in FP32 is taken to be too few.
    found : Tried
        Their score.
    attempt : callable
    least : float
        Macro-F1 that must be reached.

    Returns
    -------
    tuple of str
        What still stays, in the same order.
    Tried
        Its score.
    """
    size, left = len(kept) // 2, MOST_GIVEN_BACK
    while size and left:
        start = 0
        while start < len(kept) and left and len(kept) > size:  # none at all is known to be too few
            fewer = kept[:start] + kept[start + size :]
            tried = attempt(fewer)
            left -= 1
            if tried.macro_f1 >= least:
                kept, found = fewer, tried
            else:
                start += size
        size //= 2
    return kept, found


def _try(
    made: Converter,
    variant: Variant,
    texts: Sequence[str],
    macro_f1: Score,
    *,
    threads: int,
    scratch: Path,
) -> Tried:
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        artifact = made.write(variant, Path(directory))
        predictor = load(artifact, threads=threads)
        try:
            score = macro_f1(logits(predictor, texts))
        except ScoreError:  # not finite: quantization broke it altogether
            score = 0.0
    return Tried(score, artifact.info.int8_share)

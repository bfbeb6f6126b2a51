"""Whether one recipe is worse than another: seeds and texts, two levels of chance.

A difference between two trained models on a test split is chance of two kinds: another split would
have moved it, and so would another seed. `two_level_bootstrap` knows both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from goemo_eval.errors import ScoreError
from goemo_eval.frozen import Frozen
from goemo_eval.measure.f1 import f1_from_counts
from goemo_eval.measure.resampling import (
    Floats,
    check_draws,
    chunks,
    distinct,
    draw,
    indicators,
    text_sums,
)

_MOST_SEEDS = 1000
Variance = Annotated[float, Field(ge=0)]


class Side(Frozen):
    """What varies from seed to seed: differences where seeds pair, or the scores of one side."""

    seeds: Annotated[int, Field(ge=2)]
    over_seeds: Variance
    """Sample variance of the values on the test split, over the seeds."""
    of_texts: Variance
    """Variance by the texts that each seed has of its own, beyond what all seeds share."""


class TwoLevel(Frozen):
    """Candidate minus baseline, each the mean over its seeds; and how sure that is."""

    point: float
    shared: Variance
    """Variance by the texts that all seeds share: more seeds do not lessen it."""
    sides: Annotated[tuple[Side, ...], Field(min_length=1, max_length=2)]
    """One where seeds pair, two where they do not."""

    @property
    def paired(self) -> bool:
        """Whether the seeds pair."""
        return len(self.sides) == 1

    def spread(self, seeds: int | None = None) -> tuple[float, float]:
        """Return standard error and degrees of freedom, with so many seeds a side if given."""
        total, weighed = self.shared, 0.0
        for side in self.sides:
            n = seeds or side.seeds
            total += (side.of_texts + side.over_seeds) / n
            weighed += (side.over_seeds / n) ** 2 / (n - 1)
        return float(np.sqrt(total)), total**2 / weighed if weighed > 0 else float("inf")

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the ends of Student's interval; what is left is shared by both ends."""
        error, freedom = self.spread()
        width = _student((1 + confidence) / 2, freedom) * error
        return max(self.point - width, -1.0), min(self.point + width, 1.0)

    def detectable(self, *, alpha: float, power: float = 0.8, seeds: int | None = None) -> float:
        """Return the smallest true loss that would be told from none, with the given chance.

        Parameters
        ----------
        alpha : float
            Chance of a false alarm, one-sided.
        power : float, default 0.8
        seeds : int, optional
            Per side; as many as there are by default.
        """
        error, freedom = self.spread(seeds)
        return (_student(1 - alpha, freedom) + _student(power, freedom)) * error

    def seeds_needed(self, loss: float, *, alpha: float, power: float = 0.8) -> int | None:
        """Return how many seeds a side would tell such a loss; None if not even 1,000 would.

        Seeds do not lessen what the texts leave open: then it takes more texts.
        """
        few, many = 2, _MOST_SEEDS
        if self.detectable(alpha=alpha, power=power, seeds=many) > loss:
            return None
        while few < many:
            middle = (few + many) // 2
            if self.detectable(alpha=alpha, power=power, seeds=middle) <= loss:
                many = middle
            else:
                few = middle + 1
        return few


def two_level_bootstrap(
    targets: npt.NDArray[Any],
    baseline: Sequence[npt.NDArray[Any]],
    candidate: Sequence[npt.NDArray[Any]],
    *,
    paired: bool,
    n_resamples: int = 2000,
    seed: int = 0,
    n_labels: int | None = None,
) -> TwoLevel:
    """Compare two recipes by Macro-F1 over several seeds each, on the same texts.

    Two levels of chance: seeds are drawn, then texts, the same texts for every seed. With a handful of
    seeds the draws at their level are few and too alike: drawing S of S understates their variance by
    ``(S - 1) / S``, and normal quantiles understate the rest. So that level is taken in closed form, as
    drawing S - 1 of S gives it [1]_, and the quantiles are Student's with Satterthwaite's degrees of
    freedom. The texts are drawn. What the two levels have in common is counted at both, which errs on
    the side of too wide; ``bench/gate/`` measures how the interval covers.

    Parameters
    ----------
    targets : ndarray of bool, shape (N, K), or of int, shape (N,)
    baseline, candidate : sequence of ndarray, of at least 2
        Predictions of each seed, as `targets`.
    paired : bool
        Whether the seeds pair: then there are as many on both sides, in the same order.
    n_resamples : int, default 2,000
        At least 100.
    seed : int, default 0
    n_labels : int, optional
        K for class ids; by default the largest id that occurs, plus one.

    Raises
    ------
    ScoreError
        If the arrays do not fit one another or an option is out of range.

    References
    ----------
    .. [1] J. N. K. Rao and C. F. J. Wu, Resampling inference with complex survey data, J. Am. Stat.
       Assoc. 83 (1988).
    """
    check_draws(n_resamples, seed)
    first, second = len(baseline), len(candidate)
    if min(first, second) < 2:
        raise ScoreError(f"seeds must number at least 2 a side: got {first} and {second}")
    if paired and first != second:
        raise ScoreError(f"seeds that pair are as many on both sides: got {first} and {second}")
    truth, guesses = indicators(targets, [*baseline, *candidate], n_labels)
    drawn = _macro_f1(text_sums(truth, guesses), n_resamples, seed)
    before, after = (
        Drawn(drawn.points[part], drawn.values[:, part])
        for part in (slice(first), slice(first, None))
    )
    difference = after.values.mean(axis=1) - before.values.mean(axis=1)
    parts = (
        [Drawn(after.points - before.points, after.values - before.values)]
        if paired
        else [before, after]
    )
    sides = tuple(_side(part) for part in parts)
    own = sum(side.of_texts / side.seeds for side in sides)
    return TwoLevel(
        point=float(after.points.mean() - before.points.mean()),
        shared=max(0.0, float(difference.var(ddof=1)) - own),
        sides=sides,
    )


class Drawn(NamedTuple):
    """Values of several seeds."""

    points: Floats
    """Shape (S,): on the texts."""
    values: Floats
    """Shape (B, S): on resamples of them."""


def _macro_f1(rows: npt.NDArray[np.float32], n_resamples: int, seed: int) -> Drawn:
    """Return the Macro-F1 of sets of predictions from `text_sums`, on the texts and on resamples."""
    shape = rows.shape[1:]
    flat, group = distinct(rows.reshape(len(rows), -1))
    rng = np.random.default_rng(seed)
    values = []
    for number in chunks(n_resamples):
        sums = (draw(rng, number, group, len(flat)) @ flat).reshape(number, *shape)
        values.append(f1_from_counts(sums[:, :, 0], sums[:, :, 1], 0).mean(axis=-1))
    total = rows.sum(axis=0, dtype=np.float64)
    return Drawn(f1_from_counts(total[:, 0], total[:, 1], 0).mean(axis=-1), np.concatenate(values))


def _side(part: Drawn) -> Side:
    seeds = len(part.points)
    single = float(part.values.var(axis=0, ddof=1).mean())
    mean = float(part.values.mean(axis=1).var(ddof=1))
    return Side(
        seeds=seeds,
        over_seeds=float(part.points.var(ddof=1)),
        of_texts=max(0.0, single - mean) * seeds / (seeds - 1),
    )


def _student(quantile: float, freedom: float) -> float:
    from scipy.special import ndtri, stdtrit

    return float(ndtri(quantile) if np.isinf(freedom) else stdtrit(freedom, quantile))

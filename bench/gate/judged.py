"""The gate's own judgement of decisions, at the cost of what the question needs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from goemo_eval.measure.resampling import value_and_gradient
from goemo_eval.measure.statistics import resample

from .world import Bools


class Drop(NamedTuple):
    """A measured drop of Macro-F1, and its standard error."""

    value: float
    error: float


def measure(truth: Bools, first: Bools, second: Bools) -> Drop:
    """Return the drop and its standard error, as the gate's interval has them, without resampling."""
    guesses = np.stack([first, second])  # (2, N, K)
    hits = (guesses & truth).astype(np.float32)
    decided = (guesses.astype(np.int8) + truth).astype(np.float32)
    sums = np.stack([hits.sum(axis=1), decided.sum(axis=1)], axis=1, dtype=np.float64)
    values, gradients = value_and_gradient(sums, "macro_f1")  # (2,), (2, 2, K)
    slopes = gradients.astype(np.float32)
    pulls = [hits[i] @ slopes[i, 0] + decided[i] @ slopes[i, 1] for i in (0, 1)]
    influence = (pulls[1] - pulls[0]).astype(np.float64)
    return Drop(float(values[0] - values[1]), float(np.sqrt(influence @ influence)))


def p_value(
    truth: Bools,
    first: Bools,
    second: Bools,
    *,
    budget: float,
    least: float,
    n_resamples: int,
    seed: int,
) -> tuple[Drop, float]:
    """Return the drop, and the gate's p-value that it keeps the budget.

    No p-value is below the normal distribution's, so one that this keeps above `least` is not resampled: it would
    be no finding at any level up to `least`, which is what is returned.
    """
    drop = measure(truth, first, second)
    if not drop.error or norm.sf((drop.value - budget) / drop.error) > least:
        return drop, 1.0
    drawn = resample(truth, (first, second), n_resamples=n_resamples, seed=seed)
    return drop, drawn.p_value(-budget)


def normal_quantile(alpha: float) -> float:
    """Return the quantile that leaves alpha above it."""
    return float(norm.isf(alpha))


def reach(alpha: float, power: float = 0.8) -> float:
    """Return the smallest drop beyond the budget that is called so often, in standard errors."""
    return float(norm.isf(alpha) + norm.ppf(power))

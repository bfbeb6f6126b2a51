"""How sure a measured F1 is: bootstrap intervals of a score and of a paired difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from statistics import NormalDist
from typing import Annotated, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from goemo_eval.errors import ScoreError, unknown_name
from goemo_eval.frozen import Frozen
from goemo_eval.measure.resampling import (
    Floats,
    check_draws,
    check_metric,
    chunks,
    distinct,
    draw,
    indicators,
    text_sums,
    value_and_gradient,
)

Method = Literal["studentized", "percentile", "bca"]

_EQUAL = 1e-12  # a standard error below it is none: predictions that are the same
_NO_SPREAD = 1e-3  # a share of the standard error: below it lie only rounding errors
_ENOUGH = 10  # resamples that must lie beyond a quantile for it to be read off them


class Interval(Frozen):
    """A value and where its true counterpart lies with the given confidence."""

    point: float
    low: float
    high: float
    confidence: Annotated[float, Field(gt=0, lt=1)]
    standard_error: Annotated[float, Field(ge=0)]
    """From the linear approximation of the metric, without resampling."""
    method: Method
    n_resamples: int
    seed: int


@dataclass(frozen=True, eq=False)
class Resamples:
    """A metric's value, and its values on resampled texts.

    Attributes
    ----------
    point : float
    standard_error : float
    values, errors : ndarray of float, shape (B,)
        Each resample's value and its own standard error.
    floor : float
        Least value that is possible: 0, or -1 for a difference.
    seed : int
    left_out : callable, optional
        Returns the values with one text left out at a time, of which BCa alone makes use.
    """

    point: float
    standard_error: float
    values: Floats
    errors: Floats
    floor: float
    seed: int
    left_out: Callable[[], Floats] | None = None

    def interval(self, *, confidence: float = 0.95, method: Method = "studentized") -> Interval:
        """Return the interval of one method; see `paired_bootstrap`.

        Raises
        ------
        ScoreError
            If an option is out of range.
        """
        if not 0 < confidence < 1:
            raise ScoreError(f"confidence must lie between 0 and 1: got {confidence}")
        if method not in get_args(Method):
            raise ScoreError(unknown_name("method", method, get_args(Method)))
        if method == "studentized":
            width = self._width(confidence)
            low, high = self.point - width, self.point + width
        else:
            tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
            low, high = np.quantile(self.values, self._bca(tails) if method == "bca" else tails)
        return Interval(
            point=self.point,
            low=max(float(low), self.floor),
            high=min(float(high), 1.0),
            confidence=confidence,
            standard_error=self.standard_error if self.standard_error > _EQUAL else 0.0,
            method=method,
            n_resamples=len(self.values),
            seed=self.seed,
        )

    def p_value(self, value: float) -> float:
        """Return how sure it is that the true value lies below `value`, as a one-sided p-value.

        It is the inversion of the studentized interval: the smallest alpha in ``(0, 1)`` at which the
        interval of confidence ``1 - 2 * alpha`` lies below `value`. So a p-value of at most alpha and such an
        interval never disagree.
        """
        away = value - self.point
        if self.standard_error <= _EQUAL:
            return 0.0 if away > 0 else 1.0
        tail = self._tail(abs(away) / self.standard_error)
        return tail / 2 if away > 0 else 1 - tail / 2

    def _width(self, confidence: float) -> float:
        """Return half the width of the symmetric bootstrap-t interval."""
        if self.standard_error <= _EQUAL:
            return 0.0
        tail = 1 - confidence
        normal = _normal(tail)
        if tail < self._least_tail:
            quantile = normal * self._stretch
        else:
            quantile = float(self._ratios[ceil((len(self._ratios) - 1) * confidence)])
        # Never narrower than the normal approximation, which resamples without a spread could make it.
        return max(quantile, normal) * self.standard_error

    def _tail(self, ratio: float) -> float:
        """Return the chance that the truth is missed by so many standard errors, either way."""
        beyond = len(self._ratios) - int(np.searchsorted(self._ratios, ratio))
        tail = beyond / (len(self._ratios) - 1)
        if tail < self._least_tail:
            tail = min(2 * NormalDist().cdf(-ratio / self._stretch), self._least_tail)
        return min(max(tail, 2 * NormalDist().cdf(-ratio)), 1.0)

    @cached_property
    def _ratios(self) -> Floats:
        """Each resample's deviation in its own standard errors, without its sign, in order."""
        # Where few decisions differ, some resamples hold none of them and have no spread of their own.
        spread = self.errors > _NO_SPREAD * self.standard_error
        scale = np.where(spread, self.errors, self.standard_error)
        return np.sort(np.abs(self.values - self.point) / scale)

    @property
    def _least_tail(self) -> float:
        """Share below which too few resamples lie beyond a quantile to read it off them."""
        return _ENOUGH / len(self._ratios)

    @cached_property
    def _stretch(self) -> float:
        """How much farther out the last quantile that can be read lies than the normal one.

        Beyond it the quantiles are taken to grow as the normal ones do.
        """
        last = ceil((len(self._ratios) - 1) * (1 - self._least_tail))
        return max(1.0, float(self._ratios[last]) / _normal(self._least_tail))

    def _bca(self, tails: Floats) -> Floats:
        """Return the quantiles that bias and acceleration call for."""
        from scipy.special import ndtr, ndtri

        below = (self.values < self.point).mean() / 2 + (self.values <= self.point).mean() / 2
        if not 0 < below < 1:  # no quantile could say how far off the point is
            return tails
        z = ndtri(below) + ndtri(tails)
        acceleration = _acceleration(self.left_out()) if self.left_out else 0.0
        return np.asarray(ndtr(ndtri(below) + z / (1 - acceleration * z)))


def paired_bootstrap(
    targets: npt.NDArray[Any],
    baseline: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    metric: str | int = "macro_f1",
    *,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    method: Method = "studentized",
    seed: int = 0,
    n_labels: int | None = None,
) -> Interval:
    """Interval of the difference between two sets of predictions on the same texts.

    Both are scored on the same resampled texts, so what is hard for both cancels.

    Parameters
    ----------
    targets, baseline, candidate : ndarray of bool, shape (N, K), or of int, shape (N,)
        As in `score_predictions`.
    metric : {"macro_f1", "micro_f1", "weighted_f1"} or int
        An int means the F1 of the label in that column.
    n_resamples : int, default 10,000
        At least 100.
    confidence : float, default 0.95
        In ``(0, 1)``; what is left is shared by both ends.
    method : {"studentized", "percentile", "bca"}
        ``studentized`` is the symmetric bootstrap-t [1]_: each resample's deviation is divided
        by its own standard error. ``percentile`` takes the resamples' quantiles; ``bca`` corrects
        them for bias and skewness [2]_. Where labels are rare, the last two came out too
        narrow in a simulation, ``bca`` the more so (``bench/gate/``).
    seed : int, default 0
    n_labels : int, optional
        K for class ids; by default the largest id that occurs, plus one.

    Returns
    -------
    Interval
        Of candidate minus baseline: below zero, the candidate is worse.

    Raises
    ------
    ScoreError
        If the arrays do not fit one another or an option is out of range.

    References
    ----------
    .. [1] P. Hall, On symmetric bootstrap confidence intervals, J. R. Stat. Soc. B 50 (1988).
    .. [2] B. Efron, Better bootstrap confidence intervals, J. Am. Stat. Assoc. 82 (1987).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> targets = rng.integers(0, 3, 400)
    >>> worse = np.where(rng.random(400) < 0.3, (targets + 1) % 3, targets)
    >>> interval = paired_bootstrap(targets, targets, worse, n_resamples=1000)
    >>> f"{interval.point:.2f} from {interval.low:.2f} to {interval.high:.2f}"
    '-0.27 from -0.31 to -0.23'
    """
    drawn = resample(
        targets,
        (baseline, candidate),
        metric=metric,
        n_resamples=n_resamples,
        seed=seed,
        n_labels=n_labels,
    )
    return drawn.interval(confidence=confidence, method=method)


def score_interval(
    targets: npt.NDArray[Any],
    predictions: npt.NDArray[Any],
    metric: str | int = "macro_f1",
    *,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    method: Method = "studentized",
    seed: int = 0,
    n_labels: int | None = None,
) -> Interval:
    """Interval of one score: how far another test split of this size could move it.

    The parameters are those of `paired_bootstrap`. Two of these that overlap say nothing about
    a difference on the same texts: use `paired_bootstrap` for that.

    Raises
    ------
    ScoreError
        If the arrays do not fit one another or an option is out of range.
    """
    drawn = resample(
        targets,
        (predictions,),
        metric=metric,
        n_resamples=n_resamples,
        seed=seed,
        n_labels=n_labels,
    )
    return drawn.interval(confidence=confidence, method=method)


def resample(
    targets: npt.NDArray[Any],
    predictions: Sequence[npt.NDArray[Any]],
    *,
    metric: str | int = "macro_f1",
    n_resamples: int = 10_000,
    seed: int = 0,
    n_labels: int | None = None,
) -> Resamples:
    """Resample the texts once, for intervals of several confidences or methods.

    Parameters
    ----------
    predictions : sequence of one or two ndarrays
        One gives its score; of two, the second minus the first.
    targets, metric, n_resamples, seed, n_labels
        As in `paired_bootstrap`.

    Raises
    ------
    ScoreError
        If the arrays do not fit one another or an option is out of range.
    """
    check_draws(n_resamples, seed)
    truth, guesses = indicators(targets, predictions, n_labels)
    check_metric(metric, truth.shape[1])
    rows = text_sums(truth, guesses, support=metric == "weighted_f1")
    total = rows.sum(axis=0, dtype=np.float64)
    scores, gradients = value_and_gradient(total[None], metric)
    flat, group = distinct(rows.reshape(len(rows), -1))
    influence = flat @ _signed(gradients).ravel()
    error = float(np.sqrt(np.bincount(group) @ influence**2))
    values, errors = [], []
    rng = np.random.default_rng(seed)
    for number in chunks(n_resamples, len(rows)):
        weights = draw(rng, number, group, len(flat))
        sums = (weights @ flat).reshape(number, *rows.shape[1:])
        drawn, slopes = value_and_gradient(sums, metric)
        values.append(_difference(drawn))
        pull = _signed(slopes).reshape(number, -1).astype(np.float32) @ flat.T
        errors.append(np.sqrt(np.einsum("bn,bn,bn->b", weights, pull, pull)))
    return Resamples(
        point=float(_difference(scores)[0]),
        standard_error=error,
        values=np.concatenate(values),
        errors=np.concatenate(errors),
        floor=-1.0 if len(guesses) == 2 else 0.0,
        seed=seed,
        left_out=lambda: _difference(value_and_gradient(total - rows, metric)[0]),
    )


def _normal(tail: float) -> float:
    """Return how far out the normal distribution leaves this share, both ends together."""
    return -NormalDist().inv_cdf(tail / 2)


def _acceleration(left_out: Floats) -> float:
    """Return the skewness of a jackknife, as Efron's intervals use it; 0 if nothing varies."""
    away = left_out.mean() - left_out
    spread = float((away**2).sum())
    return float((away**3).sum()) / (6 * spread**1.5) if spread else 0.0


def _difference(values: Floats) -> Floats:
    """Return the second minus the first of shape (B, 2), or the only one of (B, 1)."""
    return np.asarray(values[:, 1] - values[:, 0] if values.shape[1] == 2 else values[:, 0])


def _signed(gradients: Floats) -> Floats:
    """Return the gradient of `_difference`, shape (B, S, 2 or 3, K)."""
    if gradients.shape[1] == 2:
        return np.asarray(gradients * np.array([-1.0, 1.0])[:, None, None])
    return gradients

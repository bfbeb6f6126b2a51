"""How sure a measured F1 is: bootstrap intervals of a score and of a paired difference.

Every F1 here is a function of three sums over the texts: true positives, decided plus true
positives (``F1 = 2 tp / s``), and true positives per label. A resample of the texts weighs their
rows, so all resamples together are one matrix product, which is exact in float32 because every
number in it is a small integer. Texts are drawn with equal chance, not stratified: a label's number
of positives varies from resample to resample, as it would from test split to test split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from goemo_eval.errors import ScoreError, unknown_name
from goemo_eval.frozen import Frozen
from goemo_eval.measure.metrics import indicator

Method = Literal["studentized", "percentile", "bca"]
METRICS = ("macro_f1", "micro_f1", "weighted_f1")
Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

_CHUNK = 256  # resamples at a time: their weights stay in the processor's cache
_EQUAL = 1e-12  # a standard error below it is none: predictions that are the same
_NO_SPREAD = 1e-3  # a share of the standard error: below it lie only rounding errors


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

    def _width(self, confidence: float) -> float:
        """Return half the width of the symmetric bootstrap-t interval."""
        if self.standard_error <= _EQUAL:
            return 0.0
        # Where few decisions differ, some resamples hold none of them and have no spread of their own.
        spread = self.errors > _NO_SPREAD * self.standard_error
        ratios = np.abs(self.values - self.point) / np.where(
            spread, self.errors, self.standard_error
        )
        quantile = float(np.quantile(ratios, confidence, method="higher"))
        # Never narrower than the normal approximation, which such resamples could make it.
        return max(quantile, NormalDist().inv_cdf((1 + confidence) / 2)) * self.standard_error

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
        narrow in a simulation, ``bca`` the more so (``bench/gate_simulation.py``).
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
    _check_metric(metric, truth.shape[1])
    rows = text_sums(truth, guesses, support=metric == "weighted_f1")
    total = rows.sum(axis=0, dtype=np.float64)
    scores, gradients = value_and_gradient(total[None], metric)
    flat, group = _distinct(rows.reshape(len(rows), -1))
    influence = flat @ _signed(gradients).ravel()
    error = float(np.sqrt(np.bincount(group) @ influence**2))
    values, errors = [], []
    rng = np.random.default_rng(seed)
    for number in chunks(n_resamples):
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


def _acceleration(left_out: Floats) -> float:
    """Return the skewness of a jackknife, as Efron's intervals use it; 0 if nothing varies."""
    away = left_out.mean() - left_out
    spread = float((away**2).sum())
    return float((away**3).sum()) / (6 * spread**1.5) if spread else 0.0


def _distinct(
    rows: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Return the distinct rows, and which of them each row is: equal texts are weighed as one."""
    keys = rows.astype(np.uint8).view(np.dtype((np.void, rows.shape[1]))).ravel()
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], group


def draw(
    rng: np.random.Generator, number: int, group: npt.NDArray[np.intp], n_groups: int
) -> npt.NDArray[np.float32]:
    """Draw how often each group of texts stands in each of some resamples of the texts."""
    n = len(group)
    width = np.uint16 if n <= 1 << 16 else np.uint32  # narrow numbers are drawn several at once
    weights = np.empty((number, n_groups), np.float32)
    for i, row in enumerate(rng.integers(0, n, (number, n), dtype=width)):
        weights[i] = np.bincount(group[row], minlength=n_groups)
    return weights


def chunks(n: int) -> Iterator[int]:
    """Yield the sizes of the portions in which n draws are made."""
    for start in range(0, n, _CHUNK):
        yield min(_CHUNK, n - start)


def text_sums(
    truth: Bools, guesses: Sequence[Bools], *, support: bool = False
) -> npt.NDArray[np.float32]:
    """Return what each text adds to tp, s and, if asked, support of each set of predictions.

    Shape (N, S, 2 or 3, K).
    """
    more = [truth] if support else []
    sets = [np.stack([truth & g, truth.astype(np.int8) + g, *more], axis=1) for g in guesses]
    return np.stack(sets, axis=1).astype(np.float32)


def value_and_gradient(sums: Floats, metric: str | int) -> tuple[Floats, Floats]:
    """Return a metric, and its derivatives by the sums that it is made of.

    Parameters
    ----------
    sums : ndarray, shape (..., 2, K) or (..., 3, K)
        tp, s, and for weighted F1 support.

    Returns
    -------
    values, ndarray of shape (...), and gradients, of the shape of `sums`
    """
    sums = sums.astype(np.float64)
    tp, s = sums[..., 0, :], sums[..., 1, :]
    gradient = np.zeros(sums.shape)
    if metric == "micro_f1":
        tp, s = tp.sum(axis=-1, keepdims=True), s.sum(axis=-1, keepdims=True)
    inverse = np.divide(1, s, out=np.zeros_like(s), where=s > 0)  # no such label: an F1 of 0
    f1 = 2 * tp * inverse
    if metric == "weighted_f1":
        everything = np.maximum(sums[..., 2, :].sum(axis=-1, keepdims=True), 1)
        share = sums[..., 2, :] / everything
        value = (share * f1).sum(axis=-1)
        gradient[..., 2, :] = (f1 - value[..., None]) / everything
    else:
        share = np.full(s.shape[-1], 1 / s.shape[-1])
        if isinstance(metric, int):
            share = np.eye(s.shape[-1])[metric]
        value = (share * f1).sum(axis=-1)
    gradient[..., 0, :] = 2 * share * inverse
    gradient[..., 1, :] = -share * f1 * inverse
    return value, gradient


def _difference(values: Floats) -> Floats:
    """Return the second minus the first of shape (B, 2), or the only one of (B, 1)."""
    return np.asarray(values[:, 1] - values[:, 0] if values.shape[1] == 2 else values[:, 0])


def _signed(gradients: Floats) -> Floats:
    """Return the gradient of `_difference`, shape (B, S, 2 or 3, K)."""
    if gradients.shape[1] == 2:
        return np.asarray(gradients * np.array([-1.0, 1.0])[:, None, None])
    return gradients


def indicators(
    targets: npt.NDArray[Any], predictions: Sequence[npt.NDArray[Any]], n_labels: int | None
) -> tuple[Bools, list[Bools]]:
    """Return targets and predictions as booleans of one shape (N, K).

    Raises
    ------
    ScoreError
        If they do not fit one another.
    """
    arrays = [np.asarray(a) for a in (targets, *predictions)]
    if n_labels is None:
        n_labels = max(a.shape[1] if a.ndim == 2 else int(a.max(initial=0)) + 1 for a in arrays)
    names = ("targets", *(("baseline", "candidate") if len(predictions) == 2 else ("predictions",)))
    found = [indicator(a, name, n_labels) for a, name in zip(arrays, names, strict=True)]
    for name, array in zip(names, found, strict=True):
        if len(array) != len(found[0]):
            raise ScoreError(
                f"targets have {len(found[0])} rows, {name} {len(array)}: pass equal rows"
            )
    return found[0], found[1:]


def check_draws(number: int, seed: int) -> None:
    """Check how often is drawn, and with which seed."""
    if number < 100:
        raise ScoreError(f"resamples must number at least 100: got {number}")
    if seed < 0:
        raise ScoreError(f"seed must be at least 0: got {seed}")


def _check_metric(metric: str | int, n_labels: int) -> None:
    if isinstance(metric, int):
        if not 0 <= metric < n_labels:
            raise ScoreError(f"metric {metric} is no column: expected 0 to {n_labels - 1}")
    elif metric not in METRICS:
        raise ScoreError(unknown_name("metric", metric, METRICS))

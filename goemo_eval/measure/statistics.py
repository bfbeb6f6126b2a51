"""How sure a measured F1 is: bootstrap intervals of a score and of a paired difference.

Every F1 here is a function of three sums over the texts: true positives, decided plus true
positives (``F1 = 2 tp / s``), and true positives per label. A resample of the texts weighs their
rows, so all resamples together are one matrix product, which is exact in float32 because every
number in it is a small integer. Texts are drawn with equal chance, not stratified: a label's number
of positives varies from resample to resample, as it would from test split to test split.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from goemo_eval.errors import ScoreError, unknown_name
from goemo_eval.measure.metrics import indicator
from goemo_eval.measure.plain import Plain

Method = Literal["studentized", "percentile", "bca"]
METRICS = ("macro_f1", "micro_f1", "weighted_f1")
Floats = npt.NDArray[np.floating[Any]]

_CHUNK = 256  # resamples at a time: their weights stay in the processor's cache


class Interval(Plain):
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


class SwapTest(NamedTuple):
    """One-sided p-values: how often chance alone makes the candidate look that much worse."""

    macro_f1: float
    per_label: npt.NDArray[np.float64]


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
        them for bias and skewness [2]_. Where labels are rare the last two are too narrow: the
        correction reads bias into ties between resamples (``bench/gate_simulation.py``).
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
    return _bootstrap(
        targets,
        (baseline, candidate),
        metric=metric,
        n_resamples=n_resamples,
        confidence=confidence,
        method=method,
        seed=seed,
        n_labels=n_labels,
    )


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
    return _bootstrap(
        targets,
        (predictions,),
        metric=metric,
        n_resamples=n_resamples,
        confidence=confidence,
        method=method,
        seed=seed,
        n_labels=n_labels,
    )


def swap_test(
    targets: npt.NDArray[Any],
    baseline: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    *,
    n_swaps: int = 10_000,
    seed: int = 0,
    n_labels: int | None = None,
) -> SwapTest:
    """Test by permutation whether the candidate is worse, overall and for each label.

    If nothing had changed, baseline and candidate could change places on any text. Each round
    swaps them on about half of the texts and asks whether the drop is at least as large as the
    one measured. The test is exact for a drop of zero, however rare a label is; it knows no
    other margin [1]_.

    Parameters
    ----------
    targets, baseline, candidate, seed, n_labels
        As in `paired_bootstrap`.
    n_swaps : int, default 10,000
        At least 100. No p-value is below ``1 / (n_swaps + 1)``.

    Returns
    -------
    SwapTest
        P-values in ``(0, 1]`` for the drop of Macro-F1 and of each label's F1, not corrected for
        the number of labels: see `holm`.

    Raises
    ------
    ScoreError
        If the arrays do not fit one another or an option is out of range.

    References
    ----------
    .. [1] E. W. Noreen, Computer-intensive methods for testing hypotheses (1989).
    """
    _check_options(n_swaps, 0.5, seed)
    truth, guesses = _arrays(targets, (baseline, candidate), n_labels)
    rows = _rows(truth, guesses, "macro_f1")
    total = rows.sum(axis=0, dtype=np.float64)
    swapped = rows[:, [1, 0]] - rows
    swapped = swapped[swapped.any(axis=(1, 2, 3))]  # most texts are decided alike
    size = total.size
    rng = np.random.default_rng(seed)
    measured = _drops(total[None])[0]
    least = measured - 1e-9  # ties count against a finding, whatever their last bit
    at_least = np.zeros(len(measured))
    for number in _chunks(n_swaps):
        heads = rng.integers(0, 2, (number, len(swapped)), dtype=np.uint8).astype(np.float32)
        moved = heads @ swapped.reshape(len(swapped), size)
        at_least += (_drops(total + moved.reshape(number, *total.shape)) >= least).sum(axis=0)
    p_values = (at_least + 1) / (n_swaps + 1)
    return SwapTest(float(p_values[0]), p_values[1:])


def holm(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Correct p-values for their number, by Holm's step-down method.

    Rejecting what is at most alpha keeps the chance of any false finding at most alpha.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = values.argsort(kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(steps, 1)
    return corrected


def detectable_drop(standard_error: float, *, alpha: float, power: float = 0.8) -> float:
    """Return the smallest true drop beyond the budget that would be found with a given chance.

    Parameters
    ----------
    standard_error : float
        Of the paired difference.
    alpha : float
        Chance of a false alarm, one-sided, in ``(0, 1)``.
    power : float, default 0.8
    """
    from scipy.special import ndtri

    return float((ndtri(1 - alpha) + ndtri(power)) * standard_error)


def _bootstrap(
    targets: npt.NDArray[Any],
    predictions: tuple[npt.NDArray[Any], ...],
    *,
    metric: str | int,
    n_resamples: int,
    confidence: float,
    method: Method,
    seed: int,
    n_labels: int | None,
) -> Interval:
    _check_options(n_resamples, confidence, seed)
    if method not in get_args(Method):
        raise ScoreError(unknown_name("method", method, get_args(Method)))
    truth, guesses = _arrays(targets, predictions, n_labels)
    _check_metric(metric, truth.shape[1])
    rows = _rows(truth, guesses, metric)
    total = rows.sum(axis=0, dtype=np.float64)
    values, gradients = _value_and_gradient(total[None], metric)
    point = _difference(values)[0]
    influence = _signed(gradients)[0].ravel() @ rows.reshape(len(rows), -1).T
    error = float(np.sqrt(influence @ influence))
    resampled, errors = _resample(
        rows, metric, n_resamples, seed, with_errors=method == "studentized"
    )
    if method == "studentized":
        away = np.abs(resampled - point)
        # A resample without any spread says nothing, or that no width is wide enough.
        ratios = np.divide(away, errors, out=np.where(away > 1e-9, np.inf, 0.0), where=errors > 0)
        # "higher": the next one is at least as wide, and infinity stays itself.
        width = np.quantile(ratios, confidence, method="higher") * error if error else 0.0
        low, high = point - width, point + width
    else:
        tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
        if method == "bca":
            tails = _bca_tails(tails, resampled, point, _leave_one_out(rows, total, metric))
        low, high = np.quantile(resampled, tails)
    floor = -1.0 if len(predictions) == 2 else 0.0
    return Interval(
        point=float(point),
        low=max(float(low), floor),
        high=min(float(high), 1.0),
        confidence=confidence,
        standard_error=error,
        method=method,
        n_resamples=n_resamples,
        seed=seed,
    )


def _resample(
    rows: npt.NDArray[np.float32],
    metric: str | int,
    n_resamples: int,
    seed: int,
    *,
    with_errors: bool,
) -> tuple[Floats, Floats]:
    """Return the resamples' values, and their standard errors where asked for."""
    flat, group = _distinct(rows.reshape(len(rows), -1))
    values, errors = [], []
    rng = np.random.default_rng(seed)
    for number in _chunks(n_resamples):
        weights = _draw(rng, number, group, len(flat))
        sums = (weights @ flat).reshape(number, *rows.shape[1:])
        scores, gradients = _value_and_gradient(sums, metric)
        values.append(_difference(scores))
        if with_errors:
            slopes = _signed(gradients).reshape(number, -1).astype(np.float32)
            influence = slopes @ flat.T
            errors.append(np.sqrt(np.einsum("bn,bn,bn->b", weights, influence, influence)))
    return np.concatenate(values), np.concatenate(errors) if errors else np.zeros(0)


def _distinct(
    rows: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Return the distinct rows, and which of them each row is: equal texts are weighed as one."""
    keys = rows.astype(np.uint8).view(np.dtype((np.void, rows.shape[1]))).ravel()
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], group


def _draw(
    rng: np.random.Generator, number: int, group: npt.NDArray[np.intp], n_groups: int
) -> npt.NDArray[np.float32]:
    """Draw how often each group of texts stands in each of some resamples of the texts."""
    n = len(group)
    width = np.uint16 if n <= 1 << 16 else np.uint32  # narrow numbers are drawn several at once
    weights = np.empty((number, n_groups), np.float32)
    for i, row in enumerate(rng.integers(0, n, (number, n), dtype=width)):
        weights[i] = np.bincount(group[row], minlength=n_groups)
    return weights


def _chunks(n: int) -> Iterator[int]:
    for start in range(0, n, _CHUNK):
        yield min(_CHUNK, n - start)


def _rows(
    truth: npt.NDArray[np.bool_], guesses: list[npt.NDArray[np.bool_]], metric: str | int
) -> npt.NDArray[np.float32]:
    """Return what each text adds to each set's tp, s and, for weighted F1, support.

    Shape (N, S, 2 or 3, K).
    """
    support = [truth] if metric == "weighted_f1" else []
    sets = [np.stack([truth & g, truth.astype(np.int8) + g, *support], axis=1) for g in guesses]
    return np.stack(sets, axis=1).astype(np.float32)


def _value_and_gradient(sums: Floats, metric: str | int) -> tuple[Floats, Floats]:
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


def _drops(sums: Floats) -> Floats:
    """Return the drop of Macro-F1 and of each label, shape (B, 1 + K), from (B, 2, 2, K)."""
    tp, s = sums[:, :, 0].astype(np.float64), sums[:, :, 1]
    f1 = np.divide(2 * tp, s, out=np.zeros_like(tp), where=s > 0)
    drop = f1[:, 0] - f1[:, 1]
    return np.concatenate([drop.mean(axis=1, keepdims=True), drop], axis=1)


def _leave_one_out(rows: Floats, total: Floats, metric: str | int) -> Floats:
    return _difference(_value_and_gradient(total - rows, metric)[0])


def _bca_tails(tails: Floats, resampled: Floats, point: float, left_out: Floats) -> Floats:
    """Return the quantiles that bias and acceleration call for (Efron 1987)."""
    from scipy.special import ndtr, ndtri

    below = ((resampled < point).sum() + (resampled <= point).sum()) / (2 * len(resampled))
    skew = left_out.mean() - left_out
    spread = (skew**2).sum()
    if not spread or not 0 < below < 1:  # nothing varies, or no quantile could say how
        return tails
    acceleration = (skew**3).sum() / (6 * spread**1.5)
    z = ndtri(below) + ndtri(tails)
    return np.asarray(ndtr(ndtri(below) + z / (1 - acceleration * z)))


def _arrays(
    targets: npt.NDArray[Any], predictions: tuple[npt.NDArray[Any], ...], n_labels: int | None
) -> tuple[npt.NDArray[np.bool_], list[npt.NDArray[np.bool_]]]:
    arrays = [np.asarray(a) for a in (targets, *predictions)]
    if n_labels is None:
        wide = [a.shape[1] if a.ndim == 2 else int(a.max(initial=0)) + 1 for a in arrays]
        n_labels = max(wide)
    names = ("targets", *(("baseline", "candidate") if len(predictions) == 2 else ("predictions",)))
    found = [indicator(a, name, n_labels) for a, name in zip(arrays, names, strict=True)]
    for name, array in zip(names, found, strict=True):
        if len(array) != len(found[0]):
            raise ScoreError(
                f"targets have {len(found[0])} rows, {name} {len(array)}: pass equal rows"
            )
    return found[0], found[1:]


def _check_options(n_resamples: int, confidence: float, seed: int) -> None:
    if n_resamples < 100:
        raise ScoreError(f"resamples must number at least 100: got {n_resamples}")
    if not 0 < confidence < 1:
        raise ScoreError(f"confidence must lie between 0 and 1: got {confidence}")
    if seed < 0:
        raise ScoreError(f"seed must be at least 0: got {seed}")


def _check_metric(metric: str | int, n_labels: int) -> None:
    if isinstance(metric, int):
        if not 0 <= metric < n_labels:
            raise ScoreError(f"metric {metric} is no column: expected 0 to {n_labels - 1}")
    elif metric not in METRICS:
        raise ScoreError(unknown_name("metric", metric, METRICS))

"""Calibration: whether a probability of 0.7 comes true 7 times in 10, and F1 along the threshold.

Both need probabilities, which a record does not keep; what a report draws of them is kept instead.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from goemo_eval.errors import ScoreError
from goemo_eval.frozen import Frozen
from goemo_eval.measure.f1 import f1_per_label
from goemo_eval.measure.metrics import Count, Unit, indicator

N_BINS = 15
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))
_DIGITS = 5  # enough for a plot, and a third of the bytes


class Bin(Frozen):
    """Probabilities between two limits: how many, their mean, and the share that came true."""

    count: Annotated[int, Field(ge=1)]
    probability: Unit
    observed: Unit


class Calibration(Frozen):
    """How far probabilities are to be believed, on the test split."""

    ece: Unit
    """Of the bins below: mean distance between probability and share, weighted by count."""
    bins: Annotated[tuple[Bin, ...], Field(min_length=1)]
    """Filled ones of 15 of equal width. Multilabel: every text and label. Multiclass: every text's
    predicted class, the confidence."""
    ece_per_label: tuple[Unit, ...]
    """Of each label's own probabilities, in column order."""

    @model_validator(mode="after")
    def _ece_of_the_bins(self) -> Self:
        found = _ece(self.bins)
        if abs(self.ece - found) > 10**-_DIGITS:
            raise ValueError(f"ece {self.ece} does not follow from bins (found {found})")
        return self


class ThresholdCurves(Frozen):
    """F1 of every label along the threshold, on the validation split (multilabel schemes)."""

    thresholds: Annotated[tuple[Unit, ...], Field(min_length=2)]
    f1: tuple[tuple[Unit, ...], ...]
    """One row per label, one value per threshold."""
    support: tuple[Count, ...]

    @model_validator(mode="after")
    def _one_value_per_threshold(self) -> Self:
        if any(len(row) != len(self.thresholds) for row in self.f1):
            raise ValueError("f1 must hold one value per label and threshold")
        if any(low >= high for low, high in pairwise(self.thresholds)):
            raise ValueError("thresholds must rise")
        return self


def calibrate(probabilities: npt.NDArray[Any], targets: npt.NDArray[Any]) -> Calibration:
    """Measure the expected calibration error (ECE) and its bins.

    Parameters
    ----------
    probabilities : ndarray of float, shape (N, K)
        In ``[0, 1]``.
    targets : ndarray of bool, shape (N, K), or ndarray of int, shape (N,)
        Multilabel truth, or class ids.

    Returns
    -------
    Calibration

    Raises
    ------
    ScoreError
        If shapes differ or a probability is NaN or outside ``[0, 1]``.

    Notes
    -----
    ECE over bins of equal width is that of Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated
    Probabilities Using Bayesian Binning", AAAI 2015; over a multiclass model's confidence, of Guo
    et al., "On Calibration of Modern Neural Networks", ICML 2017. Per label it is the classwise one.

    Examples
    --------
    >>> import numpy as np
    >>> calibrate(np.array([[0.8], [0.8], [0.8], [0.8]]), np.ones((4, 1), bool)).ece
    0.2
    """
    probabilities, truth = _checked(probabilities, targets)
    if np.asarray(targets).ndim == 1:
        top = probabilities.argmax(axis=1)
        rows = np.arange(len(top))
        bins = _bins(probabilities[rows, top], truth[rows, top])
    else:
        bins = _bins(probabilities.ravel(), truth.ravel())
    per_label = (_ece(_bins(p, t)) for p, t in zip(probabilities.T, truth.T, strict=True))
    return Calibration(ece=_ece(bins), bins=bins, ece_per_label=tuple(per_label))


def threshold_curves(
    probabilities: npt.NDArray[Any], targets: npt.NDArray[np.bool_]
) -> ThresholdCurves:
    """Return F1 of every label at thresholds 0.05, 0.10, ... 0.95 (positive where ``>=``).

    Parameters
    ----------
    probabilities : ndarray of float, shape (N, K)
        In ``[0, 1]``.
    targets : ndarray of bool, shape (N, K)

    Returns
    -------
    ThresholdCurves
        A label without positives has an F1 of 0 everywhere.

    Raises
    ------
    ScoreError
        If shapes differ or a probability is NaN or outside ``[0, 1]``.
    """
    probabilities, truth = _checked(probabilities, targets)
    support = truth.sum(axis=0)
    curves = [f1_per_label(truth, probabilities >= threshold) for threshold in THRESHOLDS]
    return ThresholdCurves(
        thresholds=THRESHOLDS,
        f1=tuple(tuple(row) for row in np.round(np.transpose(curves), _DIGITS).tolist()),
        support=tuple(support.tolist()),
    )


def _checked(
    probabilities: npt.NDArray[Any], targets: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return probabilities and truth, both of shape (N, K)."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.size == 0:
        raise ScoreError(
            f"probabilities must have shape (N, K), N, K >= 1: got {probabilities.shape}"
        )
    truth = indicator(targets, "targets", probabilities.shape[1])
    if len(truth) != len(probabilities):
        raise ScoreError(
            f"targets have {len(truth)} rows, probabilities {len(probabilities)}: pass equal rows"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ScoreError("probabilities must lie in [0, 1]: got NaN or a value outside")
    return probabilities, truth


def _bins(probabilities: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> tuple[Bin, ...]:
    """Return the filled bins; a probability of 1 belongs to the last."""
    where = np.minimum((probabilities * N_BINS).astype(int), N_BINS - 1)
    count = np.bincount(where, minlength=N_BINS)
    summed = np.bincount(where, weights=probabilities, minlength=N_BINS)
    hits = np.bincount(where, weights=truth, minlength=N_BINS)
    return tuple(
        Bin(
            count=int(count[i]),
            probability=round(float(min(summed[i] / count[i], 1.0)), _DIGITS),
            observed=round(float(hits[i] / count[i]), _DIGITS),
        )
        for i in np.flatnonzero(count)
    )


def _ece(bins: tuple[Bin, ...]) -> float:
    total = sum(b.count for b in bins)
    return round(sum(b.count * abs(b.probability - b.observed) for b in bins) / total, _DIGITS)

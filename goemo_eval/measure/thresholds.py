"""Thresholds that turn probabilities into decisions, by strategies that fit them to a split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import ScoreError, unknown_name
from goemo_eval.measure.f1 import FloatArray
from goemo_eval.measure.threshold_fitting import (
    FIXED,
    cross_fitted_thresholds,
    global_threshold,
    per_label_thresholds,
    shrunk_thresholds,
    smoothed_thresholds,
)

Strategy = Literal["fixed", "global", "per-label", "smoothed", "shrunk", "cross-fitted"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
CHOSEN = "chosen"
"""Stands for the strategy that `goemo_eval.measure.threshold_choice.choose_strategy` picks."""


@dataclass(frozen=True, eq=False)
class Thresholds:
    """One threshold per label.

    Attributes
    ----------
    strategy : {"fixed", "global", "per-label", "smoothed", "shrunk", "cross-fitted"}
    values : ndarray of float64, shape (K,)
        In ``[0, 1]``; a label is predicted where its probability is ``>=`` its value.
    fitted_on : str or None
        sha256 of the split that they were fitted on; None for ``fixed``, which fits nothing.
    """

    strategy: Strategy
    values: FloatArray
    fitted_on: str | None


def sigmoid(logits: npt.NDArray[Any]) -> FloatArray:
    """Return the logistic function of logits, in float64, without overflow.

    numpy alone: a served model decides by the same bits without scipy.
    """
    x = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small))


def softmax(logits: npt.NDArray[Any]) -> FloatArray:
    """Return class probabilities of logits of shape (N, K), in float64, without overflow."""
    x = np.asarray(logits, dtype=np.float64)
    powers = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True)).clip(0, 1)


def apply_thresholds(
    probabilities: npt.NDArray[Any], thresholds: Thresholds
) -> npt.NDArray[np.bool_]:
    """Decide: a label is predicted where its probability is at least (``>=``) its threshold.

    Parameters
    ----------
    probabilities : ndarray of float, shape (N, K)
    thresholds : Thresholds

    Returns
    -------
    ndarray of bool, shape (N, K)

    Raises
    ------
    ScoreError
        If the number of labels differs.
    """
    probabilities = _checked(probabilities)
    if probabilities.shape[1] != len(thresholds.values):
        raise ScoreError(
            f"probabilities have {probabilities.shape[1]} labels, thresholds {len(thresholds.values)}"
        )
    return probabilities >= thresholds.values


def search_thresholds(
    probabilities: npt.NDArray[Any],
    targets: npt.NDArray[np.bool_],
    strategy: str = "per-label",
    *,
    fitted_on: str,
) -> Thresholds:
    """Fit thresholds that maximise Macro-F1 on a split.

    Parameters
    ----------
    probabilities : ndarray of float, shape (N, K)
        In ``[0, 1]``.
    targets : ndarray of bool, shape (N, K)
    strategy : {"fixed", "global", "per-label", "smoothed", "shrunk", "cross-fitted"}, default "per-label"
        ``fixed``: 0.5 for all. ``global``: the one value with the best Macro-F1.
        ``per-label``: for each label the value with its best F1, which is the best Macro-F1 too;
        a label without positives here has no best value and takes the global one. The others
        give up some of that fit for labels with few positives: `goemo_eval.measure.threshold_fitting` says how.
    fitted_on : str
        sha256 of the split, kept so that scoring the same split can be refused.

    Returns
    -------
    Thresholds

    Raises
    ------
    ScoreError
        If the strategy is unknown, shapes differ, or a probability is NaN or outside [0, 1].

    Notes
    -----
    O(N K log N K): scores are sorted once, counts are running sums. The exact search over
    distinct scores follows Lipton, Elkan and Naryanaswamy, "Optimal Thresholding of Classifiers
    to Maximize F1 Measure", ECML PKDD 2014.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.9], [0.4], [0.2]])
    >>> search_thresholds(p, np.array([[True], [True], [False]]), fitted_on="abc").values
    array([0.3])
    """
    probabilities = _checked(probabilities)
    targets = np.asarray(targets)
    if targets.shape != probabilities.shape or targets.dtype != np.bool_:
        raise ScoreError(
            f"targets must be booleans of shape {probabilities.shape}: got dtype {targets.dtype}, "
            f"shape {targets.shape}"
        )
    n_labels = probabilities.shape[1]
    if strategy == "fixed":
        return Thresholds("fixed", np.full(n_labels, FIXED), None)
    if strategy == "global":
        return Thresholds(
            "global", np.full(n_labels, global_threshold(probabilities, targets)), fitted_on
        )
    if strategy in _PER_LABEL:
        values = _PER_LABEL[strategy](probabilities, targets)
        return Thresholds(strategy, values, fitted_on)  # type: ignore[arg-type]
    raise ScoreError(unknown_name("threshold strategy", strategy, STRATEGIES))


_PER_LABEL: dict[str, Callable[[FloatArray, npt.NDArray[np.bool_]], FloatArray]] = {
    "per-label": per_label_thresholds,
    "smoothed": smoothed_thresholds,
    "shrunk": shrunk_thresholds,
    "cross-fitted": cross_fitted_thresholds,
}


def _checked(probabilities: npt.NDArray[Any]) -> FloatArray:
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.size == 0:
        raise ScoreError(
            f"probabilities must have shape (N, K), N, K >= 1: got {probabilities.shape}"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ScoreError(
            "probabilities must lie in [0, 1]: got NaN or a value outside; pass sigmoid(logits)"
        )
    return probabilities

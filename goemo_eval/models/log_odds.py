"""From decision values of rows that a machine did not see to logits: Platt's scaling, and the shift of a prior."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from goemo_eval.models.head import SHIFTS

USUAL_SLOPE = 4.0
"""Of log-odds over decision values, where a label is too rare to tell."""
_SLOPES = (0.1, 100.0)

Decisions = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]


def platt(decisions: Decisions, columns: Labels) -> tuple[Decisions, Decisions]:
    """Return slope and offset per label that turn decision values into log-odds.

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999, with his corrected targets; a
    label with few positives keeps near the usual slope.

    Parameters
    ----------
    decisions : ndarray of float64, shape (N, K)
        Of rows that the machines did not see.
    columns : ndarray of bool, shape (N, K)

    Returns
    -------
    slope, offset : ndarray of float64, shape (K,)
        The slope is positive.
    """
    found = np.array([_platt(*pair) for pair in zip(decisions.T, columns.T, strict=True)])
    return found[:, 0], found[:, 1]


def _platt(
    values: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    from scipy.optimize import minimize
    from scipy.special import expit

    positives = int(truth.sum())
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (len(truth) - positives + 2))

    def loss(at: npt.NDArray[np.float64]) -> tuple[float, list[float]]:
        logits = at[0] * values + at[1]
        error = expit(logits) - target
        away = np.log(at[0] / USUAL_SLOPE)
        total = (np.logaddexp(0, logits) - target * logits).sum() + away**2 / 2
        return float(total), [float(error @ values + away / at[0]), float(error.sum())]

    start = np.array([USUAL_SLOPE, np.log(target.mean() / (1 - target.mean()))])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[_SLOPES, (None, None)])
    return np.asarray(best.x)


def best_shift(
    logits: Decisions, classes: npt.NDArray[np.int64], log_share: npt.NDArray[np.float64]
) -> float:
    """Return the multiple of the log shares with the best Macro-F1, the smallest of equals."""
    from sklearn.metrics import f1_score

    everyone = np.arange(logits.shape[1])

    def score(shift: float) -> float:
        guess = (logits + shift * log_share).argmax(axis=1)
        return float(f1_score(classes, guess, labels=everyone, average="macro", zero_division=0))

    scores = {float(shift): score(shift) for shift in sorted(SHIFTS, key=abs)}
    return max(scores, key=lambda shift: scores[shift])

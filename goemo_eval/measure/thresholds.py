"""Thresholds that turn probabilities into decisions, searched exactly.

Between two neighbouring scores every cut gives the same decisions, so a search over one cut
per distinct score is a search over all of them; no grid is needed. The chosen cut lies midway
between its two neighbouring scores. Of cuts with equal F1 the highest wins: it makes the fewest
positive decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import ScoreError, unknown_name

Strategy = Literal["fixed", "global", "per-label"]
STRATEGIES: tuple[Strategy, ...] = ("fixed", "global", "per-label")
FIXED = 0.5

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Thresholds:
    """One threshold per label.

    Attributes
    ----------
    strategy : {"fixed", "global", "per-label"}
    values : ndarray of float64, shape (K,)
        In ``[0, 1]``; a label is predicted where its probability is ``>=`` its value.
    fitted_on : str or None
        sha256 of the split that they were fitted on; None for ``fixed``, which fits nothing.
    """

    strategy: Strategy
    values: FloatArray
    fitted_on: str | None


def sigmoid(logits: npt.NDArray[Any]) -> FloatArray:
    """Return the logistic function of logits, in float64, without overflow."""
    from scipy.special import expit

    return np.asarray(expit(np.asarray(logits, dtype=np.float64)))


def softmax(logits: npt.NDArray[Any]) -> FloatArray:
    """Return class probabilities of logits of shape (N, K), in float64, without overflow."""
    from scipy.special import softmax as soft

    return np.asarray(soft(np.asarray(logits, dtype=np.float64), axis=1)).clip(0, 1)


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
    strategy : {"fixed", "global", "per-label"}, default "per-label"
        ``fixed``: 0.5 for all. ``global``: the one value with the best Macro-F1.
        ``per-label``: for each label the value with its best F1, which is the best Macro-F1 too;
        a label without positives here has no best value and takes the global one.
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
    best = _best_global(probabilities, targets)
    if strategy == "global":
        return Thresholds("global", np.full(n_labels, best), fitted_on)
    if strategy == "per-label":
        values = [
            _best_cut(probabilities[:, k], _f1_path(probabilities[:, k], targets[:, k])[1])
            if targets[:, k].any()
            else best
            for k in range(n_labels)
        ]
        return Thresholds("per-label", np.array(values), fitted_on)
    raise ScoreError(unknown_name("threshold strategy", strategy, STRATEGIES))


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


def _f1_path(
    scores: FloatArray, targets: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the order of falling scores, and F1 when the first 1, 2, ... N of it are positive."""
    order = np.argsort(-scores, kind="stable")
    tp = np.cumsum(targets[order])
    f1 = 2 * tp / (np.arange(1, len(scores) + 1) + targets.sum())
    return order, f1


def _best_cut(scores: FloatArray, values: FloatArray) -> float:
    """Return the midpoint cut below the best of `values`, the objective along falling `scores`.

    Only the last of equal scores is a cut. Below the lowest score the neighbour is 0.
    """
    falling = np.sort(scores)[::-1]
    last_of_equal = np.append(falling[:-1] != falling[1:], True)
    best = int(
        np.argmax(np.where(last_of_equal, values, -np.inf))
    )  # argmax: the first, the highest cut
    above = falling[best]
    below = falling[best + 1] if best + 1 < len(falling) else 0.0
    middle = (above + below) / 2
    # Neighbouring floats have no midpoint between them: the upper score itself is the cut then.
    return float(middle if middle > below or best + 1 == len(falling) else above)


def _best_global(probabilities: FloatArray, targets: npt.NDArray[np.bool_]) -> float:
    """Return the one cut with the best Macro-F1.

    Walking down all N*K scores, each step changes the F1 of one label: the sum of those changes
    is Macro-F1 at every cut.
    """
    if not targets.any():
        return FIXED
    n, n_labels = probabilities.shape
    steps = np.empty((n, n_labels))
    for k in range(n_labels):
        order, f1 = _f1_path(probabilities[:, k], targets[:, k])
        steps[order, k] = np.diff(f1, prepend=0.0)
    flat = probabilities.ravel()
    order = np.argsort(-flat, kind="stable")
    # A label's own steps keep their order here: the sort is stable and its rows were visited so too.
    return _best_cut(flat, np.cumsum(steps.ravel()[order]) / n_labels)

"""The exact search for thresholds, and forms of it that hold up on rows that they were not fitted on.

Between two neighbouring scores every threshold gives the same decisions, so a search over one
per distinct score is a search over all of them; no grid is needed. The chosen threshold lies midway
between its two neighbouring scores. Of thresholds with an equal objective the highest wins: it makes
the fewest positive decisions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from goemo_eval.measure.f1 import BoolArray, FloatArray, f1_from_counts

FIXED = 0.5
_ROUNDING = 1e-12  # of a sum of F1, which depends on its order


def per_label_thresholds(
    probabilities: FloatArray, targets: BoolArray, *, pseudo_count: float = 0.0
) -> FloatArray:
    """Return for each label the threshold with its best F1.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (N, K)
    targets : ndarray of bool, shape (N, K)
    pseudo_count : float, default 0
        See `smoothed_thresholds`.

    Returns
    -------
    ndarray of float64, shape (K,)
        A label without positives takes the global threshold.
    """
    fallback = None if targets.any(axis=0).all() else global_threshold(probabilities, targets)
    return np.array(
        [
            _best_of_label(scores, scores[truth], pseudo_count) if truth.any() else fallback
            for scores, truth in zip(probabilities.T, targets.T, strict=True)
        ],
        dtype=np.float64,
    )


def _best_of_label(scores: FloatArray, of_positives: FloatArray, pseudo_count: float) -> float:
    """Return one label's best threshold: it lies just below a positive's score.

    Moving it down to the next positive only adds false decisions until it gets there, so the others need
    not be tried.
    """
    rising, hits = np.sort(scores), np.sort(of_positives)
    first = np.searchsorted(rising, hits)  # where the scores begin that are decided
    tp = len(hits) - np.searchsorted(hits, hits)
    f1 = f1_from_counts(tp, len(rising) - first, len(hits) + pseudo_count)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))  # of equal ones the highest
    return _midway(hits[best], rising[first[best] - 1] if first[best] else None)


def smoothed_thresholds(
    probabilities: FloatArray, targets: BoolArray, *, pseudo_count: float = 8.0
) -> FloatArray:
    """Return for each label the threshold with the best smoothed F1.

    Smoothing keeps a label with few positives from a threshold that fits their accidents: F1 becomes
    ``2 tp / (predicted + positives + c)``, as if c positives had been missed besides. For a
    common label c is nothing; a rare one's threshold moves down, to where more of its positives lie.
    After Lin and Lin, "On the Thresholding Strategy for Infrequent Labels in Multi-label
    Classification", CIKM 2023, who smooth the F-measure that is tuned.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (N, K)
    targets : ndarray of bool, shape (N, K)
    pseudo_count : float
        c, 0 or more.
    """
    return per_label_thresholds(probabilities, targets, pseudo_count=pseudo_count)


def shrunk_thresholds(
    probabilities: FloatArray, targets: BoolArray, *, strength: float = 3.0
) -> FloatArray:
    """Return per-label thresholds drawn toward the global one, the rarer the label the more.

    On the logit scale: ``w own + (1 - w) global`` with ``w = n / (n + strength)`` for a label with
    n positives, the weight that a sample of n has against a prior worth `strength`.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (N, K)
    targets : ndarray of bool, shape (N, K)
    strength : float
        Positives that the global threshold counts for.
    """
    from scipy.special import expit

    own = _logit(per_label_thresholds(probabilities, targets))
    prior = _logit(np.array(global_threshold(probabilities, targets)))
    n = targets.sum(axis=0)
    weight = n / (n + strength)
    return np.asarray(expit(weight * own + (1 - weight) * prior))


def cross_fitted_thresholds(
    probabilities: FloatArray,
    targets: BoolArray,
    *,
    n_folds: int = 5,
    repeats: int = 2,
    seed: int = 0,
) -> FloatArray:
    """Return for each label the median of the smoothed thresholds of all rows but one fold.

    A threshold that hangs on a few rows differs from fold to fold; their median does not follow any
    one of them.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (N, K)
    targets : ndarray of bool, shape (N, K)
    n_folds, repeats, seed : int
        Of the splits into folds; see `fold_of_rows`.
    """
    fitted = []
    for repeat in range(repeats):
        fold = fold_of_rows(targets, n_folds=n_folds, seed=seed + repeat)
        for left_out in np.unique(fold):
            rows = fold != left_out
            if not rows.any():  # a single row: there is nothing to leave out
                rows = ~rows
            fitted.append(smoothed_thresholds(probabilities[rows], targets[rows]))
    return np.asarray(np.median(fitted, axis=0))


def fold_of_rows(targets: BoolArray, *, n_folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Return a fold per row, with every label's positives spread as evenly as its rows allow.

    Rows are dealt out in the order of their rarest label, shuffled within it: what matters is
    that no fold is left without the positives of a label that has few.

    Parameters
    ----------
    targets : ndarray of bool, shape (N, K)
    n_folds, seed : int

    Returns
    -------
    ndarray of int64, shape (N,)
        In ``[0, n_folds)``.
    """
    n = len(targets)
    counts = targets.sum(axis=0)
    rarest = np.where(targets, counts, n + 1).min(axis=1)
    column = np.where(targets, counts, n + 1).argmin(axis=1)
    shuffled = np.random.default_rng(seed).permutation(n)
    order = np.lexsort((shuffled, column, rarest))
    fold = np.empty(n, dtype=np.int64)
    fold[order] = np.arange(n) % n_folds
    return fold


def _logit(p: FloatArray) -> FloatArray:
    from scipy.special import logit

    return np.asarray(logit(np.clip(p, 1e-6, 1 - 1e-6)))


def f1_path(scores: FloatArray, targets: BoolArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the order of falling scores, and F1 when the first 1, 2, ... N of it are positive."""
    order = np.argsort(-scores, kind="stable")
    tp = np.cumsum(targets[order])
    predicted = np.arange(1, len(scores) + 1)
    return order, f1_from_counts(tp, predicted, targets.sum())


def best_threshold(scores: FloatArray, values: FloatArray) -> float:
    """Return the midpoint threshold below the best of `values`, the objective along falling `scores`.

    Only below the last of equal scores there is a threshold. Of equal values the highest threshold is
    taken; sums in another order, of rows that were shuffled, are equal up to rounding.
    """
    falling = np.sort(scores)[::-1]
    last_of_equal = np.append(falling[:-1] != falling[1:], True)
    allowed = np.where(last_of_equal, values, -np.inf)
    best = int(np.argmax(allowed >= allowed.max() - _ROUNDING))
    return _midway(falling[best], falling[best + 1] if best + 1 < len(falling) else None)


def _midway(above: float, below: float | None) -> float:
    """Return the threshold between two neighbouring scores; below the lowest score the neighbour is 0."""
    middle = (above + (below or 0.0)) / 2
    # Neighbouring floats have no midpoint between them: the upper score itself is the threshold then.
    return float(middle if below is None or middle > below else above)


def global_threshold(probabilities: FloatArray, targets: BoolArray) -> float:
    """Return the one threshold with the best Macro-F1.

    Walking down all N*K scores, each step changes the F1 of one label: the sum of those changes
    is Macro-F1 at every threshold.
    """
    if not targets.any():
        return FIXED
    n, n_labels = probabilities.shape
    steps = np.empty((n, n_labels))
    for k in range(n_labels):
        order, f1 = f1_path(probabilities[:, k], targets[:, k])
        steps[order, k] = np.diff(f1, prepend=0.0)
    flat = probabilities.ravel()
    order = np.argsort(-flat, kind="stable")
    # A label's own steps keep their order here: the sort is stable and its rows were visited so too.
    return best_threshold(flat, np.cumsum(steps.ravel()[order]) / n_labels)

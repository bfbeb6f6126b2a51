"""F1 from counts: the one place where it is computed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def f1_from_counts(
    tp: npt.ArrayLike, predicted: npt.ArrayLike, support: npt.ArrayLike
) -> FloatArray:
    """Return ``2 tp / (predicted + support)``, and 0 where nothing is predicted or true.

    Such a label stays in a mean: leaving it out would change what Macro-F1 means from split to split.

    Parameters
    ----------
    tp, predicted, support : array_like of number, of shapes that broadcast
        True positives, decided and true positives in all: at least 0, whole or not (weighted texts).

    Returns
    -------
    ndarray of float64
        Of the broadcast shape, in ``[0, 1]``.

    Examples
    --------
    >>> f1_from_counts([1, 0], [1, 0], [3, 0])
    array([0.5, 0. ])
    """
    tp = np.asarray(tp)
    both = np.add(predicted, support)
    tp, both = np.broadcast_arrays(tp, both)
    return ratio(2 * tp, both)


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> FloatArray:
    """Return ``part / whole`` element by element, and 0 where there is no whole."""
    part, whole = np.asarray(part), np.asarray(whole)
    return np.asarray(np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0))


def counts(truth: BoolArray, guess: BoolArray) -> tuple[npt.NDArray[np.int64], ...]:
    """Return tp, predicted and support per label.

    Parameters
    ----------
    truth, guess : ndarray of bool, shape (N, K)

    Returns
    -------
    tuple of three ndarrays of int64, shape (K,)
    """
    return tuple(
        np.count_nonzero(each, axis=0).astype(np.int64) for each in (truth & guess, guess, truth)
    )


def f1_per_label(truth: BoolArray, guess: BoolArray) -> FloatArray:
    """Return F1 per label, shape (K,), of decisions of shape (N, K); see `f1_from_counts`."""
    return f1_from_counts(*counts(truth, guess))


def macro_f1(truth: BoolArray, guess: BoolArray) -> float:
    """Return the unweighted mean of `f1_per_label`."""
    return float(f1_per_label(truth, guess).mean())

"""Which threshold strategy holds up: judged by cross-validation on the split that it is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.measure.f1 import macro_f1
from goemo_eval.measure.threshold_fitting import fold_of_rows
from goemo_eval.measure.thresholds import (
    STRATEGIES,
    Strategy,
    apply_thresholds,
    search_thresholds,
)


def cross_validate(
    probabilities: npt.NDArray[Any],
    targets: npt.NDArray[np.bool_],
    *,
    strategies: Sequence[Strategy] = STRATEGIES,
    n_folds: int = 5,
    repeats: int = 3,
    seed: int = 0,
) -> dict[Strategy, float]:
    """Return the Macro-F1 of each strategy on rows that its thresholds were not fitted on.

    The decisions of all folds are scored together: a fold alone holds two or three positives of
    a rare label, and the mean of such F1 says little.

    Parameters
    ----------
    probabilities : ndarray of float, shape (N, K)
        In ``[0, 1]``.
    targets : ndarray of bool, shape (N, K)
    strategies : sequence of str
    n_folds, repeats : int
        The mean over `repeats` different splits into folds is returned.
    seed : int
        Of the splits; see `goemo_eval.measure.threshold_fitting.fold_of_rows`.

    Returns
    -------
    dict of str to float

    Raises
    ------
    ScoreError
        As `search_thresholds` does.
    """
    probabilities, targets = np.asarray(probabilities), np.asarray(targets)
    scores: dict[Strategy, list[float]] = {strategy: [] for strategy in strategies}
    for repeat in range(repeats):
        fold = fold_of_rows(targets, n_folds=n_folds, seed=seed + repeat)
        for strategy in strategies:
            decisions = np.zeros_like(targets)
            for held_out in np.unique(fold):
                out = fold == held_out
                fitted = search_thresholds(
                    probabilities[~out], targets[~out], strategy, fitted_on=f"all but {held_out}"
                )
                decisions[out] = apply_thresholds(probabilities[out], fitted)
            scores[strategy].append(macro_f1(targets, decisions))
    return {strategy: float(np.mean(values)) for strategy, values in scores.items()}


def choose_strategy(
    probabilities: npt.NDArray[Any], targets: npt.NDArray[np.bool_], *, seed: int = 0
) -> tuple[Strategy, dict[Strategy, float]]:
    """Choose the strategy with the best cross-validated Macro-F1.

    Parameters
    ----------
    probabilities : ndarray of float, shape (N, K)
        Of the validation split, N at least 2.
    targets : ndarray of bool, shape (N, K)
    seed : int, default 0

    Returns
    -------
    strategy : str
        Of equals the simplest, in the order of `STRATEGIES`.
    scores : dict of str to float
        Of all strategies; see `cross_validate`.
    """
    scores = cross_validate(probabilities, targets, seed=seed)
    return max(STRATEGIES, key=lambda strategy: scores[strategy]), scores

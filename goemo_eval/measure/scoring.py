"""From logits to scores, by the one path that keeps fitting and scoring apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.base import check_finite
from goemo_eval.errors import ScoreError
from goemo_eval.measure.metrics import Scores, score_predictions
from goemo_eval.measure.thresholds import (
    Thresholds,
    apply_thresholds,
    search_thresholds,
    sigmoid,
)


def fit_thresholds(
    logits: npt.NDArray[Any], targets: npt.NDArray[Any], *, strategy: str, fitted_on: str
) -> Thresholds:
    """Fit thresholds to multilabel logits of shape (N, K); see `search_thresholds`."""
    check_finite(logits)
    return search_thresholds(sigmoid(logits), targets, strategy, fitted_on=fitted_on)


def validation_score(logits: npt.NDArray[Any], targets: npt.NDArray[Any]) -> float:
    """Return Macro-F1 on the split that an epoch or a trial is judged by.

    Parameters
    ----------
    logits : ndarray of float, shape (N, K)
    targets : ndarray of bool, shape (N, K), or ndarray of int, shape (N,)
        Multilabel logits are decided by per-label thresholds fitted to these very rows: it
        flatters, but it flatters every epoch and trial alike.

    Returns
    -------
    float
    """
    here = "the rows that are scored"
    multilabel = np.asarray(targets).ndim == 2
    thresholds = (
        fit_thresholds(logits, targets, strategy="per-label", fitted_on=here)
        if multilabel
        else None
    )
    return score_logits(
        logits,
        targets,
        labels=[str(k) for k in range(np.asarray(logits).shape[1])],
        split_sha256=here,
        thresholds=thresholds,
        in_sample=True,
    ).macro_f1


def decide(logits: npt.NDArray[Any], thresholds: Thresholds | None) -> npt.NDArray[Any]:
    """Turn logits into decisions.

    Parameters
    ----------
    logits : ndarray of float, shape (N, K)
    thresholds : Thresholds or None
        None for a multiclass scheme.

    Returns
    -------
    ndarray of bool, shape (N, K), or ndarray of int64, shape (N,)
        Sigmoid against thresholds, or the class of the largest logit (ties: the lower id).

    Raises
    ------
    ScoreError
        If a logit is not finite, or the number of labels differs.
    """
    check_finite(logits)
    if thresholds is None:
        return np.asarray(logits.argmax(axis=1))
    return apply_thresholds(sigmoid(logits), thresholds)


def score_logits(
    logits: npt.NDArray[Any],
    targets: npt.NDArray[Any],
    *,
    labels: Sequence[str],
    split_sha256: str,
    thresholds: Thresholds | None = None,
    in_sample: bool = False,
) -> Scores:
    """Score logits on a split.

    Parameters
    ----------
    logits : ndarray of float, shape (N, K)
    targets : ndarray of bool, shape (N, K), or ndarray of int, shape (N,)
    labels : sequence of str, length K
    split_sha256 : str
        Of the split that is scored.
    thresholds : Thresholds, optional
        Required for multilabel targets.
    in_sample : bool, default False
        Say True to score the very split that the thresholds were fitted on, as a table's
        validation column does knowingly.

    Returns
    -------
    Scores

    Raises
    ------
    ScoreError
        If the thresholds were fitted on this split and `in_sample` is False.
    """
    if thresholds is not None and thresholds.fitted_on == split_sha256 and not in_sample:
        raise ScoreError(
            f"the split {split_sha256[:12]} is the one that the thresholds were fitted on: score "
            "another split, or the result flatters itself"
        )
    if np.asarray(targets).ndim == 2 and thresholds is None:
        raise ScoreError("multilabel targets need thresholds: fit them on the validation split")
    return score_predictions(targets, decide(logits, thresholds), labels=labels)

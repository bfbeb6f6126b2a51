"""How much of the floor an encoder is given: one weight, chosen on validation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

from goemo_eval.measure.threshold_choice import cross_validate
from goemo_eval.measure.thresholds import Strategy, sigmoid

WEIGHTS = tuple(round(0.1 * tenth, 1) for tenth in range(11))
"""Of the floor's logits. Finer steps would follow chance: Macro-F1 is flat around its best."""
UNFITTED = 0.5
"""Where there is nothing to fit it to: of a cell that is not scored."""
STRATEGY: Strategy = "per-label"


def mixed(
    encoder: npt.NDArray[Any], floor: npt.NDArray[Any], weight: float
) -> npt.NDArray[np.float32]:
    """Return the weighted sum of two arrays of logits, as `goemo_eval.engines.mixture` adds them."""
    share = np.float32(weight)
    return np.asarray((1 - share) * encoder + share * floor, dtype=np.float32)


def choose_weight(
    encoder: npt.NDArray[Any], floor: npt.NDArray[Any], targets: npt.NDArray[Any]
) -> float:
    """Return the floor's weight that does best on validation.

    Of a multilabel scheme, by cross-validation: at each weight, thresholds are fitted to four fifths of the
    rows and decide the fifth. A multiclass scheme decides by the largest logit, which fits nothing, and so
    the weight is the only number that these rows have a say in.

    Parameters
    ----------
    encoder, floor : ndarray of float32, shape (N, K)
        Logits on the validation split.
    targets : ndarray of bool, shape (N, K), or ndarray of int, shape (N,)

    Returns
    -------
    float
        Of `WEIGHTS`; of equals the smallest.
    """
    scores = {weight: _score(mixed(encoder, floor, weight), targets) for weight in WEIGHTS}
    return max(WEIGHTS, key=lambda weight: scores[weight])


def _score(logits: npt.NDArray[np.float32], targets: npt.NDArray[Any]) -> float:
    if targets.ndim == 1:
        labels = range(logits.shape[1])
        guess = logits.argmax(axis=1)
        return float(f1_score(targets, guess, labels=labels, average="macro", zero_division=0))
    return cross_validate(sigmoid(logits), targets, strategies=(STRATEGY,))[STRATEGY]

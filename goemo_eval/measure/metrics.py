"""F1 and its parts, by scikit-learn.

A label that is neither true nor predicted has an F1 of 0 (``zero_division=0``), and stays in
the mean: leaving it out would change what Macro-F1 means from split to split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from goemo_eval.errors import ScoreError
from goemo_eval.frozen import Frozen

Unit = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class LabelScore(Frozen):
    """How one label was predicted; `support` is its number of positives."""

    label: str
    precision: Unit
    recall: Unit
    f1: Unit
    support: Count
    tp: Count
    fp: Count
    fn: Count


class Scores(Frozen):
    """F1 over all labels, in the three usual means, and per label in column order."""

    macro_f1: Unit
    micro_f1: Unit
    weighted_f1: Unit
    per_label: tuple[LabelScore, ...]


def score_predictions(
    targets: npt.NDArray[Any], predictions: npt.NDArray[Any], *, labels: Sequence[str]
) -> Scores:
    """Score predictions against targets.

    Parameters
    ----------
    targets, predictions : ndarray of bool, shape (N, K), or ndarray of int, shape (N,)
        Multilabel decisions, or class ids in ``[0, K)``.
    labels : sequence of str, length K

    Returns
    -------
    Scores
        Macro-F1 is the unweighted mean over all K labels, micro-F1 comes from the summed
        counts, weighted-F1 weights by support.

    Raises
    ------
    ScoreError
        If the shapes differ or do not fit `labels`, or there is nothing to score.

    Examples
    --------
    >>> import numpy as np
    >>> scores = score_predictions(np.array([0, 1, 1]), np.array([0, 1, 0]), labels=["a", "b"])
    >>> round(scores.macro_f1, 4)
    0.6667
    """
    from sklearn.metrics import (
        f1_score,
        multilabel_confusion_matrix,
        precision_recall_fscore_support,
    )

    truth = indicator(targets, "targets", len(labels))
    guess = indicator(predictions, "predictions", len(labels))
    if truth.shape != guess.shape:
        raise ScoreError(
            f"targets have shape {truth.shape}, predictions {guess.shape}: pass equal rows"
        )
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, guess, average=None, zero_division=0
    )
    (_, fp), (fn, tp) = multilabel_confusion_matrix(truth, guess).transpose(1, 2, 0)
    mean = {m: f1_score(truth, guess, average=m, zero_division=0) for m in ("micro", "weighted")}
    return Scores(
        macro_f1=float(np.mean(f1)),
        micro_f1=float(mean["micro"]),
        weighted_f1=float(mean["weighted"]),
        per_label=tuple(
            LabelScore(
                label=label,
                precision=float(precision[k]),
                recall=float(recall[k]),
                f1=float(f1[k]),
                support=int(support[k]),
                tp=int(tp[k]),
                fp=int(fp[k]),
                fn=int(fn[k]),
            )
            for k, label in enumerate(labels)
        ),
    )


def indicator(values: npt.NDArray[Any], name: str, n_labels: int) -> npt.NDArray[np.bool_]:
    """Return decisions as booleans of shape (N, K), from these or from class ids of shape (N,).

    Raises
    ------
    ScoreError
        If they are neither; `name` says in the message what they are.
    """
    values = np.asarray(values)
    if (
        values.ndim == 2
        and values.dtype == np.bool_
        and values.shape[1] == n_labels
        and len(values)
    ):
        return values
    if values.ndim == 1 and np.issubdtype(values.dtype, np.integer) and len(values):
        if values.min() < 0 or values.max() >= n_labels:
            raise ScoreError(f"{name} hold class {values.max()}: expected 0 to {n_labels - 1}")
        return np.asarray(np.eye(n_labels, dtype=bool)[values])
    raise ScoreError(
        f"{name} must be booleans of shape (N, {n_labels}) or class ids of shape (N,), N at least 1: "
        f"got dtype {values.dtype}, shape {values.shape}"
    )

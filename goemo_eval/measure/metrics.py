"""Scores: F1 and its parts per label and in their means, for any labels and any number of them.

A label that is neither true nor predicted has an F1 of 0 and stays in the mean. Rows without a
label are rows: every label that is given to them counts as a false positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from goemo_eval.errors import ScoreError
from goemo_eval.frozen import Frozen
from goemo_eval.measure.f1 import counts, f1_from_counts, ratio

Unit = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=1 << 53)]
"""Up to where every reader of JSON keeps whole numbers apart."""


_ROUNDING = 1e-9
"""Scores travel as decimal text, and sums are taken in another order elsewhere."""


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
    """F1 over all labels, in the three usual means, and per label in column order.

    Everything but the counts must follow from the counts.
    """

    macro_f1: Unit
    micro_f1: Unit
    weighted_f1: Unit
    per_label: Annotated[tuple[LabelScore, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _follow_from_the_counts(self) -> Self:
        tp, fp, fn = (
            np.array([getattr(label, name) for label in self.per_label])
            for name in ("tp", "fp", "fn")
        )
        for name, found in _label_values(tp, tp + fp, tp + fn).items():
            for label, value in zip(self.per_label, found.tolist(), strict=True):
                _check_follows(f"{name} of {label.label!r}", getattr(label, name), value)
        for name, value in _means(tp, tp + fp, tp + fn).items():
            _check_follows(name, getattr(self, name), value)
        return self


def score_predictions(
    targets: npt.NDArray[Any], predictions: npt.NDArray[Any], *, labels: Sequence[str]
) -> Scores:
    """Score predictions against targets.

    Parameters
    ----------
    targets, predictions : ndarray of bool, shape (N, K), or ndarray of int, shape (N,)
        Multilabel decisions, or class ids in ``[0, K)``; N and K at least 1.
    labels : sequence of str, length K

    Returns
    -------
    Scores
        Macro-F1 is the unweighted mean over all K labels, micro-F1 comes from the summed
        counts, weighted-F1 weights by support. With one label all three are that label's F1.

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
    truth = indicator(targets, "targets", len(labels))
    guess = indicator(predictions, "predictions", len(labels))
    if truth.shape != guess.shape:
        raise ScoreError(
            f"targets have shape {truth.shape}, predictions {guess.shape}: pass equal rows"
        )
    return scores_from_counts(*counts(truth, guess), labels=labels)


def scores_from_counts(
    tp: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    support: npt.NDArray[np.int64],
    *,
    labels: Sequence[str],
) -> Scores:
    """Return the scores of counts per label, shape (K,) each."""
    columns = {
        **_label_values(tp, predicted, support),
        "tp": tp,
        "fp": predicted - tp,
        "fn": support - tp,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return Scores(
        **_means(tp, predicted, support),
        per_label=tuple(
            LabelScore(label=label, **dict(zip(columns, row, strict=True)))
            for label, row in zip(labels, rows, strict=True)
        ),
    )


def _label_values(
    tp: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], support: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[Any]]:
    return {
        "precision": ratio(tp, predicted),
        "recall": ratio(tp, support),
        "f1": f1_from_counts(tp, predicted, support),
        "support": support,
    }


def _means(
    tp: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], support: npt.NDArray[np.int64]
) -> dict[str, float]:
    f1 = f1_from_counts(tp, predicted, support)
    return {
        "macro_f1": float(f1.mean()),
        "micro_f1": float(f1_from_counts(tp.sum(), predicted.sum(), support.sum())),
        "weighted_f1": float(ratio((f1 * support).sum(), support.sum())),
    }


def _check_follows(name: str, stated: float, found: float) -> None:
    if abs(stated - found) > _ROUNDING:
        raise ValueError(f"{name}, {stated}, does not follow from tp, fp and fn (found {found})")


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
        and values.shape[1] == n_labels >= 1
        and len(values)
    ):
        return values
    if values.ndim == 1 and np.issubdtype(values.dtype, np.integer) and len(values):
        least, most = int(values.min()), int(values.max())
        if least < 0 or most >= n_labels:
            raise ScoreError(
                f"{name} hold class {least if least < 0 else most}: expected 0 to {n_labels - 1}"
            )
        return np.asarray(np.arange(n_labels) == values[:, None])
    raise ScoreError(
        f"{name} must be booleans of shape (N, {n_labels}) or class ids of shape (N,), N at least 1: "
        f"got dtype {values.dtype}, shape {values.shape}"
    )

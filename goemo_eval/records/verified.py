"""A record's decisions, after checking that its stated scores follow from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import RecordError
from goemo_eval.measure.metrics import LabelScore, Scores, score_predictions
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record

# Scores travel as decimal text, and sums are taken in another order.
_ROUNDING = 1e-9


def verified_decisions(record: Record) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return truth and predictions of a scored record's test split, shape (N, K) each.

    Raises
    ------
    RecordError
        If the record has none, they are damaged, or its scores are not theirs: a score that
        nothing supports is not compared with anything.
    """
    cell = record.cell.id
    if record.decisions is None or record.scores is None:
        raise RecordError(f"cell {cell} keeps no decisions: run it again")
    try:
        truth, guess = unpack_decisions(record.decisions)
    except RecordError as error:
        raise RecordError(f"cell {cell}: {error}") from None
    if truth.shape[1] != len(record.labels):
        raise RecordError(
            f"cell {cell}: decisions for {truth.shape[1]} labels, but it has {len(record.labels)}: "
            "run it again"
        )
    if record.kind == "multiclass" and not ((truth.sum(1) == 1) & (guess.sum(1) == 1)).all():
        raise RecordError(
            f"cell {cell}: decisions do not name one class per text, as {record.cell.scheme} does: "
            "run it again"
        )
    differing = _differences(
        record.scores.test, score_predictions(truth, guess, labels=record.labels)
    )
    if differing:
        raise RecordError(
            f"cell {cell}: scores.test.{differing} does not follow from its decisions: run it again"
        )
    return truth, guess


def _differences(stated: Scores, found: Scores) -> str:
    """Return the first field that differs, with both values; empty if none does."""
    for name in ("macro_f1", "micro_f1", "weighted_f1"):
        if abs(getattr(stated, name) - getattr(found, name)) > _ROUNDING:
            return f"{name} {getattr(stated, name)} (found {getattr(found, name)})"
    if len(stated.per_label) != len(found.per_label):
        return f"per_label with {len(stated.per_label)} labels (found {len(found.per_label)})"
    for theirs, ours in zip(stated.per_label, found.per_label, strict=True):
        for name in LabelScore.model_fields:
            a, b = getattr(theirs, name), getattr(ours, name)
            if a != b and (isinstance(a, str) or abs(a - b) > _ROUNDING):
                return f"per_label.{ours.label}.{name} {a} (found {b})"
    return ""

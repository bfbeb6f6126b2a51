"""A record's decisions, after checking that its stated scores follow from them."""

from __future__ import annotations

import weakref

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import RecordError
from goemo_eval.measure.metrics import LabelScore, Scores, score_predictions
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record

# Scores travel as decimal text, and sums are taken in another order.
_ROUNDING = 1e-9
# Records are frozen, so that one that was found true stays so; and they compare by value, slowly.
_TRUE: dict[int, weakref.ref[Record]] = {}


def verified_decisions(record: Record) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return truth and predictions of a scored record's test split, shape (N, K) each.

    They are checked the first time, and only unpacked after that.

    Raises
    ------
    RecordError
        If the record has none, they are damaged, or its scores are not theirs: a score that
        nothing supports is not compared with anything.
    """
    if record.decisions is None or record.scores is None:
        raise RecordError(f"cell {record.cell.id} keeps no decisions: run it again")
    try:
        truth, guess = unpack_decisions(record.decisions)
    except RecordError as error:
        raise RecordError(f"cell {record.cell.id}: {error}") from None
    key = id(record)
    if not (key in _TRUE and _TRUE[key]() is record):
        _verify(record, record.scores.test, truth, guess)
        _TRUE[key] = weakref.ref(record, lambda _: _TRUE.pop(key, None))
    return truth, guess


def _verify(
    record: Record, stated: Scores, truth: npt.NDArray[np.bool_], guess: npt.NDArray[np.bool_]
) -> None:
    cell = record.cell.id
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
    if differing := _differences(stated, score_predictions(truth, guess, labels=record.labels)):
        raise RecordError(
            f"cell {cell}: scores.test.{differing} does not follow from its decisions: run it again"
        )


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

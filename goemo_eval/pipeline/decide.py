"""The step ``decide``: from logits to decisions, scores, calibration and thresholds. Nothing but arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.data.task import Task
from goemo_eval.errors import ScoreError, unknown_name
from goemo_eval.frozen import Frozen
from goemo_eval.measure.calibration import Calibration, ThresholdCurves, calibrate, threshold_curves
from goemo_eval.measure.scoring import decide as decide_split
from goemo_eval.measure.scoring import fit_thresholds, score_logits
from goemo_eval.measure.threshold_choice import choose_strategy
from goemo_eval.measure.thresholds import (
    CHOSEN,
    STRATEGIES,
    Strategy,
    Thresholds,
    sigmoid,
    softmax,
)
from goemo_eval.records.decisions import Decisions, pack_decisions
from goemo_eval.records.schema import Record, SplitScores, StrategyScore, ThresholdsEntry

Logits = Mapping[str, npt.NDArray[np.float32]]
"""Split name -> array of shape (N, K)."""


class Scored(Frozen):
    """What a cell scores: the fields of its record that come from its logits alone."""

    scores: SplitScores
    """Under the thresholds that decided: the cell's own, or those of its FP32 reference."""
    scores_refitted: SplitScores | None
    """Of a cell with a reference: under thresholds of its own, fitted by the reference's strategy."""
    thresholds: ThresholdsEntry | None
    """Those that decided; None under a multiclass scheme."""
    strategies: tuple[StrategyScore, ...]
    """Every strategy, fitted to the cell's own validation logits."""
    decisions: Decisions
    calibration: Calibration
    threshold_curves: ThresholdCurves | None

    @property
    def fitted_thresholds(self) -> Thresholds | None:
        """The thresholds that decided, ready to be applied."""
        return thresholds_of(self)

    def fields(self) -> dict[str, Any]:
        """Return the fields by the names that they have in a `Record`."""
        return {name: getattr(self, name) for name in type(self).model_fields}


def thresholds_of(record: Record | Scored) -> Thresholds | None:
    """Return the thresholds that decided a cell; None under a multiclass scheme."""
    entry = record.thresholds
    if entry is None:
        return None
    return Thresholds(entry.strategy, np.array(entry.values), entry.fitted_on)


def decide(logits: Logits, task: Task, strategy: str, *, reference: Scored | None = None) -> Scored:
    """Score a cell.

    Parameters
    ----------
    logits : mapping of str to ndarray of float32, shape (N, K)
        Of the validation and the test split.
    task : Task
        Targets and sha256 of both.
    strategy : str
        Of a multilabel scheme's thresholds: of `STRATEGIES`, or ``chosen``, the one that does best
        under cross-validation on validation. With a reference it is the reference's that counts.
    reference : Scored, optional
        The FP32 cell whose thresholds decide. `Scored.scores_refitted` then tells what the same strategy
        gives when it is fitted to these logits: it differs from `Scored.scores` in nothing else.

    Returns
    -------
    Scored

    Raises
    ------
    ScoreError
        If the strategy is unknown, logits are not finite, or do not fit the task.
    """
    if strategy not in (*STRATEGIES, CHOSEN):
        raise ScoreError(unknown_name("threshold strategy", strategy, [*STRATEGIES, CHOSEN]))
    _check_shapes(logits, task)
    if task.scheme.kind == "multiclass":
        return _multiclass(logits, task, refit=reference is not None)
    return _multilabel(logits, task, strategy, reference)


def _check_shapes(logits: Logits, task: Task) -> None:
    for name in ("validation", "test"):
        expected = (len(task.targets[name]), len(task.scheme.labels))
        if logits[name].shape != expected:
            raise ScoreError(
                f"logits of {name} have shape {logits[name].shape}, its targets {expected}: score the "
                "texts of the task"
            )


def _multiclass(logits: Logits, task: Task, *, refit: bool) -> Scored:
    # argmax fits nothing, so refitting changes nothing: both readings of INT8 are one.
    scores = _score(logits, task, None)
    return Scored(
        scores=scores,
        scores_refitted=scores if refit else None,
        thresholds=None,
        strategies=(),
        decisions=_decisions(logits, task, None),
        calibration=calibrate(softmax(logits["test"]), task.targets["test"]),
        threshold_curves=None,
    )


def _multilabel(logits: Logits, task: Task, strategy: str, reference: Scored | None) -> Scored:
    validation = logits["validation"], task.targets["validation"]
    own = {
        name: fit_thresholds(*validation, strategy=name, fitted_on=task.sha256["validation"])
        for name in STRATEGIES
    }
    by_strategy = {name: _score(logits, task, thresholds) for name, thresholds in own.items()}
    chosen, cross_validated = _choose(*validation, strategy, reference)
    used = own[chosen]
    if reference:
        used = reference.fitted_thresholds or used
    return Scored(
        scores=_score(logits, task, used),
        scores_refitted=by_strategy[chosen] if reference else None,
        thresholds=ThresholdsEntry(
            strategy=used.strategy, values=tuple(used.values.tolist()), fitted_on=used.fitted_on
        ),
        strategies=tuple(
            StrategyScore(
                strategy=name,
                validation_macro_f1=both.validation.macro_f1,
                test_macro_f1=both.test.macro_f1,
                cross_validated_macro_f1=cross_validated.get(name),
            )
            for name, both in by_strategy.items()
        ),
        decisions=_decisions(logits, task, used),
        calibration=calibrate(sigmoid(logits["test"]), task.targets["test"]),
        threshold_curves=threshold_curves(sigmoid(validation[0]), validation[1]),
    )


def _choose(
    logits: npt.NDArray[np.float32],
    targets: npt.NDArray[np.bool_],
    strategy: str,
    reference: Scored | None,
) -> tuple[Strategy, Mapping[Strategy, float]]:
    """Return the strategy of a cell's own thresholds, and what cross-validation gave where it chose."""
    if reference and reference.thresholds:
        # Choosing anew would mix two changes: other thresholds, and another way to fit them.
        return reference.thresholds.strategy, {}
    if strategy == CHOSEN:
        return choose_strategy(sigmoid(logits), targets)
    return next(name for name in STRATEGIES if name == strategy), {}


def _score(logits: Logits, task: Task, thresholds: Thresholds | None) -> SplitScores:
    validation, test = (
        score_logits(
            logits[name],
            task.targets[name],
            labels=task.scheme.labels,
            split_sha256=task.sha256[name],
            thresholds=thresholds,
            in_sample=name == "validation",
        )
        for name in ("validation", "test")
    )
    return SplitScores(validation=validation, test=test)


def _decisions(logits: Logits, task: Task, thresholds: Thresholds | None) -> Decisions:
    predicted = decide_split(logits["test"], thresholds)
    return pack_decisions(task.targets["test"], predicted, len(task.scheme.labels))

"""From logits to what a record says of them: decisions, scores, calibration, thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.data.schemes import Scheme
from goemo_eval.data.splits import Split
from goemo_eval.errors import ScoreError, unknown_name
from goemo_eval.measure.calibration import calibrate, threshold_curves
from goemo_eval.measure.scoring import decide, fit_thresholds, score_logits
from goemo_eval.measure.threshold_choice import choose_strategy
from goemo_eval.measure.thresholds import CHOSEN, STRATEGIES, Thresholds, sigmoid, softmax
from goemo_eval.records.decisions import Decisions, pack_decisions
from goemo_eval.records.schema import Record, SplitScores, StrategyScore, ThresholdsEntry

Logits = Mapping[str, npt.NDArray[np.float32]]
"""Split name -> array of shape (N, K)."""


@dataclass(frozen=True, eq=False)
class Task:
    """A scheme applied to the splits: texts and targets that it keeps."""

    scheme: Scheme
    texts: Mapping[str, Sequence[str]]
    targets: Mapping[str, npt.NDArray[Any]]


def task_of(scheme: Scheme, splits: Mapping[str, Split]) -> Task:
    """Apply a scheme to the validation and test splits; `splits` has the training split, too."""
    texts, targets = {}, {}
    for name in ("validation", "test"):
        split = splits[name]
        keep = scheme.keeps(split.labels)
        votes = None if split.votes is None else split.votes[keep]
        texts[name] = [t for t, kept in zip(split.texts, keep, strict=True) if kept]
        targets[name] = scheme.targets(
            split.labels[keep], train_labels=splits["train"].labels, votes=votes
        )
    return Task(scheme, texts, targets)


def thresholds_of(record: Record) -> Thresholds | None:
    """Return the thresholds that decided a record's cell; None for a multiclass scheme."""
    entry = record.thresholds
    if entry is None:
        return None
    return Thresholds(entry.strategy, np.array(entry.values), entry.fitted_on)


def scored_fields(
    logits: Logits,
    task: Task,
    *,
    sha256: Mapping[str, str],
    strategy: str,
    twin: Record | None = None,
) -> dict[str, Any]:
    """Return the fields of a record that tell what a cell scores.

    Parameters
    ----------
    logits : mapping of str to ndarray of float32, shape (N, K)
        Of the validation and the test split.
    task : Task
    sha256 : mapping of str to str
        Of the splits.
    strategy : str
        Of a multilabel scheme's thresholds: of `STRATEGIES`, or ``chosen``.
    twin : Record, optional
        The FP32 cell whose thresholds decide; `scores_refitted` then holds the cell's own.

    Raises
    ------
    ScoreError
        If the strategy is unknown or logits are not finite.
    """

    def scores(thresholds: Thresholds | None) -> SplitScores:
        by_split = {
            name: score_logits(
                logits[name],
                task.targets[name],
                labels=task.scheme.labels,
                split_sha256=sha256[name],
                thresholds=thresholds,
                in_sample=name == "validation",
            )
            for name in ("validation", "test")
        }
        return SplitScores(**by_split)

    def decisions(thresholds: Thresholds | None) -> Decisions:
        predicted = decide(logits["test"], thresholds)
        return pack_decisions(task.targets["test"], predicted, len(task.scheme.labels))

    if task.scheme.kind == "multiclass":
        # argmax fits nothing, so refitting changes nothing: both readings of INT8 are one.
        both = scores(None)
        return {
            "scores": both,
            "scores_refitted": both if twin else None,
            "decisions": decisions(None),
            "calibration": calibrate(softmax(logits["test"]), task.targets["test"]),
        }
    own = {
        name: fit_thresholds(
            logits["validation"],
            task.targets["validation"],
            strategy=name,
            fitted_on=sha256["validation"],
        )
        for name in STRATEGIES
    }
    chosen = strategy
    cross_validated: Mapping[Any, float] = {}
    if chosen == CHOSEN:
        chosen, cross_validated = choose_strategy(
            sigmoid(logits["validation"]), task.targets["validation"]
        )
    if chosen not in own:
        raise ScoreError(unknown_name("threshold strategy", chosen, [*STRATEGIES, CHOSEN]))
    fitted = own[chosen]
    used = (thresholds_of(twin) if twin else None) or fitted
    by_strategy = {strategy: scores(thresholds) for strategy, thresholds in own.items()}
    return {
        "scores": scores(used),
        "decisions": decisions(used),
        "calibration": calibrate(sigmoid(logits["test"]), task.targets["test"]),
        "threshold_curves": threshold_curves(
            sigmoid(logits["validation"]), task.targets["validation"]
        ),
        "scores_refitted": by_strategy[fitted.strategy] if twin else None,
        "thresholds": ThresholdsEntry(
            strategy=used.strategy,
            values=tuple(used.values.tolist()),
            fitted_on=used.fitted_on,
        ),
        "strategies": tuple(
            StrategyScore(
                strategy=strategy,
                validation_macro_f1=both.validation.macro_f1,
                test_macro_f1=both.test.macro_f1,
                cross_validated_macro_f1=cross_validated.get(strategy),
            )
            for strategy, both in by_strategy.items()
        ),
    }

"""From logits to scores, on the sample's own targets with logits that know them a little."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.data.task import Task, task_of
from goemo_eval.errors import ScoreError
from goemo_eval.measure.metrics import indicator
from goemo_eval.measure.scoring import decide as decide_split
from goemo_eval.measure.thresholds import STRATEGIES, search_thresholds, sigmoid
from goemo_eval.pipeline.decide import Logits, Scored, decide, thresholds_of
from goemo_eval.records.schema import Record
from goemo_eval.records.verified import verified_decisions


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    dataset = load_dataset("sample")
    schemes = (get_scheme(name, dataset.labels) for name in ("raw", "simplified"))
    return {scheme.name: task_of(dataset, scheme) for scheme in schemes}


def logits_of(task: Task, *, seed: int = 0, noise: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {}
    for name in ("validation", "test"):
        truth = indicator(task.targets[name], name, len(task.scheme.labels))
        found[name] = (3 * truth - 2 + noise * rng.normal(size=truth.shape)).astype(np.float32)
    return found


def shaken(logits: Logits) -> dict[str, np.ndarray]:
    """As INT8 shakes them, and shifts them besides."""
    rng = np.random.default_rng(9)
    return {
        name: (v + 0.7 + 0.5 * rng.normal(size=v.shape)).astype(np.float32)
        for name, v in logits.items()
    }


@pytest.fixture(scope="module")
def raw(tasks: dict[str, Task]) -> dict[str, np.ndarray]:
    return logits_of(tasks["raw"])


@pytest.fixture(scope="module")
def chosen(tasks: dict[str, Task], raw: Logits) -> Scored:
    return decide(raw, tasks["raw"], "chosen")


def test_multilabel_scores_are_of_thresholds_from_validation(
    tasks: dict[str, Task], raw: Logits
) -> None:
    task = tasks["raw"]
    found = decide(raw, task, "per-label")
    expected = search_thresholds(
        sigmoid(raw["validation"]), task.targets["validation"], "per-label", fitted_on="x"
    )
    assert found.thresholds
    assert found.thresholds.strategy == "per-label"
    assert found.thresholds.values == tuple(expected.values)
    assert found.thresholds.fitted_on == task.sha256["validation"] != task.sha256["test"]
    decisions = sigmoid(raw["test"]) >= expected.values
    assert found.scores.test.macro_f1 == pytest.approx(
        f1_score(task.targets["test"], decisions, average="macro", zero_division=0)
    )
    assert [s.strategy for s in found.strategies] == list(STRATEGIES)
    (own,) = [s for s in found.strategies if s.strategy == "per-label"]
    assert own.test_macro_f1 == found.scores.test.macro_f1
    assert {s.cross_validated_macro_f1 for s in found.strategies} == {None}
    assert found.scores_refitted is None


def test_the_chosen_strategy_is_the_best_under_cross_validation(chosen: Scored) -> None:
    held_out = {s.strategy: s.cross_validated_macro_f1 or 0 for s in chosen.strategies}
    assert chosen.thresholds
    assert held_out[chosen.thresholds.strategy] == max(held_out.values()) > 0


def test_int8_is_decided_by_its_references_thresholds(
    tasks: dict[str, Task], raw: Logits, chosen: Scored
) -> None:
    task, logits = tasks["raw"], shaken(raw)
    found = decide(logits, task, "chosen", reference=chosen)
    assert found.thresholds == chosen.thresholds
    assert found.fitted_thresholds
    assert chosen.thresholds
    decisions = sigmoid(logits["test"]) >= np.array(chosen.thresholds.values)
    assert found.scores.test.macro_f1 == pytest.approx(
        f1_score(task.targets["test"], decisions, average="macro", zero_division=0)
    )


@pytest.mark.parametrize("strategy", ["chosen", "global", "per-label"])
def test_a_refit_is_only_a_refit(tasks: dict[str, Task], raw: Logits, strategy: str) -> None:
    """The strategy is the reference's, whatever cross-validation would choose on these logits."""
    task, logits = tasks["raw"], shaken(raw)
    for how in STRATEGIES:
        reference = decide(raw, task, how)
        found = decide(logits, task, strategy, reference=reference)
        (same,) = [s for s in found.strategies if s.strategy == how]
        assert found.scores_refitted
        assert found.scores_refitted.test.macro_f1 == same.test_macro_f1
        assert found.scores_refitted.validation.macro_f1 == same.validation_macro_f1
        assert found.thresholds
        assert found.thresholds.strategy == how
        assert {s.cross_validated_macro_f1 for s in found.strategies} == {None}


def test_multiclass_takes_the_largest(tasks: dict[str, Task]) -> None:
    task = tasks["simplified"]
    logits = logits_of(task)
    found = decide(logits, task, "chosen")
    expected = f1_score(
        task.targets["test"],
        logits["test"].argmax(axis=1),
        labels=range(len(task.scheme.labels)),
        average="macro",
        zero_division=0,
    )
    assert found.scores.test.macro_f1 == pytest.approx(expected)
    assert found.thresholds is found.threshold_curves is found.scores_refitted is None
    assert found.strategies == ()
    again = decide(shaken(logits), task, "chosen", reference=found)
    assert again.scores_refitted == again.scores


@pytest.mark.parametrize("scheme", ["raw", "simplified"])
def test_it_is_a_record_that_is_true_of_itself(
    tasks: dict[str, Task], make_record: Any, scheme: str
) -> None:
    task = tasks[scheme]
    found = decide(logits_of(task), task, "shrunk")
    assert Scored.model_validate_json(found.model_dump_json()) == found
    base = make_record()
    record = Record(
        **{
            **dict(base),
            "cell": base.cell.model_copy(update={"scheme": scheme}),
            "kind": task.scheme.kind,
            "labels": task.scheme.labels,
            **found.fields(),
        }
    )
    truth, guess = verified_decisions(record)
    n_labels = len(task.scheme.labels)
    np.testing.assert_array_equal(truth, indicator(task.targets["test"], "", n_labels))
    thresholds = thresholds_of(record)
    predicted = decide_split(logits_of(task)["test"], thresholds)
    np.testing.assert_array_equal(guess, indicator(predicted, "", n_labels))


def test_what_cannot_be_decided(tasks: dict[str, Task], raw: Logits) -> None:
    task = tasks["raw"]
    with pytest.raises(ScoreError, match="unknown threshold strategy 'best': known are chosen, cr"):
        decide(raw, task, "best")
    bad = {**raw, "test": np.full_like(raw["test"], np.nan)}
    with pytest.raises(ScoreError, match="logits of row 0 are not finite"):
        decide(bad, task, "fixed")
    with pytest.raises(ScoreError, match=r"logits of test have shape \(5, 28\), its targets \("):
        decide({**raw, "test": raw["test"][:5]}, task, "fixed")
    with pytest.raises(ScoreError, match=r"logits of validation have shape"):
        decide({**raw, "validation": raw["validation"][:, :5]}, task, "fixed")

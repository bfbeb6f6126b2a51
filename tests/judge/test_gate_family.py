"""Alpha shared by cells, by runs, and by what the anchor adds."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goemo_eval.errors import RecordError
from goemo_eval.judge.gate import gate
from goemo_eval.judge.verdict import Verdict
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.measure.significance import holm
from goemo_eval.records.decisions import pack_decisions, unpack_decisions
from goemo_eval.records.schema import Record, SplitScores

Make = Callable[..., Record]
QUICK: dict[str, Any] = {"n_resamples": 300}
ENGINES = ("torch", "onnxruntime", "openvino")


def cell_of(record: Record, engine: str) -> Record:
    return record.model_copy(update={"cell": record.cell.model_copy(update={"engine": engine})})


def deciding(record: Record, guess: np.ndarray) -> Record:
    truth, _ = unpack_decisions(record.decisions)  # type: ignore[arg-type]
    scores = score_predictions(truth, guess, labels=record.labels)
    return record.model_copy(
        update={
            "scores": SplitScores(validation=scores, test=scores),
            "decisions": pack_decisions(truth, guess, len(record.labels)),
        }
    )


def worse_by(record: Record, texts: int, seed: int = 0) -> Record:
    """The record with so many right decisions made wrong, and a third as many mended."""
    truth, guess = unpack_decisions(record.decisions)  # type: ignore[arg-type]
    right = (truth == guess).all(axis=1)
    rng = np.random.default_rng(seed)
    for rows, to in (
        (rng.permutation(np.flatnonzero(right))[:texts], np.roll(truth, 1, axis=1)),
        (rng.permutation(np.flatnonzero(~right))[: texts // 3], truth),
    ):
        guess[rows] = to[rows]
    return deciding(record, guess)


def pairs(make_record: Make, lost: list[int]) -> tuple[list[Record], list[Record]]:
    """Cells of several engines and precisions, each with so many texts lost."""
    old = [
        cell_of(make_record(precision), engine)
        for precision in ("fp32", "int8")
        for engine in ENGINES
    ][: len(lost)]
    return old, [worse_by(r, n, seed=i) for i, (r, n) in enumerate(zip(old, lost, strict=True))]


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=6),
    st.sampled_from([0.01, 0.05, 0.2]),
    st.sampled_from([0.0, 0.02]),
)
@settings(deadline=None, max_examples=25)
def test_the_verdicts_are_holms_and_belong_to_their_intervals(
    make_record: Make, lost: list[int], alpha: float, budget: float
) -> None:
    verdict = gate(*pairs(make_record, lost), alpha=alpha, max_drop=budget, **QUICK)
    p_values = [cell.p_value for cell in verdict.cells]
    for cell, corrected in zip(verdict.cells, holm(p_values), strict=True):
        assert cell.least_drop is not None
        assert cell.alpha is not None
        assert cell.p_value is not None
        found = cell.status == "regression"
        assert found == (corrected <= alpha)
        assert found == (cell.p_value <= cell.alpha)
        assert found == (cell.least_drop > budget + 1e-9)
        assert alpha / len(lost) - 1e-12 <= cell.alpha <= alpha


def test_what_one_cell_proves_many_may_not(make_record: Make) -> None:
    """The same loss: a regression by itself, inconclusive as one of six; per cell, a regression again."""
    options: dict[str, Any] = {"max_drop": 0.0, **QUICK}
    old, new = pairs(make_record, [16, 0, 0, 0, 0, 0])
    alone = gate(old[:1], new[:1], **options)
    family = gate(old, new, **options)
    uncorrected = gate(old, new, alpha_per_cell=True, **options)
    assert alone.status == uncorrected.status == "regression"

    def of(verdict: Verdict) -> Any:
        return next(c for c in verdict.cells if c.cell == old[0].cell.id)

    assert of(alone).least_drop == of(uncorrected).least_drop
    assert of(family).status == "inconclusive"
    assert of(family).alpha == pytest.approx(0.05 / 6)
    assert of(family).p_value == of(alone).p_value
    assert of(family).most_drop == of(alone).most_drop  # a run passes if all do: no correction
    assert of(family).detectable_drop > of(alone).detectable_drop
    assert "for 6 comparisons together, and 95% sure of the latter" in of(family).reason


def test_a_run_of_a_horizon_takes_its_share(make_record: Make) -> None:
    old, new = pairs(make_record, [26])
    options: dict[str, Any] = {"max_drop": 0.0, "n_resamples": 2000}
    today, planned = gate(old, new, **options), gate(old, new, horizon=500, **options)
    assert today.status == "regression"
    assert planned.status == "inconclusive"
    assert planned.run_alpha == pytest.approx(0.0001)
    (cell,) = planned.cells
    assert cell.p_value == today.cells[0].p_value
    assert cell.least_drop < 0 < today.cells[0].least_drop  # type: ignore[operator]
    assert "95% sure for 500 runs together" in cell.reason
    # It is the same as asking for that share outright.
    outright = gate(old, new, alpha=0.05 / 500, **options).cells[0]
    assert (outright.least_drop, outright.status) == (cell.least_drop, cell.status)


def test_labels_and_recipes_take_the_share_of_the_run(make_record: Make) -> None:
    old, new = pairs(make_record, [30])
    options: dict[str, Any] = {"max_label_drop": 0.0, "max_drop": 0.5, "n_resamples": 2000}
    assert gate(old, new, **options).status == "regression"
    assert gate(old, new, horizon=100_000, **options).status == "pass"


def test_small_losses_cannot_add_up_unseen(make_record: Make) -> None:
    """Each step keeps the budget; together they do not."""
    states = [make_record(wrong=0.2)]
    for step in range(6):
        states.append(worse_by(states[-1], 9, seed=step))
    options: dict[str, Any] = {"max_drop": 0.015, **QUICK}
    steps = [gate([a], [b], **options).status for a, b in itertools.pairwise(states)]
    assert "regression" not in steps
    anchored = [gate([a], [b], anchor=states[:1], **options) for a, b in itertools.pairwise(states)]
    assert anchored[-1].status == "regression"
    (cell,) = anchored[-1].anchor
    assert cell.against == "anchor"
    assert cell.drop == pytest.approx(
        states[0].scores.test.macro_f1 - states[-1].scores.test.macro_f1  # type: ignore[union-attr]
    )
    assert anchored[-1].together == 2
    wider = gate([states[-2]], [states[-1]], anchor=states[:1], max_drift=0.5, **options)
    assert wider.status != "regression"
    assert wider.max_drift == 0.5


def test_an_anchor_that_decides_as_the_baseline_is_judged_once(make_record: Make) -> None:
    old, new = pairs(make_record, [10, 10])
    verdict = gate(old, new, anchor=old, **QUICK)
    assert (verdict.anchor, verdict.together) == ((), 2)
    assert verdict.model_copy(update={"max_drift": None}) == gate(old, new, **QUICK)
    verdict = gate(old, new, anchor=[worse_by(old[0], 5), old[1]], **QUICK)
    assert [cell.cell for cell in verdict.anchor] == [old[0].cell.id]
    assert verdict.together == 3


def test_an_anchor_is_judged_only_where_the_baseline_is(make_record: Make) -> None:
    old, new = pairs(make_record, [10, 10])
    anchor = [worse_by(record, 5) for record in old]
    verdict = gate(old[:1], new, anchor=anchor, **QUICK)
    assert [cell.cell for cell in verdict.anchor] == [old[0].cell.id]
    verdict = gate(old, new[:1], anchor=anchor, **QUICK)
    assert verdict.status == "not-comparable"
    assert [cell.cell for cell in verdict.anchor] == [old[0].cell.id]
    other = [record.model_copy(update={"dominance": "rare"}) for record in anchor]
    verdict = gate(old, new, anchor=other, **QUICK)
    assert [cell.status for cell in verdict.anchor] == ["not-comparable"] * 2
    damaged = anchor[0].model_copy(
        update={"decisions": anchor[0].decisions.model_copy(update={"targets": "AAAA"})}  # type: ignore[union-attr]
    )
    with pytest.raises(RecordError, match=r"torch-fp32: decisions\.targets"):
        gate(old, new, anchor=[damaged], **QUICK)


def test_an_anchors_times_are_not_judged(make_record: Make) -> None:
    old, new = pairs(make_record, [10])
    anchor = [worse_by(old[0], 5)]
    verdict = gate(old, new, anchor=anchor, max_slowdown=1.5, max_label_drop=0.5, **QUICK)
    assert len(verdict.cells[0].latency) == 1
    assert verdict.anchor[0].latency == ()
    assert len(verdict.anchor[0].labels) == 3

"""The gate over arrays of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goemo_eval import GoemoError, gate, gate_decisions, paired_bootstrap, score_interval
from goemo_eval.records.decisions import unpack_decisions


@pytest.mark.parametrize("n_labels", [1, 6, 1000])
def test_any_number_of_labels_with_rows_without_one(n_labels: int) -> None:
    rng = np.random.default_rng(n_labels)
    truth = rng.random((300, n_labels)) < 0.3 / n_labels**0.5
    truth[:100] = False
    noise = rng.random(truth.shape)
    before = truth & (noise > 0.02)
    labels = [f"étiquette № {k}" for k in range(n_labels)]
    options: dict[str, Any] = {"labels": labels, "n_resamples": 500}
    same = gate_decisions(truth, before, before, **options)
    assert (same.status, same.drop, same.flips) == ("pass", 0, 0)
    lost = gate_decisions(truth, before, before & (noise > 0.5), **options)
    assert (lost.status, lost.cell) == ("regression", "candidate")
    interval = paired_bootstrap(truth, before, before & (noise > 0.5), n_resamples=500)
    assert lost.drop == pytest.approx(-interval.point)
    assert score_interval(truth, before, n_resamples=500).low < lost.baseline  # type: ignore[operator]
    named = gate_decisions(truth, before, before & (noise > 0.5), max_label_drop=0.1, **options)
    assert [label.label for label in named.labels] == labels


def test_it_says_what_the_gate_over_records_says(make_record: Callable[..., Any]) -> None:
    old, new = make_record(), make_record(wrong=0.25)
    of_records = gate([old], [new], max_drop=0.02, max_label_drop=0.05).cells[0]
    truth, before = unpack_decisions(old.decisions)
    _, after = unpack_decisions(new.decisions)
    options: dict[str, Any] = {"labels": old.labels, "max_drop": 0.02, "max_label_drop": 0.05}
    found = gate_decisions(truth, before, after, name=old.cell.id, **options)
    assert found == of_records
    ids = (array.argmax(axis=1) for array in (truth, before, after))
    assert gate_decisions(*ids, name=old.cell.id, **options) == of_records


YES = np.ones((4, 2), bool)


@pytest.mark.parametrize(
    ("arrays", "changed", "message"),
    [
        ((YES, YES, YES[:3]), {}, r"shape \(4, 2\), predictions \(3, 2\)"),
        ((YES, YES, YES.astype(float)), {}, "dtype float64"),
        ((YES, YES[:, :1], YES), {}, r"booleans of shape \(N, 2\)"),
        ((np.zeros(4, int), np.zeros(4, int), np.full(4, 2)), {}, "hold class 2: expected 0 to 1"),
        ((YES, YES, YES), {"labels": ["a", "a"]}, "label"),
        ((YES, YES, YES), {"max_drop": float("nan")}, "max_drop must"),
        ((YES, YES, YES), {"alpha": 0.5}, "alpha must"),
        ((YES, YES, YES), {"mode": "strict"}, "mode must"),
        ((YES, YES, YES), {"seed": -1}, "seed must"),
    ],
)
def test_mistakes(arrays: Any, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(GoemoError, match=message) as raised:
        gate_decisions(*arrays, **{"labels": ["a", "b"], **changed})
    assert str(raised.value).isprintable()

"""What is computed on scores: exact thresholds and the paired bootstrap, beside loops of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from goemo_eval.measure.statistics import paired_bootstrap
from goemo_eval.measure.thresholds import search_thresholds
from goemo_eval.records.files import read_records
from goemo_eval.records.verified import verified_decisions

from .peers import bootstrap_by_loop, thresholds_by_grid
from .starting import RECORDS
from .turns import in_turns

ROWS, LABELS = 5_426, 28
DRAWS, LOOP_DRAWS = 10_000, 40
ROUNDS = 3


def synthetic(rows: int, labels: int, *, seed: int = 0) -> tuple[Any, Any]:
    """Return probabilities and targets of as many rows: labels are as rare as GoEmotions' are."""
    rng = np.random.default_rng(seed)
    shares = np.geomspace(0.002, 0.3, labels)
    targets = rng.random((rows, labels)) < shares
    probabilities = 1 / (1 + np.exp(-(rng.normal(size=(rows, labels)) + 3 * targets - 3)))
    return probabilities, targets


def thresholds(*, began: float) -> dict[str, Any]:
    """Fit thresholds in turns, and say what F1 each way reaches on the rows that it was fitted on."""
    from goemo_eval.measure.metrics import score_predictions

    del began
    probabilities, targets = synthetic(ROWS, LABELS)
    found: dict[str, Any] = {}

    def ours(_: int) -> None:
        found["ours"] = search_thresholds(probabilities, targets, fitted_on="here").values

    def theirs(_: int) -> None:
        found["scikit-learn"] = thresholds_by_grid(probabilities, targets)

    ours(0)
    seconds, load = in_turns({"scikit-learn": theirs, "ours": ours}, rounds=ROUNDS, warm_up=False)
    names = [str(k) for k in range(LABELS)]
    reached = {
        name: score_predictions(targets, probabilities >= values, labels=names).macro_f1
        for name, values in found.items()
    }
    return {"seconds": seconds, "macro_f1": reached, "load": load.model_dump()}


def _real() -> tuple[Any, Any, Any]:
    """Return truth and decisions of MiniLM in FP32 and in INT8 on GoEmotions' test split."""
    records = {record.cell.id: record for record in read_records(RECORDS)}
    pair = [records[f"minilm-raw-{name}-s1"] for name in ("torch-fp32", "onnxruntime-int8")]
    (targets, baseline), (_, candidate) = map(verified_decisions, pair)
    return targets, baseline, candidate


def bootstrap(*, began: float) -> dict[str, Any]:
    """Time 10,000 draws beside a loop, of which a few are drawn and the rest reckoned."""
    del began
    targets, baseline, candidate = _real()
    calls: dict[str, Any] = {
        "scikit-learn": lambda _: bootstrap_by_loop(targets, baseline, candidate, draws=LOOP_DRAWS),
        "ours": lambda _: paired_bootstrap(targets, baseline, candidate, n_resamples=DRAWS),
    }
    calls["ours"](0)
    seconds, load = in_turns(calls, rounds=ROUNDS, warm_up=False)
    seconds["scikit-learn"] = [s * DRAWS / LOOP_DRAWS for s in seconds["scikit-learn"]]
    return {"seconds": seconds, "drawn_of_the_loop": LOOP_DRAWS, "load": load.model_dump()}

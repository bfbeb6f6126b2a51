"""Records as a run over GoEmotions would leave them, without a model: small, and of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.measure.calibration import calibrate, threshold_curves
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.measure.thresholds import apply_thresholds, search_thresholds, sigmoid, softmax
from goemo_eval.records.decisions import pack_decisions
from goemo_eval.records.schema import Cell, Record, Speedup, SplitScores, ThresholdsEntry
from goemo_eval.report.render import write_report

LABELS = ("anger", "joy", "love", "neutral")
TWO_ENGINES = ("torch", "openvino")


def build(
    make_record: Callable[..., Record],
    encoders: tuple[str, ...],
    engines: tuple[str, ...],
    seed: int = 0,
    *,
    rows: int = 400,
    labels: tuple[str, ...] = LABELS,
) -> list[Record]:
    """Cells of both schemes and precisions; an encoder's scores grow with its place in the list."""
    rng = np.random.default_rng(0)
    n, k = rows, len(labels)
    truth = rng.random((n, k)) < np.resize([0.1, 0.3, 0.2, 0.4], k) * 4 / k
    truth[~truth.any(axis=1), -1] = True
    dominant = truth.argmax(axis=1)
    if seed:  # other scores on the same texts
        rng = np.random.default_rng(seed)
    found = []
    for place, encoder in enumerate(encoders):
        for scheme in ("raw", "simplified"):
            signal = truth * (1.5 + 0.5 * place) + rng.normal(size=(n, k)) - 1
            for engine in engines:
                for precision in ("fp32", "int8"):
                    cell = Cell(
                        encoder=encoder,
                        scheme=scheme,
                        engine=engine,
                        precision=precision,
                        seed=seed,
                    )
                    noise = rng.normal(size=(n, k)) * (0.3 if precision == "int8" else 0.01)
                    found.append(
                        _record(make_record, cell, signal + noise, truth, dominant, labels)
                    )
    return found


def _record(make_record, cell, logits, truth, dominant, labels) -> Record:  # type: ignore[no-untyped-def]
    if cell.scheme == "raw":
        p, target = sigmoid(logits), truth
        thresholds = search_thresholds(p, truth, fitted_on="v")
        guess = apply_thresholds(p, thresholds)
        extra = {
            "kind": "multilabel",
            "dominance": None,
            "thresholds": ThresholdsEntry(
                strategy="per-label", values=tuple(thresholds.values.tolist()), fitted_on="v"
            ),
            "threshold_curves": threshold_curves(p, truth),
        }
    else:
        p, target = softmax(logits), dominant
        guess, extra = p.argmax(axis=1), {}
    scores = score_predictions(target, guess, labels=labels)
    seen = scores.model_copy(update={"macro_f1": scores.macro_f1 + 0.01 + cell.seed / 1000})
    int8 = cell.precision == "int8"
    speed = Speedup(reference=cell.at("fp32").id, reference_s=(4.0, 4.4), candidate_s=(2.0, 2.1))
    return make_record(
        cell.precision,
        cell=cell,
        labels=labels,
        scores=SplitScores(validation=seen if cell.seed else scores, test=scores),
        scores_refitted=SplitScores(validation=scores, test=scores) if int8 else None,
        decisions=pack_decisions(target, guess, len(labels)),
        calibration=calibrate(p, target),
        speedups=(speed,) if int8 else (),
        size_bytes=20 if int8 else 80,
        **extra,
    )


@pytest.fixture(scope="session")
def full(make_record: Callable[..., Record]) -> list[Record]:
    """Two encoders, both schemes, two engines, both precisions: every section has something to show."""
    return build(make_record, ("albert", "minilm"), TWO_ENGINES)


@pytest.fixture(scope="session")
def seeded(make_record: Callable[..., Record]) -> list[Record]:
    """MiniLM under both schemes: torch FP32 with seeds 1, 2, 3, all other cells with seed 1 alone."""
    found = build(make_record, ("minilm",), TWO_ENGINES, seed=1)
    for seed in (2, 3):
        found += [
            record
            for record in build(make_record, ("minilm",), ("torch",), seed=seed)
            if record.cell.precision == "fp32"
        ]
    return found


@pytest.fixture(scope="session")
def sixty_four(make_record: Callable[..., Record]) -> list[Record]:
    """Eight encoders on as many texts and labels as GoEmotions has; their scores are the same."""
    labels = tuple(f"label{i}" for i in range(28))
    cells = build(make_record, ("albert",), TWO_ENGINES, rows=5427, labels=labels)
    encoders = ("albert", "distilbert", "minilm", "mobilebert", "mine", "yours", "a", "b")
    return [_renamed(record, encoder) for encoder in encoders for record in cells]


def _renamed(record: Record, encoder: str) -> Record:
    cell = record.cell.model_copy(update={"encoder": encoder})
    speedups = tuple(
        s.model_copy(update={"reference": cell.at("fp32").id}) for s in record.speedups
    )
    return record.model_copy(update={"cell": cell, "speedups": speedups})


@pytest.fixture(scope="session")
def rendered(full: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of `full`, written once."""
    out = tmp_path_factory.mktemp("report")
    write_report(full, out)
    return out

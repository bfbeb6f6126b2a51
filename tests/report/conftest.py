"""Records as runs would leave them, without a model: small, and of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_eval.measure.calibration import calibrate, threshold_curves
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.measure.scenarios import Latency, Throughput
from goemo_eval.measure.thresholds import apply_thresholds, search_thresholds, sigmoid, softmax
from goemo_eval.records.decisions import pack_decisions
from goemo_eval.records.schema import (
    Cell,
    Data,
    Length,
    Memory,
    Record,
    Speedup,
    SplitData,
    SplitScores,
    ThresholdsEntry,
)
from goemo_eval.report.render import write_report
from goemo_eval.report.study.published import load_study

LABELS = ("anger", "joy", "love", "neutral")
TWO_ENGINES = ("torch", "openvino")
QUIET = Load(load_start=0.1, load_end=0.2, taken_by_others=0.01, spread=0.02)
BUSY = Load(
    load_start=7.1,
    load_end=8.2,
    taken_by_others=0.4,
    reason="other processes took 40% of the processors",
)
MakeRecord = Callable[..., Record]
MakeLatency = Callable[..., Latency]


def build(
    make_record: MakeRecord,
    make_latency: MakeLatency,
    encoders: Sequence[str],
    engines: Sequence[str] = TWO_ENGINES,
    seed: int = 0,
    *,
    rows: int = 400,
    labels: tuple[str, ...] = LABELS,
    **fields: Any,
) -> list[Record]:
    """Cells of both schemes and precisions; an encoder's scores grow with its place in the list.

    tfidf has one engine, one precision and one seed.
    """
    rng = np.random.default_rng(0)
    n, k = rows, len(labels)
    truth = rng.random((n, k)) < np.resize([0.1, 0.3, 0.2, 0.4], k) * 4 / k
    truth[~truth.any(axis=1), -1] = True
    if seed:  # other scores on the same texts
        rng = np.random.default_rng(seed)
    found = []
    for place, encoder in enumerate(encoders):
        floor = encoder == "tfidf"
        for scheme in ("raw", "simplified"):
            signal = truth * (1.5 + 0.5 * place) + rng.normal(size=(n, k)) - 1
            for engine in ("linear",) if floor else engines:
                for precision in ("fp32",) if floor else ("fp32", "int8"):
                    cell = Cell(
                        encoder=encoder,
                        scheme=scheme,
                        engine=engine,
                        precision=precision,
                        seed=0 if floor else seed,
                    )
                    noise = rng.normal(size=(n, k)) * (0.3 if precision == "int8" else 0.01)
                    cost = {
                        **_cost(make_latency, cell, place, rows),
                        "size_bytes": (20 if precision == "int8" else 80) * 10**6 + place,
                    }
                    found.append(
                        _record(make_record, cell, signal + noise, truth, labels, cost | fields)
                    )
    return found


def _cost(make_latency: MakeLatency, cell: Cell, place: int, texts: int) -> dict[str, Any]:
    """Times and memory: INT8 is twice as fast, openvino a fifth faster, the floor a hundred times."""
    slow = {"tfidf": 0.01}.get(cell.encoder, 1.0 + 0.2 * place)
    slow *= (0.5 if cell.precision == "int8" else 1.0) * (0.8 if cell.engine == "openvino" else 1.0)
    times = 0.1 * slow * (1 + 0.05 * np.sin(np.arange(120)))
    return {
        "latency": {
            "real": make_latency(times.tolist(), batches=60),
            "padded128": make_latency((2 * times[:30]).tolist()),
            "single": make_latency((0.05 * times[:40]).tolist(), batch_size=1),
        },
        "offline": Throughput(texts=texts, threads=2, passes_s=(slow, 1.1 * slow), load=QUIET),
        "memory": Memory(peak_rss_bytes=int(200e6 * slow), start_s=0.5 + slow, texts=texts),
        "length": Length(max_length=128, cut_share=0.015),
    }


def _record(
    make_record: MakeRecord,
    cell: Cell,
    logits: np.ndarray,
    truth: np.ndarray,
    labels: tuple[str, ...],
    fields: dict[str, Any],
) -> Record:
    extra: dict[str, Any] = {}
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
        p, target = softmax(logits), truth.argmax(axis=1)
        guess = p.argmax(axis=1)
    scores = score_predictions(target, guess, labels=labels)
    seen = guess.copy()
    seen[: len(seen) // (20 - cell.seed)] = target[: len(seen) // (20 - cell.seed)]
    validation = score_predictions(target, seen, labels=labels)  # a little better than test
    int8 = cell.precision == "int8"
    both = SplitScores(validation=validation, test=scores)
    return make_record(
        cell.precision,
        cell=cell,
        labels=labels,
        scores=both,
        scores_refitted=both if int8 else None,
        decisions=pack_decisions(target, guess, len(labels)),
        calibration=calibrate(p, target),
        speedups=_speedups(cell) if int8 else (),
        **extra | fields,
    )


def _speedups(cell: Cell) -> tuple[Speedup, ...]:
    """Over the same engine's FP32 and over torch's."""
    torch = cell.at("fp32").model_copy(update={"engine": "torch"})
    references = dict.fromkeys([cell.at("fp32").id, torch.id])
    return tuple(
        Speedup(
            reference=r,
            reference_s=(4.0, 4.4),
            candidate_s=(2.0, 2.1) if cell.engine == "torch" else (1.6, 1.7),
            load=QUIET,
        )
        for r in references
    )


@pytest.fixture(scope="session")
def erring(make_record: MakeRecord) -> Callable[..., Record]:
    """Build a record of 3 classes whose errors are drawn anew: two of them err on different texts."""

    def make(
        encoder: str, *, wrong: float, draw: int, rows: int = 500, seed: int = 0, **fields: Any
    ) -> Record:
        truth = np.random.default_rng(0).integers(0, 3, rows)
        missed = np.random.default_rng(draw).random(rows) < wrong
        guess = np.where(missed, (truth + 1) % 3, truth)
        labels = ("joy", "anger", "neutral")
        scores = score_predictions(truth, guess, labels=labels)
        engine = "linear" if encoder == "tfidf" else "torch"
        words = {"encoder": encoder, "scheme": "simplified", "engine": engine}
        return make_record(
            cell=Cell(precision="fp32", seed=seed, **words),
            scores=SplitScores(validation=scores, test=scores),
            decisions=pack_decisions(truth, guess, 3),
            **fields,
        )

    return make


@pytest.fixture(scope="session")
def busy() -> Load:
    """A machine on which others work."""
    return BUSY


@pytest.fixture(scope="session")
def full(make_record: MakeRecord, make_latency: MakeLatency) -> list[Record]:
    """The floor and two encoders, both schemes, two engines, both precisions: all there is to show."""
    return build(make_record, make_latency, ("tfidf", "albert", "minilm"))


@pytest.fixture(scope="session")
def study_data() -> Data:
    """The data that the study used."""
    study = load_study()
    splits = {
        name: SplitData(sha256=study.sha256[name], rows=rows) for name, rows in study.rows.items()
    }
    return Data(name=study.data, source="tsv", revision=None, splits=splits)


@pytest.fixture(scope="session")
def of_the_study(full: list[Record], study_data: Data) -> list[Record]:
    """The same records, had they been measured on the study's data."""
    return [record.model_copy(update={"data": study_data}) for record in full]


@pytest.fixture(scope="session")
def seeded(make_record: MakeRecord, make_latency: MakeLatency) -> list[Record]:
    """MiniLM under both schemes: torch FP32 with seeds 1, 2, 3, all other cells with seed 1 alone."""
    found = build(make_record, make_latency, ("minilm",), seed=1)
    for seed in (2, 3):
        found += [
            record
            for record in build(make_record, make_latency, ("minilm",), ("torch",), seed=seed)
            if record.cell.precision == "fp32"
        ]
    return found


@pytest.fixture(scope="session")
def sixty_four(make_record: MakeRecord, make_latency: MakeLatency) -> list[Record]:
    """Eight encoders on as many texts and labels as GoEmotions has; their scores are the same."""
    labels = tuple(f"label{i}" for i in range(28))
    data = Data(
        name="mine",
        source="mine.csv",
        revision=None,
        splits={n: SplitData(sha256=n * 8, rows=6000) for n in ("train", "validation", "test")},
    )
    cells = build(make_record, make_latency, ("albert",), rows=5427, labels=labels, data=data)
    encoders = ("albert", "distilbert", "minilm", "mobilebert", "mine", "yours", "a", "b")
    return [_renamed(record, encoder) for encoder in encoders for record in cells]


def _renamed(record: Record, encoder: str) -> Record:
    cell = record.cell.model_copy(update={"encoder": encoder})
    speedups = tuple(
        s.model_copy(update={"reference": s.reference.replace(record.cell.encoder, encoder)})
        for s in record.speedups
    )
    return record.model_copy(update={"cell": cell, "speedups": speedups})


@pytest.fixture(scope="session")
def rendered(full: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of `full`, written once."""
    out = tmp_path_factory.mktemp("report")
    write_report(full, out)
    return out

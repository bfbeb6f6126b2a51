"""Records made of real parts: real scores of real predictions, without a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goemo_eval.measure.environment import Environment
from goemo_eval.measure.latency import summarize_times
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.results.records import (
    Cell,
    Data,
    Record,
    Speedup,
    SplitData,
    SplitScores,
    WeightsEntry,
)

LABELS = ("joy", "anger", "neutral")


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """Build a record of a cell whose decisions are wrong with the given share."""

    def make(precision: str = "fp32", *, wrong: float = 0.2, scored: bool = True, **fields: Any) -> Record:
        rng = np.random.default_rng(0)
        truth = rng.integers(0, 3, 500)
        guess = np.where(rng.random(500) < wrong, (truth + 1) % 3, truth)
        scores = score_predictions(truth, guess, labels=LABELS)
        cell = Cell(encoder="minilm", scheme="simplified", engine="torch", precision=precision)
        base: dict[str, Any] = {
            "cell": cell,
            "kind": "multiclass",
            "labels": LABELS,
            "dominance": "frequent",
            "data": Data(
                source="sample",
                revision=None,
                splits={n: SplitData(sha256=n * 8, rows=500) for n in ("train", "validation", "test")},
            ),
            "weights": WeightsEntry(kind="pretrained", sha256="a" * 64, base_sha256="b" * 64),
            "recipe": {"name": "study", "epochs": 3, "learning_rate": 5e-5},
            "scores": SplitScores(validation=scores, test=scores) if scored else None,
            "unscored_reason": None if scored else "no pretrained weights",
            "latency": {"real": summarize_times([0.1, 0.2, 0.3], batch_size=32, threads=2)},
            "split_latency_s": 2.0,
            "speedup": Speedup(
                reference=cell.at("fp32").id, reference_s=(4.0, 4.4, 3.6), candidate_s=(2.0, 2.0, 2.0)
            )
            if precision == "int8"
            else None,
            "parameters": 10,
            "size_bytes": 40,
            "peak_rss_bytes": None,
            "environment": Environment(
                versions={"torch": "2.13.0"},
                python="CPython 3.11.7",
                platform="Linux x86_64",
                cpu_model="a cpu",
                isa_flags=("avx2",),
                engine_isa="AVX2",
                kernels="fp32",
                quantized_engine=None,
                threads=2,
                load_start=0.1,
                load_end=0.2,
                git_commit=None,
            ),
        }
        return Record(**base | fields)

    return make

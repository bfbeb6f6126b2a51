"""How cost grows: texts, rows, labels and cells, each size in a process of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from goemo_eval.data.schemes import get_scheme
from goemo_eval.engines.base import logits
from goemo_eval.engines.registry import load
from goemo_eval.measure.memory import peak_rss_bytes
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.measure.statistics import paired_bootstrap
from goemo_eval.measure.thresholds import search_thresholds
from goemo_eval.records.decisions import pack_decisions
from goemo_eval.records.files import read_records
from goemo_eval.records.schema import Record

from .numbers import synthetic
from .settings import Settings
from .starting import RECORDS, many

SIZES: dict[str, tuple[tuple[int, int], ...]] = {
    "floor": ((1, 0), (10, 0), (100, 0)),
    "encoder": ((1, 0), (10, 0)),
    "thresholds": ((5_426, 28), (54_260, 28), (1_000_000, 28), (5_426, 1_000)),
    "bootstrap": ((5_427, 28), (54_270, 28), (1_000_000, 28), (5_427, 1_000)),
    "gate": ((5_427, 28), (1_000_000, 28)),
    "report": ((16, 0), (64, 0), (500, 0)),
}
"""What grows -> its sizes: passes over the split, rows and labels, or cells."""
LONG: dict[str, tuple[tuple[int, int], ...]] = {"encoder": ((100, 0),)}
_GATE_RESAMPLES = 1_000


def grown(
    settings: Settings, chosen: Mapping[str, Any], what: str, size: tuple[int, int], *, began: float
) -> dict[str, float]:
    """Return the seconds of one piece of work at one size, and the peak memory of its process."""
    del began
    call = _work(settings, chosen, what, size)
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 4), "peak_mb": round((peak_rss_bytes() or 0) / 1e6)}


def _work(
    settings: Settings, chosen: Mapping[str, Any], what: str, size: tuple[int, int]
) -> Callable[[], Any]:
    count, labels = size
    if what in ("floor", "encoder"):
        texts = list(settings.dataset().splits["test"].texts) * count
        path = chosen["floor" if what == "floor" else "best"]
        predictor = load(Path(path), threads=settings.threads)
        return lambda: logits(predictor, texts)
    if what == "report":
        from goemo_eval.report.render import write_report

        records = many(count)

        def write() -> None:
            with tempfile.TemporaryDirectory() as scratch:
                write_report(records, Path(scratch))

        return write
    probabilities, targets = synthetic(count, labels)
    if what == "thresholds":
        return lambda: search_thresholds(probabilities, targets, fitted_on="here")
    rng = np.random.default_rng(1)
    baseline = targets ^ (rng.random(targets.shape) < 0.02)
    candidate = baseline ^ (rng.random(targets.shape) < 0.005)
    if what == "bootstrap":
        return lambda: paired_bootstrap(targets, baseline, candidate, n_resamples=_GATE_RESAMPLES)
    from goemo_eval.judge.gate import gate

    pair = [_record(targets, found) for found in (baseline, candidate)]
    return lambda: gate([pair[0]], [pair[1]], n_resamples=_GATE_RESAMPLES)


def _record(targets: Any, predictions: Any) -> Record:
    """Return a real record with decisions of another size, and the scores that follow from them."""
    like = next(r for r in read_records(RECORDS) if r.cell.scheme == "raw" and r.scores)
    names = get_scheme("raw").labels
    scores = score_predictions(targets, predictions, labels=names)
    assert like.scores is not None
    splits = {
        name: split.model_copy(update={"rows": len(targets)})
        for name, split in like.data.splits.items()
    }
    return like.model_copy(
        update={
            "labels": names,
            "data": like.data.model_copy(update={"splits": splits}),
            "scores": like.scores.model_copy(update={"test": scores}),
            "decisions": pack_decisions(targets, predictions, len(names)),
        }
    )

"""Scoring texts: the whole split, one text at a time, and what memory it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from goemo_eval.engines.base import logits
from goemo_eval.engines.registry import load

from .peers import Pipeline
from .settings import Settings
from .turns import in_turns

SINGLE_TEXTS = 200
STRETCH = 25
"""Texts that one contender answers before the next one's turn: a server's weights stay in its caches."""
MEMORY_TEXTS = 1024
_COMPARED = 256
PIPELINE = "pipeline"


def score_split(settings: Settings, chosen: dict[str, Any], *, began: float) -> dict[str, Any]:
    """Time passes over the test split, text in, scores out: the pipeline and the chosen cells in turns."""
    del began
    texts = list(settings.task().texts["test"])
    pipeline = Pipeline(settings.checkpoint, threads=settings.threads)
    loaded = {
        name: load(Path(chosen[name]), threads=settings.threads)
        for name in ("fp32", "best", "layers", "floor")
        if name in chosen
    }
    some = texts[:_COMPARED]
    apart = np.abs(pipeline.logits(some) - logits(loaded["fp32"], some)).max()
    # Every contender's kernels are built, and its memory taken, before the first turn.
    for predictor in loaded.values():
        logits(predictor, texts)
    pipeline.scores(some)
    calls: dict[str, Any] = {PIPELINE: lambda _: pipeline.scores(texts)}
    for name, predictor in loaded.items():
        calls[name] = lambda _, p=predictor: logits(p, texts)
    seconds, load_beside = in_turns(calls, rounds=settings.rounds, warm_up=False)
    return {
        "texts": len(texts),
        "seconds": seconds,
        "logits_apart": float(apart),
        "load": load_beside.model_dump(),
    }


def score_one(settings: Settings, chosen: dict[str, Any], *, began: float) -> dict[str, Any]:
    """Time texts one at a time: the pipeline and every cell, stretch by stretch in turns."""
    import time

    del began
    texts = list(settings.task().texts["test"])[:SINGLE_TEXTS]
    pipeline = Pipeline(settings.checkpoint, threads=settings.threads)
    calls: dict[str, Any] = {PIPELINE: pipeline.scores_of_one}
    for name, path in chosen["all"].items():
        predictor = load(Path(path), threads=settings.threads)
        calls[name] = lambda text, p=predictor: logits(p, [text])
    seconds: dict[str, list[float]] = {name: [] for name in calls}

    def stretch(name: str, number: int) -> None:
        for text in texts[number * STRETCH : (number + 1) * STRETCH]:
            start = time.perf_counter()
            calls[name](text)
            seconds[name].append(time.perf_counter() - start)

    for call in calls.values():
        for text in texts[:STRETCH]:
            call(text)
    turns = {name: (lambda number, n=name: stretch(n, number)) for name in calls}
    rounds = max(1, len(texts) // STRETCH)
    _, load_beside = in_turns(turns, rounds=rounds, warm_up=False)
    return {"texts": len(texts), "seconds": seconds, "load": load_beside.model_dump()}


def peak_of_pipeline(settings: Settings, *, began: float) -> dict[str, Any]:
    """Score texts with the pipeline in a process of its own, and return its peak memory."""
    del began
    texts = _memory_texts(settings)
    Pipeline(settings.checkpoint, threads=settings.threads).scores(texts)
    return _peak(texts)


def peak_of_cell(settings: Settings, path: str, *, began: float) -> dict[str, Any]:
    """Score texts with an artifact in a process of its own, and return its peak memory."""
    del began
    texts = _memory_texts(settings)
    logits(load(Path(path), threads=settings.threads), texts)
    return _peak(texts)


def _memory_texts(settings: Settings) -> list[str]:
    """Return the longest texts of the split: what a batch of them takes is the most that any takes."""
    texts = settings.dataset().splits["test"].texts
    return sorted(texts, key=len, reverse=True)[:MEMORY_TEXTS]


def _peak(texts: list[str]) -> dict[str, Any]:
    from goemo_eval.measure.memory import peak_rss_bytes

    return {"texts": len(texts), "peak_bytes": peak_rss_bytes()}

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from goemo_eval.measure.latency import (
    latency_batches,
    rounds_within,
    summarize_times,
    time_split_interleaved,
)
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.data.dataset import Split
from goemo_eval.engines.base import Batch, Classifier
from goemo_eval.engines.registry import load_classifier
from goemo_eval.errors import DataError
from goemo_eval.models.checkpoint import Checkpoint


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=40))
def test_summary_keeps_every_time_and_orders_percentiles(times: list[float]) -> None:
    summary = summarize_times(times, batch_size=32, threads=2)
    assert list(summary.times_s) == times
    ordered = [min(times), summary.p50_s, summary.p90_s, summary.p99_s, max(times)]
    assert np.all(np.diff(ordered) >= -1e-12)
    assert summary.p50_s == pytest.approx(float(np.median(times)))


def test_rounds() -> None:
    assert rounds_within(0.1, budget_s=1.0) == 10
    assert rounds_within(10.0, budget_s=1.0) == 3
    assert rounds_within(1e-6, budget_s=1.0) == 30


@pytest.fixture(scope="module")
def classifier(minilm_raw: Checkpoint) -> Classifier:
    return load_classifier(minilm_raw)


def test_shapes_of_batches(classifier: Classifier, short_sample: dict[str, Split]) -> None:
    texts = short_sample["test"].texts
    encoded = classifier.encode(texts)
    real = latency_batches(classifier, texts, "real")
    padded = latency_batches(classifier, texts, "padded128")
    assert len(real) == len(padded) == len(texts) // 32
    for number, (a, b) in enumerate(zip(real, padded, strict=True)):
        own = encoded[number * 32 : (number + 1) * 32]  # the split's own order
        assert a.rows == b.rows == tuple(range(number * 32, (number + 1) * 32))
        assert a.input_ids.shape == (32, max(map(len, own)))
        assert b.input_ids.shape == (32, 128)
        assert a.attention_mask.sum() == b.attention_mask.sum() == sum(map(len, own))


def test_too_few_texts(classifier: Classifier) -> None:
    with pytest.raises(DataError, match="at least one batch of 32 texts: got 3"):
        latency_batches(classifier, ["a", "b", "c"], "real")


def test_interleaved_passes_take_turns_and_tell_a_slow_one(
    classifier: Classifier, short_sample: dict[str, Split]
) -> None:
    turns: list[str] = []

    def forward(batch: Batch, name: str, pause_s: float) -> np.ndarray:
        turns.append(name)
        time.sleep(pause_s)
        return np.zeros((len(batch.rows), 28), dtype=np.float32)

    fast = replace(classifier, forward=lambda b: forward(b, "fast", 0.002))
    slow = replace(classifier, forward=lambda b: forward(b, "slow", 0.006))
    fast_s, slow_s = time_split_interleaved([fast, slow], short_sample["test"].texts, budget_s=0.0)
    assert len(fast_s) == len(slow_s) == 1  # the first pass always runs
    assert 2 < slow_s[0] / fast_s[0] < 4
    timed = turns[2:]  # after one warm-up each
    assert timed == ["fast", "slow", "slow", "fast", "fast", "slow"]


def test_passes_stop_at_most(classifier: Classifier, short_sample: dict[str, Split]) -> None:
    nothing = replace(classifier, forward=lambda b: np.zeros((len(b.rows), 28), dtype=np.float32))
    (seconds,) = time_split_interleaved([nothing], short_sample["test"].texts, budget_s=9.0, most=3)
    assert len(seconds) == 3

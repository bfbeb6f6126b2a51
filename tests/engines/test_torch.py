"""The torch engine against a plain transformers forward pass, on MiniLM's real weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from goemo_eval.data.splits import Split
from goemo_eval.engines.registry import describe_engine, load_classifier
from goemo_eval.errors import CheckpointError, EngineError, ScoreError
from goemo_eval.measure.scoring import fit_thresholds, score_logits
from goemo_eval.measure.thresholds import apply_thresholds, sigmoid
from goemo_eval.models.checkpoint import Checkpoint


def plain_logits(checkpoint: Checkpoint, texts: tuple[str, ...]) -> np.ndarray:
    """One text at a time, in the split's order, nothing padded: as a user would first write it."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.path)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint.path).eval()
    with torch.no_grad():
        return np.concatenate(
            [
                model(
                    **tokenizer(t, truncation=True, max_length=128, return_tensors="pt")
                ).logits.numpy()
                for t in texts
            ]
        )


def test_logits_and_macro_f1_equal_the_plain_path(
    minilm_raw: Checkpoint, short_sample: dict[str, Split]
) -> None:
    test, validation = short_sample["test"], short_sample["validation"]
    classifier = load_classifier(minilm_raw)
    logits = classifier.logits(test.texts)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, plain_logits(minilm_raw, test.texts), atol=1e-4)

    thresholds = fit_thresholds(
        classifier.logits(validation.texts),
        validation.labels,
        strategy="per-label",
        fitted_on=validation.sha256,
    )
    scores = score_logits(
        logits,
        test.labels,
        labels=minilm_raw.labels,
        split_sha256=test.sha256,
        thresholds=thresholds,
    )
    decisions = apply_thresholds(sigmoid(logits), thresholds)
    expected = f1_score(test.labels, decisions, average="macro", zero_division=0)
    assert scores.macro_f1 == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_rerun_gives_the_same_bits(
    minilm_raw: Checkpoint, short_sample: dict[str, Split], precision: str
) -> None:
    texts = short_sample["test"].texts
    first = load_classifier(minilm_raw, precision=precision).logits(texts)
    again = load_classifier(minilm_raw, precision=precision).logits(texts)
    np.testing.assert_array_equal(first, again)


def test_int8_is_smaller_and_close(minilm_raw: Checkpoint, short_sample: dict[str, Split]) -> None:
    texts = short_sample["test"].texts
    fp32, int8 = (load_classifier(minilm_raw, precision=p) for p in ("fp32", "int8"))
    assert int8.parameters == fp32.parameters == 22_723_996
    assert int8.size_bytes < 0.4 * fp32.size_bytes
    assert int8.runtime.quantized_engine == torch.backends.quantized.engine
    assert fp32.runtime.quantized_engine is None
    a, b = fp32.logits(texts), int8.logits(texts)
    assert not np.array_equal(a, b)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_threads_are_set(minilm_raw: Checkpoint) -> None:
    before = torch.get_num_threads()
    try:
        load_classifier(minilm_raw, threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_unknown_engine_and_precision(minilm_raw: Checkpoint) -> None:
    with pytest.raises(
        EngineError, match="unknown engine 'tvm': known are onnxruntime, openvino, torch"
    ):
        load_classifier(minilm_raw, engine="tvm")
    with pytest.raises(EngineError, match="unknown precision 'int4': known are fp32, int8"):
        load_classifier(minilm_raw, precision="int4")


def test_labels_must_fit_the_model(minilm_raw: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="the model has 28 outputs for 2 labels"):
        load_classifier(replace(minilm_raw, labels=("a", "b")))


def test_broken_weights_are_told_by_their_logits(minilm_raw: Checkpoint) -> None:
    good = load_classifier(minilm_raw)
    broken = replace(good, forward=lambda batch: good.forward(batch) * np.float32(np.nan))
    with pytest.raises(ScoreError, match="are not finite"):
        broken.logits(["hello"])


def test_description_names_the_quantized_engine() -> None:
    assert torch.backends.quantized.engine in describe_engine("torch")

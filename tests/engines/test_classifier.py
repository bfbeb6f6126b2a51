"""A checkpoint converted in memory: what it gives, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goemo_eval.data.schemes import get_scheme
from goemo_eval.engines.classifier import load_classifier
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.encoders import Encoder
from goemo_eval.models.weights import Weights
from goemo_eval.models.writing import write_untrained


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A table alone, the smallest that all engines convert."""
    encoder = Encoder(
        name="mine", model_type="model2vec", config={"vocab_size": 8000, "hidden_dim": 96}
    )
    return write_untrained(
        encoder,
        get_scheme("raw"),
        weights=Weights("random", "random", reason="in a test"),
        out=tmp_path / "checkpoint",
        max_length=48,
        seed=0,
    )


def test_calibrated_int8_needs_texts(checkpoint: Checkpoint) -> None:
    with pytest.raises(EngineError, match="needs calibration texts"):
        load_classifier(checkpoint.path, "openvino", "int8")


def test_a_classifier_from_python(checkpoint: Checkpoint) -> None:
    classifier = load_classifier(checkpoint.path, "onnxruntime")
    assert classifier.labels == checkpoint.labels
    assert classifier.logits([]).shape == (0, 28)
    assert classifier.logits(("a text",)).shape == (1, 28)
    with pytest.raises(TypeError, match="got one str"):
        classifier.logits("a text")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"engine": "tensorrt"}, "unknown engine 'tensorrt'"),
        ({"precision": "int4"}, "unknown precision 'int4'"),
    ],
)
def test_unknown_names_are_refused(checkpoint: Checkpoint, words: Any, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        load_classifier(checkpoint.path, **words)

"""Every engine against torch's FP32 logits, on real weights; what they share, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.dataset import Split
from goemo_eval.engines import registry
from goemo_eval.engines.base import Batch, Model
from goemo_eval.engines.registry import (
    ENGINES,
    describe_engine,
    load_classifier,
    load_model,
    missing_engine,
)
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.encoders import Encoder, find_weights, get_encoder
from goemo_eval.models.writing import write_untrained

# Small shapes of the two architectures whose graphs are unlike BERT's: a layer that is passed
# again and again, and bottlenecks with norms that are no norms.
SHAPES: dict[str, dict[str, Any]] = {
    "albert": {
        "vocab_size": 8000,
        "embedding_size": 64,
        "hidden_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 512,
        "max_position_embeddings": 64,
    },
    "mobilebert": {
        "vocab_size": 1000,
        "max_position_embeddings": 64,
        "num_hidden_layers": 2,
        "classifier_activation": False,
    },
}
Load = Callable[[str, str], Model]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("random")
    made = {}
    for name, config in SHAPES.items():
        encoder = Encoder(name=name, model_type=name, config=config)
        weights = find_weights(get_encoder("albert"))  # out of reach in tests: random
        made[name] = write_untrained(
            encoder, get_scheme("raw"), weights=weights, out=folder / name, max_length=48, seed=0
        )
    return made


@pytest.fixture(scope="module")
def load(checkpoints: dict[str, Checkpoint], sample: dict[str, Split]) -> Load:
    """Load a small architecture into an engine, once."""
    loaded: dict[tuple[str, str], Model] = {}

    def call(name: str, engine: str) -> Model:
        if (name, engine) not in loaded:
            loaded[name, engine] = load_model(
                checkpoints[name], engine, threads=1, calibration=sample["train"].texts[:32]
            )
        return loaded[name, engine]

    return call


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SHAPES)
def test_engines_agree_and_int8_is_small_and_close(
    load: Load, sample: dict[str, Split], name: str, engine: str
) -> None:
    texts = sample["test"].texts[:40]
    expected = load(name, "torch").classifier("fp32").logits(texts)
    model = load(name, engine)
    fp32, int8 = model.classifier("fp32"), model.classifier("int8")
    np.testing.assert_allclose(fp32.logits(texts), expected, atol=1e-4)
    first = int8.logits(texts)
    np.testing.assert_array_equal(first, int8.logits(texts))  # the same bits again
    error = np.linalg.norm(first - expected) / np.linalg.norm(expected)
    assert 0 < error < 0.15
    assert int8.size_bytes < 0.4 * fp32.size_bytes
    assert int8.parameters == fp32.parameters
    assert fp32.runtime.quantized_engine is None
    assert int8.runtime.quantized_engine
    assert "int8" in int8.runtime.kernels
    assert model.layers == load(name, "torch").layers


@pytest.mark.parametrize("engine", ENGINES)
def test_kept_layers_stay_in_fp32_wherever_they_are_passed(
    load: Load, sample: dict[str, Split], engine: str
) -> None:
    model = load("albert", engine)
    texts = sample["test"].texts[:40]
    fp32, int8 = (model.classifier(p) for p in ("fp32", "int8"))
    names = [layer.name for layer in model.layers]
    (ffn,) = (n for n in names if n.endswith(".ffn"))  # passed three times
    kept = model.classifier("int8", kept_fp32=[ffn, "classifier"])
    assert kept.kept_fp32 == (ffn, "classifier")
    weights = sum(layer.weights for layer in model.layers if layer.name in kept.kept_fp32)
    grown = kept.size_bytes - int8.size_bytes
    assert 2.5 * weights < grown < 3.5 * weights  # from one byte to four, once
    everything = model.classifier("int8", kept_fp32=names)
    distance = [
        np.abs(c.logits(texts) - fp32.logits(texts)).max() for c in (int8, kept, everything)
    ]
    # Of random weights one layer's error may cancel another's: only without any is it sure to shrink.
    assert distance[2] < min(distance[:2])
    assert distance[1] != distance[0]
    with pytest.raises(EngineError, match="kept_fp32 names the layer 'ffn', which the model lacks"):
        model.classifier("int8", kept_fp32=["ffn"])


@pytest.mark.parametrize("engine", ENGINES)
def test_mobileberts_mask_and_bottlenecks_bear_int8(load: Load, engine: str) -> None:
    """Neither the mask's huge constant nor the norms without a mean reach an INT8 range."""
    model = load("mobilebert", engine)
    int8, fp32 = model.classifier("int8"), model.classifier("fp32")
    ids = np.random.default_rng(0).integers(5, 1000, (4, 7))
    short = Batch(tuple(range(4)), ids, np.ones_like(ids))
    wide = Batch(tuple(range(4)), *(np.pad(a, ((0, 0), (0, 30))) for a in (ids, np.ones_like(ids))))
    np.testing.assert_allclose(fp32.forward(wide), fp32.forward(short), atol=1e-4)
    moved = np.linalg.norm(int8.forward(wide) - int8.forward(short))
    assert moved < 0.1 * np.linalg.norm(int8.forward(short))
    # The bottlenecks are INT8 as all else is: kept in FP32 they take four bytes a weight, not one.
    bottlenecks = [layer for layer in model.layers if "bottleneck" in layer.name]
    assert bottlenecks
    kept = model.classifier("int8", kept_fp32=[layer.name for layer in bottlenecks])
    weights = sum(layer.weights for layer in bottlenecks)
    assert 2.5 * weights < kept.size_bytes - int8.size_bytes < 3.5 * weights


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_missing_engine_is_one_line_with_the_command(
    engine: str, checkpoints: dict[str, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    assert missing_engine("torch") is None
    with pytest.raises(EngineError) as error:
        load_classifier(checkpoints["albert"], engine)
    assert f"pip install 'goemo-eval[{engine}]'" in str(error.value)
    assert "\n" not in str(error.value)


def test_calibrated_int8_needs_texts(checkpoints: dict[str, Checkpoint]) -> None:
    with pytest.raises(EngineError, match="openvino needs calibration texts for INT8"):
        load_classifier(checkpoints["albert"], "openvino", "int8")


def test_export_that_differs_is_refused(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    from goemo_eval.engines import onnxruntime

    model = load("albert", "onnxruntime")
    monkeypatch.setattr(onnxruntime, "EXPORT_TOLERANCE", 0.0)
    with pytest.raises(EngineError, match=r"logits differ from torch's by .*, more than 0: use"):
        onnxruntime.check_export(model.pretrained, model._session(model.exported))


def test_descriptions_name_the_int8_kernels() -> None:
    assert "MLAS" in describe_engine("onnxruntime")
    assert "INT8" in describe_engine("openvino")
    assert "nncf" in describe_engine("openvino")

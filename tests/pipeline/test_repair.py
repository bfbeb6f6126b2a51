"""The repair of INT8, on a real MiniLM whose INT8 collapses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.data.dataset import Split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.engines.registry import load_classifier
from goemo_eval.measure.scoring import validation_score
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint
from goemo_eval.models.encoders import Weights, get_encoder
from goemo_eval.models.recipes import load_recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.pipeline.repair import repair

OUTLIER, CHANNELS = 100.0, 4
CALIBRATION = 64


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    sample: dict[str, Split],
    minilm_weights: Weights,
    head_of: Callable[[Split, int], Split],
) -> Checkpoint:
    """MiniLM fine-tuned long enough on the sample for a Macro-F1 that can collapse."""
    directory = tmp_path_factory.mktemp("minilm")
    return fine_tune(
        get_encoder("minilm"),
        get_scheme("sentiment"),
        head_of(sample["train"], 512),
        recipe=load_recipe("sample").model_copy(update={"name": "short", "epochs": 2}),
        weights=minilm_weights,
        out=directory / "sentiment",
        partial=directory / "partial",
    )


@pytest.fixture(scope="module")
def with_outliers(trained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The same function with outliers in it.

    Value channels grow and the output projection's columns shrink; query channels grow and the
    key's shrink. The products, and so the logits in FP32, stay what they were.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(trained.path)
    rng = np.random.default_rng(0)
    for layer in model.bert.encoder.layer:
        attention = layer.attention.self
        grown, same = (
            rng.choice(attention.value.out_features, CHANNELS, replace=False) for _ in "vq"
        )
        for linear, rows, factor in (
            (attention.value, grown, OUTLIER),
            (attention.query, same, OUTLIER),
            (attention.key, same, 1 / OUTLIER),
        ):
            linear.weight.data[rows] *= factor
            linear.bias.data[rows] *= factor
        layer.attention.output.dense.weight.data[:, grown] /= OUTLIER
    out = tmp_path_factory.mktemp("outliers")
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(trained.path).save_pretrained(out)
    return read_checkpoint(out, max_length=trained.max_length)


# With one scale for a whole batch, onnxruntime's INT8 needs more layers in FP32 on texts as few as these.
@pytest.mark.parametrize(
    ("engine", "share"), [("torch", 0.8), ("onnxruntime", 0.5), ("openvino", 0.8)]
)
def test_int8_that_collapses_is_repaired_with_most_weights_in_int8(
    trained: Checkpoint,
    with_outliers: Checkpoint,
    sample: dict[str, Split],
    engine: str,
    share: float,
    tmp_path: Path,
) -> None:
    validation = sample["validation"]
    texts = validation.texts
    targets = get_scheme("sentiment").targets(validation.labels)
    calibration = sample["train"].texts[:CALIBRATION]
    plain = load_classifier(trained.path, engine).logits(texts)
    fp32 = load_classifier(with_outliers.path, engine).logits(texts)
    np.testing.assert_allclose(fp32, plain, atol=1e-4)  # FP32 does not see the outliers

    reference = validation_score(fp32, targets)
    int8 = load_classifier(with_outliers.path, engine, "int8", calibration=calibration).logits(
        texts
    )
    assert reference > 0.35  # a real score, which can fall
    least = reference - 0.01
    fell = validation_score(int8, targets) < least
    assert (
        fell or engine != "onnxruntime"
    )  # the engines with one scale a batch notice outliers most
    found = repair(
        with_outliers,
        engine,
        texts=texts,
        macro_f1=lambda logits: validation_score(logits, targets),
        least=least,
        calibration=calibration,
        threads=2,
        scratch=tmp_path,
    )
    assert found.macro_f1 >= least
    assert found.int8_share >= share
    assert found.smoothed == (engine != "openvino")
    again = load_classifier(
        with_outliers.path,
        engine,
        "int8",
        calibration=calibration,
        smoothed=found.smoothed,
        kept_fp32=found.kept_fp32,
    ).logits(texts)
    assert validation_score(again, targets) == found.macro_f1
    assert not list(tmp_path.iterdir())
    assert dataclasses.asdict(found)["passes"] >= 1

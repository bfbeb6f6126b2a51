"""The engine of linear models: artifacts of the floor, fitted on the bundled sample."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.data.task import Task, task_of
from goemo_eval.engines import linear as engine
from goemo_eval.engines import registry
from goemo_eval.engines.artifact import Artifact, Variant, describe, read_artifact
from goemo_eval.engines.base import Shape, logits
from goemo_eval.errors import CheckpointError, DataError, EngineError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.linear import as_matrix, fit_linear
from goemo_eval.models.linear_files import read_linear
from goemo_eval.models.ngrams import Vectorizer

FP32 = Variant(engine="linear", precision="fp32")
INT8 = Variant(engine="linear", precision="int8")
HARD = ("", "  ", "\U0001f602\U0001f602 thanks!!", "\u4f60\u597d", "x" * 5000, "half \ud83d")
"""Texts without a feature among them."""


@pytest.fixture(scope="module")
def task() -> Task:
    dataset = load_dataset("sample")
    return task_of(dataset, get_scheme("raw", dataset.labels))


@pytest.fixture(scope="module")
def floor(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return fit_linear(task, out=tmp_path_factory.mktemp("floor") / "checkpoint")


@pytest.fixture(scope="module")
def write(floor: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    made: dict[Variant, Path] = {}

    def artifact(variant: Variant) -> Artifact:
        if variant not in made:
            made[variant] = tmp_path_factory.mktemp("artifact")
            registry.convert(floor, variant, made[variant], threads=1)
        return read_artifact(made[variant])

    return artifact


def by_hand(path: Path, texts: tuple[str, ...], n_labels: int) -> npt.NDArray[np.float64]:
    model = read_linear(path, n_labels=n_labels, error=EngineError)
    features = Vectorizer(model.vocabulary).features(texts)
    weights = model.weights.astype(np.float64)
    if model.scales is not None:
        weights = weights * model.scales
    rows = as_matrix(features, columns=len(model.vocabulary))
    return np.asarray(rows @ weights + model.bias)


@pytest.mark.parametrize("variant", [FP32, INT8], ids=["fp32", "int8"])
def test_logits_are_features_times_weights(
    variant: Variant, task: Task, write: Callable[..., Artifact]
) -> None:
    artifact = write(variant)
    texts = (*task.texts["test"], *HARD)
    found = logits(engine.load(artifact, threads=1), texts)
    assert found.dtype == np.float32
    expected = by_hand(artifact.path, texts, len(task.scheme.labels))
    np.testing.assert_allclose(found, expected, atol=2e-5)
    # A text without a feature is told by the labels alone.
    bias = read_linear(artifact.path, n_labels=28, error=EngineError).bias
    assert np.array_equal(found[len(task.texts["test"])], bias)


@pytest.mark.parametrize("variant", [FP32, INT8], ids=["fp32", "int8"])
@pytest.mark.parametrize("shape", ["scored", "real", "padded128", "single"])
def test_logits_are_the_same_bits_in_any_batch(
    shape: Shape, variant: Variant, task: Task, write: Callable[..., Artifact]
) -> None:
    predictor = engine.load(write(variant), threads=1)
    texts = (*task.texts["test"][:300], *HARD)
    expected = logits(predictor, texts)
    batches = predictor.prepare(texts, shape=shape)
    assert [row for batch in batches for row in batch.rows] == list(range(len(texts)))
    sizes = {"scored": 256, "single": 1}
    assert len(batches[0].rows) == sizes.get(shape, 32)
    assert np.concatenate(predictor.run(batches)).tobytes() == expected.tobytes()


def test_more_texts_than_are_prepared_at_once_keep_their_rows(
    task: Task, write: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = registry.load(write(INT8), threads=1)
    texts = task.texts["test"]
    at_once = logits(predictor, texts)
    monkeypatch.setattr("goemo_eval.engines.base._AT_ONCE", len(texts) // 3)
    np.testing.assert_array_equal(logits(predictor, texts), at_once)


def test_int8_decides_nearly_as_fp32(task: Task, write: Callable[..., Artifact]) -> None:
    fp32, int8 = (
        logits(engine.load(write(variant), threads=1), task.texts["test"])
        for variant in (FP32, INT8)
    )
    assert not np.array_equal(fp32, int8)
    assert np.linalg.norm(int8 - fp32) < 0.02 * np.linalg.norm(fp32)
    # No weight is off by more than half a step.
    model = read_linear(write(INT8).path, n_labels=28, error=EngineError)
    starts, _, values = Vectorizer(model.vocabulary).features(task.texts["test"])
    row_of = np.repeat(np.arange(len(fp32)), np.diff(starts))
    mass = np.bincount(row_of, weights=values, minlength=len(fp32))[:, None]
    assert model.scales is not None
    assert (np.abs(int8 - fp32) <= mass * model.scales / 2 + 1e-5).all()
    assert write(INT8).size_bytes < 0.4 * write(FP32).size_bytes


def test_the_artifact_says_what_it_is(
    task: Task, floor: Checkpoint, write: Callable[..., Artifact]
) -> None:
    fp32, int8 = write(FP32).info, write(INT8).info
    model = read_linear(floor.path, n_labels=28, error=CheckpointError)
    for info in (fp32, int8):
        assert info.labels == task.scheme.labels
        assert info.parameters == (len(model.vocabulary) + 1) * 28
        assert info.tokens is None
        assert info.checkpoint_sha256 == floor.content_sha256
        assert set(info.files) == {"model.safetensors", "vocabulary.json"}
    assert (fp32.int8_share, fp32.quantized_engine) == (0, None)
    assert (int8.int8_share, int8.quantized_engine) == (1, "numpy")
    runtime = engine.load(write(INT8), threads=2).runtime
    assert (runtime.engine, runtime.version) == ("linear", np.__version__)
    assert runtime.kernels == int8.kernels
    assert runtime.isa in engine.describe()


def test_conversion_gives_the_same_files(floor: Checkpoint, tmp_path: Path) -> None:
    converter = engine.converter(floor, threads=1)
    assert converter.layers == ()
    for variant in (FP32, INT8):
        outs = [tmp_path / f"{variant.precision}{i}" for i in range(2)]
        for out in outs:
            out.mkdir()
        first, second = (converter.write(variant, out).path for out in outs)
        for file in first.iterdir():
            assert file.read_bytes() == (second / file.name).read_bytes()


def test_what_does_not_apply_is_refused(
    floor: Checkpoint, minilm_raw: Checkpoint, tmp_path: Path
) -> None:
    converter = engine.converter(floor, threads=1)
    for changed in ({"kept_fp32": ("head",)}, {"smoothed": True}):
        with pytest.raises(EngineError, match="one matrix: kept_fp32 and smoothed do not apply"):
            converter.write(INT8.model_copy(update=changed), tmp_path)
    assert not any(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match="a transformers model, and engine linear runs"):
        engine.converter(minilm_raw, threads=1)


def test_a_text_that_is_none_is_refused(write: Callable[..., Artifact]) -> None:
    predictor = engine.load(write(FP32), threads=1)
    with pytest.raises(DataError, match="text 0 is NoneType: expected str"):
        predictor.prepare([None])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="sequence of str"):
        logits(predictor, "one text")
    assert logits(predictor, []).shape == (0, 28)


def test_an_artifact_of_the_other_precision_is_refused(
    write: Callable[..., Artifact], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(write(INT8).path, tmp_path / "artifact"))
    info = read_artifact(path).info
    describe(path, info.model_copy(update={"variant": FP32}))
    with pytest.raises(EngineError, match="int8 weights in an artifact of precision fp32"):
        registry.load(path, threads=1)


def test_an_altered_artifact_is_refused(write: Callable[..., Artifact], tmp_path: Path) -> None:
    path = Path(shutil.copytree(write(FP32).path, tmp_path / "artifact"))
    tensors = load_file(path / "model.safetensors")
    save_file(tensors | {"bias": tensors["bias"] + 1}, path / "model.safetensors")
    with pytest.raises(EngineError, match=r"model.safetensors: altered since it was written"):
        registry.load(path, threads=1)
    # One that was described anew, and yet does not fit together.
    save_file(tensors | {"bias": tensors["bias"][:5]}, path / "model.safetensors")
    describe(path, write(FP32).info)
    with pytest.raises(EngineError, match=r"bias: expected shape \(28,\), got float32 \(5,\)"):
        registry.load(path, threads=1)


def test_a_server_needs_numpy_alone(task: Task, write: Callable[..., Artifact]) -> None:
    """No torch, transformers, scikit-learn or scipy is loaded to score texts."""
    texts = list(task.texts["test"][:3])
    code = """
import json, sys
from pathlib import Path
from goemo_eval.engines.base import logits
from goemo_eval.engines.registry import load
found = logits(load(Path(sys.argv[1]), threads=1), json.loads(sys.argv[2]))
heavy = {"torch", "transformers", "sklearn", "scipy", "onnxruntime", "tokenizers"} & set(sys.modules)
print(json.dumps([found.tolist(), sorted(heavy)]))
"""
    path = write(INT8).path
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path), json.dumps(texts)],
        capture_output=True,
        text=True,
        check=True,
    )
    found, heavy = json.loads(ran.stdout)
    assert heavy == []
    assert np.array_equal(np.float32(found), logits(registry.load(path, threads=1), texts))

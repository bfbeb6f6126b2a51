"""Every engine against torch's FP32 logits; what they share, what they need, and what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_eval.cpu import has_bf16_products
from goemo_eval.data.dataset import Split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.engines import exported, openvino, registry
from goemo_eval.engines.artifact import Artifact, Variant, read_artifact
from goemo_eval.engines.base import Predictor, logits
from goemo_eval.engines.registry import (
    ENGINES,
    Converter,
    converter,
    describe_engine,
    load,
    missing_engine,
)
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.encoders import Encoder, get_encoder
from goemo_eval.models.weights import Weights
from goemo_eval.models.writing import write_untrained

# Small shapes of the architectures whose graphs are unlike BERT's: a layer that is passed again and again,
# bottlenecks with norms that are no norms, relative positions, windows with rotated positions,
# and no layers at all. One layer shows how a graph is unlike BERT's; each more costs seconds of export.
SHAPES: dict[str, dict[str, Any]] = {
    "albert": {
        "vocab_size": 8000,
        "embedding_size": 64,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 512,
        "max_position_embeddings": 64,
    },
    "mobilebert": {
        "vocab_size": 1000,
        "max_position_embeddings": 64,
        "num_hidden_layers": 1,
        "classifier_activation": False,
    },
    "distilbert": {"vocab_size": 8000, "dim": 96, "n_layers": 1, "n_heads": 2, "hidden_dim": 384},
    "deberta_v2": {
        **get_encoder("deberta_xsmall").config,
        "vocab_size": 8000,
        "hidden_size": 96,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 256,
        "position_buckets": 16,
    },
    # Its second layer sees eight tokens to each side: in a batch, some padding sees padding alone.
    "modernbert": {
        "vocab_size": 8000,
        "hidden_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "local_attention": 16,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "cls_token_id": 1,
        "eos_token_id": 2,
        "sep_token_id": 2,
    },
    "roberta": {
        **get_encoder("minilm_roberta").config,
        "vocab_size": 8000,
        "hidden_size": 96,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 256,
    },
    "model2vec": {"vocab_size": 8000, "hidden_dim": 96},
}
NEURAL = ("torch", "onnxruntime", "openvino")
LIGHT = ("onnxruntime", "openvino")

Written = Callable[..., Artifact]
Made = Callable[[str, str], Converter]


def untrained(name: str, out: Path, **changes: Any) -> Checkpoint:
    kind = name.replace("_", "-")  # as transformers writes it
    encoder = Encoder(name=name, model_type=kind, config=SHAPES[name] | changes)
    return write_untrained(
        encoder,
        get_scheme("raw"),
        weights=Weights("random", "random", reason="in a test"),
        out=out,
        max_length=48,
        seed=0,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, sample: dict[str, Split]) -> Made:
    """Load a small architecture for conversion, once."""
    folder = tmp_path_factory.mktemp("random")
    checkpoints: dict[str, Checkpoint] = {}
    converters: dict[tuple[str, str], Converter] = {}

    def call(name: str, engine: str) -> Converter:
        if name not in checkpoints:
            checkpoints[name] = untrained(name, folder / name)
        if (name, engine) not in converters:
            converters[name, engine] = converter(
                checkpoints[name], engine, calibration=sample["train"].texts[:32], threads=1
            )
        return converters[name, engine]

    return call


@pytest.fixture(scope="module")
def written(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Write a variant of a small architecture, once."""
    kept: dict[tuple[str, Variant], Artifact] = {}

    def call(name: str, engine: str, precision: Any = "fp32", **fields: Any) -> Artifact:
        variant = Variant(engine=engine, precision=precision, **fields)
        if (name, variant) not in kept:
            out = tmp_path_factory.mktemp("artifact")
            made(name, engine).write(variant, out)
            kept[name, variant] = read_artifact(out)
        return kept[name, variant]

    return call


@pytest.fixture(scope="module")
def opened(written: Written) -> Callable[..., Predictor]:
    return lambda *words, **fields: load(written(*words, **fields), threads=2)


def _torch() -> tuple[int, ...]:
    from importlib.metadata import version

    return tuple(int(part) for part in version("torch").split(".")[:2])


@pytest.mark.parametrize("engine", NEURAL)
@pytest.mark.parametrize("name", SHAPES)
def test_engines_agree_and_int8_is_small_and_close(
    written: Written, opened: Any, made: Made, sample: dict[str, Split], name: str, engine: str
) -> None:
    if (name, engine) == ("deberta_v2", "onnxruntime") and _torch() < (2, 8):
        with pytest.raises(EngineError, match=r"cannot convert this model .*: use another engine$"):
            written(name, engine)
        return
    texts = sample["test"].texts[:40]
    expected = logits(opened(name, "torch"), texts)
    fp32, int8 = opened(name, engine), opened(name, engine, "int8")
    np.testing.assert_allclose(logits(fp32, texts), expected, atol=1e-4)
    first = logits(int8, texts)
    np.testing.assert_array_equal(first, logits(int8, texts))  # the same bits again
    error = np.linalg.norm(first - expected) / np.linalg.norm(expected)
    assert 0 < error < 0.15
    small, large = written(name, engine, "int8"), written(name, engine)
    tokenizer = (large.path / "tokenizer.json").stat().st_size
    assert small.size_bytes - tokenizer < 0.45 * (large.size_bytes - tokenizer)
    assert small.info.parameters == large.info.parameters
    assert small.info.int8_share == 1.0
    assert fp32.runtime.quantized_engine is None
    assert int8.runtime.quantized_engine
    assert "int8" in int8.runtime.kernels
    assert made(name, engine).layers == made(name, "torch").layers


@pytest.mark.skipif(not has_bf16_products(), reason="this CPU has no bfloat16 instructions")
@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize("name", SHAPES)
def test_bf16_is_half_as_large_and_close(
    written: Written, opened: Callable[..., Predictor], name: str, engine: str
) -> None:
    fp32, bf16 = (written(name, engine, precision).size_bytes for precision in ("fp32", "bf16"))
    assert bf16 < 0.6 * fp32
    texts = ["thank you so much", "no", "what on earth were they thinking when they did that?"]
    exact, found = (logits(opened(name, engine, p), texts) for p in ("fp32", "bf16"))
    assert (found != exact).any()
    np.testing.assert_allclose(found, exact, atol=0.02 * float(np.abs(exact).max()))


@pytest.mark.parametrize("engine", NEURAL)
def test_batches_side_by_side_give_what_each_gives_alone(
    opened: Any, sample: dict[str, Split], engine: str
) -> None:
    predictor = opened("albert", engine)
    batches = predictor.prepare(sample["test"].texts[:64], shape="real")
    together = predictor.run(batches)
    for batch, found in zip(batches, together, strict=True):
        np.testing.assert_allclose(predictor.run([batch])[0], found, atol=1e-5)
    assert [len(batch.rows) for batch in batches] == [32, 32]
    padded = predictor.prepare(sample["test"].texts[:33], shape="padded128")
    assert [batch.input_ids.shape for batch in padded] == [(32, 48), (1, 48)]  # its own limit
    assert len(predictor.prepare(sample["test"].texts[:5], shape="single")) == 5


@pytest.mark.parametrize("engine", LIGHT)
def test_scored_batches_run_beside_each_other_and_a_text_alone(
    opened: Any, sample: dict[str, Split], engine: str
) -> None:
    predictor = opened("albert", engine, "int8")
    texts = sample["test"].texts[:80]
    scored = predictor.prepare(texts)
    assert len(scored) > 2
    assert all(batch.beside for batch in scored)
    np.testing.assert_array_equal(predictor.run(scored[:1])[0], predictor.run(scored)[0])
    for shape in ("single", "real", "padded128"):
        assert not any(batch.beside for batch in predictor.prepare(texts, shape=shape))
    alone = predictor.run(predictor.prepare(texts[:1], shape="single"))[0]
    np.testing.assert_array_equal(logits(predictor, texts[:1]), alone)


def test_openvinos_int8_meets_few_numbers_of_tokens_and_looks_rows_up_in_int8(
    opened: Any, sample: dict[str, Split]
) -> None:
    predictor = opened("distilbert", "openvino", "int8")
    texts = [text for split in sample.values() for text in split.texts]
    sizes = [batch.input_ids.size for batch in predictor.prepare(texts)[:-1]]
    assert set(sizes) <= set(openvino.INT8_TOKENS)
    predictor.run(predictor.prepare(texts[:1], shape="single"))
    model = predictor._alone.get_compiled_model().get_runtime_model()
    rows = SHAPES["distilbert"]["vocab_size"]  # each of 96
    constants = [op for op in model.get_ops() if op.outputs() and not op.inputs()]
    tables = {
        str(op.get_rt_info()["outputPrecisions"].value)
        for op in constants
        if [str(size) for size in op.get_output_partial_shape(0)] == [str(rows), "96"]
    }
    assert tables == {"i8"}


@pytest.mark.parametrize("engine", NEURAL)
def test_kept_layers_stay_in_fp32_wherever_they_are_passed(
    made: Made, written: Written, opened: Any, sample: dict[str, Split], engine: str, tmp_path: Path
) -> None:
    layers = made("albert", engine).layers
    texts = sample["test"].texts[:40]
    names = [layer.name for layer in layers]
    (ffn,) = (n for n in names if n.endswith(".ffn"))  # passed twice
    kept = written("albert", engine, "int8", kept_fp32=(ffn, "classifier"))
    weights = sum(layer.weights for layer in layers if layer.name in (ffn, "classifier"))
    grown = kept.size_bytes - written("albert", engine, "int8").size_bytes
    assert 2.5 * weights < grown < 3.5 * weights  # from one byte to four, once
    assert kept.info.int8_share == pytest.approx(1 - weights / sum(x.weights for x in layers))
    fp32 = logits(opened("albert", engine), texts)
    int8, some, every = (
        np.abs(logits(opened("albert", engine, "int8", kept_fp32=these), texts) - fp32).max()
        for these in ((), (ffn, "classifier"), tuple(names))
    )
    # Of random weights one layer's error may cancel another's: only without any is it sure to shrink.
    assert every < min(int8, some) or every < 1e-3
    assert some != int8
    variant = Variant(engine=engine, precision="int8", kept_fp32=("ffn",))
    with pytest.raises(EngineError, match="'ffn' is no linear layer"):
        made("albert", engine).write(variant, tmp_path)


@pytest.mark.parametrize("engine", NEURAL)
def test_mobileberts_mask_and_bottlenecks_bear_int8(
    opened: Any, written: Written, made: Made, engine: str
) -> None:
    """Neither the mask's huge constant nor the norms without a mean reach an INT8 range."""
    texts = ["thank you so much for that", "no", "what on earth were they thinking?"]
    longer = [*texts, "and a much longer one " * 8]
    for precision, tolerance in (("fp32", 1e-4), ("int8", 0.1)):
        predictor = opened("mobilebert", engine, precision)
        short, wide = (
            predictor.run(predictor.prepare(t, shape="real"))[0][:3] for t in (texts, longer)
        )
        assert np.linalg.norm(wide - short) < tolerance * max(1.0, np.linalg.norm(short))
    # The bottlenecks are INT8 as all else is: kept in FP32 they take four bytes a weight, not one.
    bottlenecks = [x for x in made("mobilebert", engine).layers if "bottleneck" in x.name]
    assert bottlenecks
    kept = written("mobilebert", engine, "int8", kept_fp32=tuple(x.name for x in bottlenecks))
    weights = sum(layer.weights for layer in bottlenecks)
    grown = kept.size_bytes - written("mobilebert", engine, "int8").size_bytes
    assert 2.5 * weights < grown < 3.5 * weights


ALONE = """
import json, sys
from pathlib import Path
from goemo_eval.engines.base import logits
from goemo_eval.engines.registry import load
texts = json.loads(sys.argv[2])
found = logits(load(Path(sys.argv[1]), threads=1), texts).tolist()
heavy = {"torch", "transformers", "onnx", "nncf", "sklearn", "scipy", "pandas", "datasets"}
print(json.dumps([found, sorted(heavy & {name.split(".")[0] for name in sys.modules})]))
"""


@pytest.mark.parametrize("engine", LIGHT)
def test_an_artifact_is_loaded_without_torch_and_transformers(
    written: Written, opened: Any, engine: str
) -> None:
    texts = ["thank you", "no, I did not"]
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            ALONE,
            str(written("albert", engine, "int8").path),
            json.dumps(texts),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found, heavy = json.loads(ended.stdout.splitlines()[-1])
    assert heavy == []
    np.testing.assert_allclose(found, logits(opened("albert", engine, "int8"), texts), atol=1e-5)


@pytest.mark.parametrize("engine", NEURAL)
def test_a_file_that_was_altered_or_added_is_refused(
    made: Made, engine: str, tmp_path: Path
) -> None:
    out = tmp_path / "artifact"
    out.mkdir()
    made("distilbert", engine).write(Variant(engine=engine, precision="fp32"), out)
    (out / "added_tokens.json").write_text("{}")
    with pytest.raises(EngineError, match="not listed"):
        load(out, threads=1)
    (out / "added_tokens.json").unlink()
    largest = max(out.iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with pytest.raises(EngineError, match="altered since it was written"):
        load(out, threads=1)
    largest.unlink()
    with pytest.raises(EngineError, match="missing"):
        load(out, threads=1)


@pytest.mark.parametrize("engine", LIGHT)
def test_what_is_no_model_is_one_line(written: Written, engine: str, tmp_path: Path) -> None:
    good = written("distilbert", engine)
    for file in good.path.iterdir():
        (tmp_path / file.name).write_bytes(
            b"no model" if file.suffix in (".onnx", ".xml") else file.read_bytes()
        )
    predictor = load(Artifact(tmp_path, good.info), threads=1)
    with pytest.raises(EngineError, match="export the cell again"):
        logits(predictor, ["a text"])


@pytest.mark.parametrize("engine", LIGHT)
def test_a_conversion_that_gives_other_logits_is_refused(
    made: Made, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = untrained("distilbert", tmp_path / "checkpoint")
    monkeypatch.setattr(exported, "TOLERANCE", -1.0)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(EngineError, match=f"{engine}'s logits differ from torch's"):
        converter(checkpoint, engine, threads=1).write(
            Variant(engine=engine, precision="fp32"), out
        )


def test_what_a_converter_raises_is_one_line() -> None:
    with pytest.raises(
        EngineError, match=r"^here: openvino cannot convert this model \(TypeError: a b\): use"
    ) as caught:
        _convert()
    assert str(caught.value).isprintable()


def _convert() -> None:
    with exported.conversion(Path("here"), "openvino"):
        raise TypeError("\x1b[96ma\tb\x1b[0m\nTraceback ...")


def test_missing_engines_are_one_line_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "nncf" else object())
    assert missing_engine("torch") is None
    assert (
        missing_engine("openvino")
        == "engine openvino needs nncf: pip install 'goemo-eval[openvino]'"
    )
    with pytest.raises(EngineError, match="pip install"):
        converter(None, "openvino", threads=1)  # type: ignore[arg-type]


def test_an_artifact_of_a_missing_runtime_is_refused(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = written("distilbert", "onnxruntime")
    monkeypatch.setattr(
        registry, "find_spec", lambda name: None if name == "onnxruntime" else object()
    )
    with pytest.raises(EngineError, match="needs onnxruntime: pip install"):
        load(artifact, threads=1)


def test_descriptions_name_the_int8_kernels() -> None:
    for name in ENGINES:
        assert describe_engine(name)

"""The torch engine's artifacts against plain transformers, torch's own INT8, and integers by hand."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from goemo_eval.cpu import has_dot_products
from goemo_eval.data.dataset import Split
from goemo_eval.engines import torch as engine
from goemo_eval.engines import torch_int8
from goemo_eval.engines.artifact import Artifact, Variant, read_artifact
from goemo_eval.engines.base import logits
from goemo_eval.engines.torch import TorchConverter, TorchPredictor, load
from goemo_eval.engines.torch_int8 import Kernels, fill, find_kernels, quantize, state
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.pooling import use_mean_pooling
from goemo_eval.models.pretrained import Pretrained
from goemo_eval.models.weights import Weights

FP32 = Variant(engine="torch", precision="fp32")
INT8 = Variant(engine="torch", precision="int8")
KEPT = "bert.encoder.layer.0.output.dense"
TEXTS = ("thank you so much", "no", "what on earth were they thinking when they did that? " * 3)

Write = Callable[[Variant], Artifact]


@pytest.fixture(scope="module")
def converter(minilm_raw: Checkpoint) -> TorchConverter:
    return engine.converter(minilm_raw, threads=torch.get_num_threads())


@pytest.fixture(scope="module")
def write(converter: TorchConverter, tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Write a variant of MiniLM once, and read it as another process would."""
    made: dict[Variant, Artifact] = {}

    def artifact(variant: Variant) -> Artifact:
        if variant not in made:
            out = tmp_path_factory.mktemp("artifact")
            converter.write(variant, out)
            made[variant] = read_artifact(out)
        return made[variant]

    return artifact


def loaded(artifact: Artifact) -> TorchPredictor:
    return load(artifact, threads=torch.get_num_threads())


def tiny(module: Any, weights: Weights, **fields: Any) -> Pretrained:
    """A model of random weights behind MiniLM's tokenizer."""
    checkpoint = {
        "path": Path("tiny"),
        "labels": tuple("abc"),
        "max_length": 32,
        "weights": "checkpoint",
        "content_sha256": "0" * 64,
    }
    return Pretrained(
        cast("Checkpoint", SimpleNamespace(**checkpoint | fields)),
        module.eval(),
        AutoTokenizer.from_pretrained(weights.path),
    )


def written(pretrained: Pretrained, variant: Variant, out: Path) -> TorchPredictor:
    out.mkdir(exist_ok=True)
    TorchConverter(pretrained).write(variant, out)
    return loaded(read_artifact(out))


def plain_logits(checkpoint: Checkpoint, texts: Sequence[str]) -> np.ndarray:
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


def test_fp32_logits_are_those_of_the_plain_path(
    minilm_raw: Checkpoint, short_sample: dict[str, Split], write: Write
) -> None:
    texts = short_sample["test"].texts
    found = logits(loaded(write(FP32)), texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain_logits(minilm_raw, texts), atol=1e-4)


def test_an_artifact_is_all_that_is_needed(minilm_raw: Checkpoint, write: Write) -> None:
    for variant in (FP32, INT8):
        artifact = write(variant)
        files = {"artifact.json", "config.json", "model.safetensors", "tokenizer.json"}
        assert {file.name for file in artifact.path.iterdir()} == files
        assert artifact.size_bytes == sum(f.stat().st_size for f in artifact.path.iterdir())
        assert artifact.info.labels == minilm_raw.labels
        assert artifact.info.parameters == 22_723_996
        assert artifact.info.checkpoint_sha256 == minilm_raw.content_sha256
        assert artifact.info.engine_version == torch.__version__
    assert write(INT8).size_bytes < 0.27 * write(FP32).size_bytes


@pytest.mark.parametrize("variant", [FP32, INT8])
def test_converting_again_writes_the_same_bytes(
    converter: TorchConverter, write: Write, variant: Variant, tmp_path: Path
) -> None:
    converter.write(variant, tmp_path)
    assert read_artifact(tmp_path).info == write(variant).info


def test_int8_is_loaded_with_the_bits_of_quantizing_anew(
    converter: TorchConverter, short_sample: dict[str, Split], write: Write
) -> None:
    artifact = write(INT8)
    predictor = loaded(artifact)
    bits = 8 if artifact.info.dot_products else 7
    tensors, count = quantize(converter.pretrained.module, weight_bits=bits)
    assert count == sum(layer.weights for layer in converter.layers)
    kernels = find_kernels(weight_bits=bits, dot_products=artifact.info.dot_products)
    model = converter.pretrained.checkpoint.path
    anew = fill(AutoModelForSequenceClassification.from_pretrained(model).eval(), tensors, kernels)
    layers = {n: m for n, m in predictor.module.named_modules() if hasattr(m, "packed")}
    assert set(layers) == {layer.name for layer in converter.layers}
    for name, layer in layers.items():
        ours, theirs = (
            torch.ops.quantized.linear_unpack(m.packed)[0]
            for m in (layer, anew.get_submodule(name))
        )
        assert torch.equal(ours.int_repr(), theirs.int_repr())
        assert torch.equal(ours.q_per_channel_scales(), theirs.q_per_channel_scales())
    other = TorchPredictor(artifact.info, anew, predictor._tokens, kernels)
    texts = short_sample["test"].texts
    np.testing.assert_array_equal(logits(predictor, texts), logits(other, texts))


@pytest.fixture(scope="module")
def torchs_own(converter: TorchConverter) -> Any:
    """MiniLM as torch's dynamic quantization has it: one scale for all tokens of a batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own future
        return torch.ao.quantization.quantize_dynamic(
            converter.pretrained.module,
            {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig},
            dtype=torch.qint8,
        )


def test_eight_bit_weights_are_those_of_torch(converter: TorchConverter, torchs_own: Any) -> None:
    ours, _ = quantize(converter.pretrained.module)
    for layer in converter.layers:
        weight = torchs_own.get_submodule(layer.name).weight()
        assert torch.equal(ours[f"{layer.name}.weight"], weight.int_repr())
        scales = weight.q_per_channel_scales().to(torch.float32)
        assert torch.equal(ours[f"{layer.name}.scale"], scales)


@pytest.mark.parametrize("weight_bits", [8, 7])
@pytest.mark.parametrize("dot_products", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_multiplies_integers_and_no_sum_of_two_products_saturates(
    weight_bits: int, dot_products: bool, bias: bool
) -> None:
    rng = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(96, 40, bias=bias)
    linear.weight.data[:20] = linear.weight.data[:20].sign()  # the largest steps there are
    module = torch.nn.Sequential(linear)
    tensors, _ = quantize(module, weight_bits=weight_bits)
    kernels = find_kernels(weight_bits=weight_bits, dot_products=dot_products)
    x = torch.randn((3, 7, 96), generator=rng) * torch.tensor([1e-3, 1.0, 1e4]).view(3, 1, 1)
    x[1] = x[1].sign()
    x[2, 6] = 0
    layer = fill(torch.nn.Sequential(torch.nn.Linear(96, 40, bias=bias)), tensors, kernels)[0]

    top = 2 ** (kernels.activation_bits - 1) - 1
    largest = x.abs().amax(-1, keepdim=True).clamp(min=1e-12).double()
    steps = (x.double() / largest * top).round()
    weight, scale = tensors["0.weight"].double(), tensors["0.scale"].double()
    expected = (steps @ weight.T) * scale / top * largest
    if bias:
        expected += linear.bias.double()
    if has_dot_products() or weight_bits < 8 or kernels.activation_bits < 8:
        error = (layer(x).double() - expected).abs() / largest.clamp(min=1e-9)
        assert error.max() < 0.02  # a step that rounds the other way
        assert error.mean() < 1e-4
    shifted = 2 * top + 1  # activations are unsigned in the kernels
    assert kernels.activation_bits == (7 if weight_bits == 8 and not dot_products else 8)
    if not dot_products:
        assert 2 * shifted * weight.abs().max() < 2**15


def test_int8_of_another_cpu_does_not_saturate(
    converter: TorchConverter, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8-bit weights get 7-bit activations where sums would saturate; 7-bit ones are the same anywhere."""
    texts, by_kind = TEXTS * 11, {}
    for made_with in (True, False):
        monkeypatch.setattr(engine, "has_dot_products", lambda made_with=made_with: made_with)
        out = tmp_path / str(made_with)
        out.mkdir()
        assert converter.write(INT8, out).info.dot_products is made_with
        for here in (True, False):
            monkeypatch.setattr(engine, "has_dot_products", lambda here=here: here)
            predictor = loaded(read_artifact(out))
            by_kind[made_with, here] = predictor.runtime.kernels, logits(predictor, texts)
    reference = logits(loaded(write(FP32)), texts)
    for kernels, found in by_kind.values():
        if "8-bit weights per channel, 8-bit" not in kernels:  # which may saturate here
            assert np.corrcoef(found.ravel(), reference.ravel())[0, 1] > 0.999
    assert "8-bit weights per channel, 8-bit activations" in by_kind[True, True][0]
    assert "8-bit weights per channel, 7-bit activations" in by_kind[True, False][0]
    assert "7-bit weights per channel, 8-bit activations" in by_kind[False, True][0]
    assert by_kind[False, True][0] == by_kind[False, False][0]
    np.testing.assert_array_equal(by_kind[False, True][1], by_kind[False, False][1])


def test_int8_is_closer_than_torchs_own_and_a_text_alone_is_scored_as_in_a_batch(
    short_sample: dict[str, Split], write: Write, torchs_own: Any
) -> None:
    texts = short_sample["test"].texts[:32]
    fp32, int8 = loaded(write(FP32)), loaded(write(INT8))
    own = TorchPredictor(int8.info, torchs_own, int8._tokens, None)
    assert int8.runtime.quantized_engine == torch.backends.quantized.engine
    assert fp32.runtime.quantized_engine is None

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(np.square(a - b).mean()))

    reference, found, theirs = (logits(p, texts) for p in (fp32, int8, own))
    assert 0 < apart(found, reference) < 0.75 * apart(theirs, reference)
    for shape in ("single", "padded128"):
        ours, torchs = (
            apart(np.concatenate(p.run(p.prepare(texts, shape=shape))), scored)
            for p, scored in ((int8, found), (own, theirs))
        )
        assert ours < 0.2 * torchs


def test_a_layer_that_is_kept_is_the_checkpoints_own(
    converter: TorchConverter, write: Write
) -> None:
    artifact = write(INT8.model_copy(update={"kept_fp32": (KEPT,)}))
    kept = loaded(artifact).module.get_submodule(KEPT)
    assert torch.equal(kept.weight, converter.pretrained.module.get_submodule(KEPT).weight)
    weights = {layer.name: layer.weights for layer in converter.layers}
    assert artifact.info.int8_share == pytest.approx(1 - weights[KEPT] / sum(weights.values()))
    grown = artifact.size_bytes - write(INT8).size_bytes
    assert grown == pytest.approx(3 * weights[KEPT], rel=0.01)


def test_an_unknown_layer_is_refused(converter: TorchConverter, tmp_path: Path) -> None:
    variant = INT8.model_copy(update={"kept_fp32": ("bert.encoder.layer.6.output.dense",)})
    with pytest.raises(EngineError, match=r"layer\.6\.output\.dense' is no linear layer"):
        converter.write(variant, tmp_path)


def test_the_mean_over_tokens_is_kept(minilm_weights: Weights, tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    own, mean = (
        BertForSequenceClassification(
            BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_labels=3)
        ).eval()
        for _ in "ab"
    )
    mean.load_state_dict(own.state_dict())
    use_mean_pooling(mean)
    found = {}
    for name, module in (("own", own), ("mean", mean)):
        predictor = written(tiny(module, minilm_weights), FP32, tmp_path / name)
        found[name] = logits(predictor, TEXTS)
        inputs = tiny(module, minilm_weights).tokenizer(
            list(TEXTS), padding=True, truncation=True, max_length=32, return_tensors="pt"
        )
        with torch.inference_mode():
            expected = module(**inputs).logits.numpy()
        np.testing.assert_allclose(found[name], expected, atol=1e-5)
    assert np.abs(found["own"] - found["mean"]).max() > 1e-3


def test_the_side_of_the_padding_and_token_types_reach_the_model(
    minilm_weights: Weights, tmp_path: Path
) -> None:
    from transformers import XLNetConfig, XLNetForSequenceClassification

    torch.manual_seed(0)
    module = XLNetForSequenceClassification(
        XLNetConfig(vocab_size=30522, d_model=16, n_head=2, d_inner=32, n_layer=2, num_labels=3)
    )
    for parameter in module.parameters():
        parameter.data.mul_(8)  # so that a wrong side shows
    pretrained = tiny(module, minilm_weights)
    tokenizer = pretrained.tokenizer
    tokenizer.padding_side, tokenizer._pad_token_type_id = "left", 3
    predictor = written(pretrained, FP32, tmp_path)
    (batch,) = predictor.prepare(TEXTS, shape="real")
    assert batch.token_type_ids is not None
    assert batch.token_type_ids[1, 0] == 3
    inputs = tokenizer(
        list(TEXTS), padding=True, truncation=True, max_length=32, return_tensors="pt"
    )
    with torch.inference_mode():
        expected = module(**inputs).logits.numpy()
    np.testing.assert_allclose(predictor.run([batch])[0], expected, rtol=1e-4, atol=1e-4)


def test_a_table_that_does_more_than_look_up_stays_fp32(
    minilm_weights: Weights, tmp_path: Path
) -> None:
    from transformers import Gemma3TextConfig, Gemma3TextForSequenceClassification

    torch.manual_seed(0)
    module = Gemma3TextForSequenceClassification(
        Gemma3TextConfig(
            vocab_size=30522,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            num_labels=3,
            pad_token_id=0,
        )
    )
    table = module.get_input_embeddings()
    assert type(table) is not torch.nn.Embedding  # it multiplies by the root of the width
    pretrained = tiny(module, minilm_weights)
    fp32, int8 = (written(pretrained, v, tmp_path / v.precision) for v in (FP32, INT8))
    assert torch.equal(int8.module.get_input_embeddings().weight, table.weight)
    a, b = logits(fp32, TEXTS), logits(int8, TEXTS)
    assert not np.array_equal(a, b)
    np.testing.assert_allclose(a, b, atol=0.1 * float(a.std()))


def test_a_table_whose_weights_are_read_past_it_is_read_in_fp32() -> None:
    table = torch.nn.Embedding(50, 16)
    tensors, _ = quantize(torch.nn.Sequential(table))
    filled = fill(torch.nn.Sequential(torch.nn.Embedding(50, 16)), tensors, None)[0]
    ids = torch.tensor([[3, 49, 0]])
    assert torch.equal(filled(ids), torch.nn.functional.embedding(ids, filled.weight))
    step = table.weight.abs().amax(1, keepdim=True) / 127
    assert ((filled.weight - table.weight).abs() <= 0.501 * step).all()


@pytest.mark.parametrize("variant", [FP32, INT8])
def test_what_a_model_shares_is_stored_once(
    minilm_weights: Weights, tmp_path: Path, variant: Variant
) -> None:
    from transformers import T5Config, T5ForSequenceClassification

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=30522,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        num_labels=3,
        eos_token_id=102,  # MiniLM's [SEP], with which each text ends
        decoder_start_token_id=0,
    )
    module = T5ForSequenceClassification(config)
    predictor = written(tiny(module, minilm_weights), variant, tmp_path)
    table = 30522 * 16 * (4 if variant.precision == "fp32" else 1)
    assert table < (tmp_path / "model.safetensors").stat().st_size < 1.5 * table
    (batch,) = predictor.prepare(TEXTS[:2], shape="real")
    with torch.inference_mode():
        expected = module(**{k: torch.from_numpy(v) for k, v in batch.inputs.items()}).logits
    error = 1e-5 if variant.precision == "fp32" else 0.1 * float(expected.std())
    np.testing.assert_allclose(predictor.run([batch])[0], expected.numpy(), atol=error)


def test_tensors_must_be_those_of_the_model() -> None:
    def model() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))

    tensors, kernels = state(model()), find_kernels(weight_bits=8, dot_products=True)
    with pytest.raises(EngineError, match=r"tensor 1\.bias is missing, expected shape \(3,\)"):
        fill(model(), {n: t for n, t in tensors.items() if n != "1.bias"}, None)
    with pytest.raises(EngineError, match=r"0\.bias is of shape \(4,\), expected shape \(3,\)"):
        fill(model(), tensors | {"0.bias": torch.zeros(4)}, None)
    with pytest.raises(EngineError, match="tensor 2 belongs to no part of the model"):
        fill(model(), tensors | {"2": torch.zeros(1)}, None)
    quantized, _ = quantize(model())
    with pytest.raises(EngineError, match=r"tensor 0\.bias is missing"):
        fill(model(), {n: t for n, t in quantized.items() if n != "0.bias"}, kernels)
    with pytest.raises(EngineError, match="is int8 in a model that should be fp32"):
        fill(model(), quantized, None)


def test_a_file_of_another_model_is_refused_by_name(write: Write) -> None:
    artifact = write(INT8)
    fp32 = Artifact(artifact.path, artifact.info.model_copy(update={"variant": FP32}))
    with pytest.raises(EngineError, match=r"model\.safetensors: tensor bert\..*: export the cell"):
        load(fp32, threads=1)


def test_threads_are_set(write: Write) -> None:
    before = torch.get_num_threads()
    try:
        load(write(FP32), threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_backend_without_a_product_of_given_scales_is_as_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    linear = torch.nn.Linear(64, 32)
    tensors, _ = quantize(torch.nn.Sequential(linear))
    x = torch.randn((5, 64), generator=torch.Generator().manual_seed(0))
    found = []
    for backend in (
        "x86",
        "qnnpack",
    ):  # the second is told by name alone: the kernels are this CPU's
        layer = fill(torch.nn.Sequential(torch.nn.Linear(64, 32)), tensors, Kernels(backend, 7))[0]
        found.append(layer(x))
        assert (layer(x) - linear(x)).abs().max() < 0.05
    assert not torch.equal(*found)


def test_without_int8_kernels_the_mend_is_named(
    converter: TorchConverter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_int8, "_torch_multiplies", lambda: False)
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(EngineError, match=r"pip install 'goemo-eval\[torchao\]', or choose fp32"):
        converter.write(INT8, tmp_path)


def test_description_names_the_quantized_engine() -> None:
    assert torch.backends.quantized.engine in engine.describe()

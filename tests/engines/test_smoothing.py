"""Smoothing on every shape of attention: the logits keep their bits, or the weights do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from goemo_eval.engines.smoothing import find_pairs, smooth, smoothed
from goemo_eval.engines.torch_int8 import fill, find_kernels, quantize
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.pretrained import load_pretrained

LAYERS = 2
SMALL = {"vocab_size": 99, "num_labels": 3, "pad_token_id": 0}
BERT = {
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
ENCODER_DECODER = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "eos_token_id": 2,
    "bos_token_id": 1,
    "decoder_start_token_id": 2,
}
EXACT: dict[str, tuple[dict[str, Any], int]] = {
    # architecture -> its size, and the pairs that smoothing must find and keep
    "bert": (BERT, 2 * LAYERS),
    "roberta": (BERT | {"pad_token_id": 1}, 2 * LAYERS),
    "electra": (BERT | {"embedding_size": 16}, 2 * LAYERS),
    "mpnet": (BERT | {"pad_token_id": 1}, 2 * LAYERS),
    "albert": (BERT | {"embedding_size": 16}, 2),  # one layer, passed twice
    "distilbert": ({"dim": 32, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": 48}, 2 * LAYERS),
    "mobilebert": (
        BERT | {"embedding_size": 16, "true_hidden_size": 16, "intra_bottleneck_size": 16},
        2 * LAYERS,
    ),
    # An encoder layer, and a decoder layer that has attention twice.
    "bart": (ENCODER_DECODER, 6),
    # Keys and queries turn with their positions, or meet more than each other.
    "roformer": (BERT | {"embedding_size": 32, "rotary_value": False}, LAYERS),
    "deberta-v2": (
        BERT | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
        LAYERS,
    ),
}
UNKNOWN: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 1, "n_head": 4},
    "xlnet": {"d_model": 32, "n_layer": 1, "n_head": 4, "d_inner": 48},
    "modernbert": BERT | {"num_hidden_layers": 1},
}
INPUTS = {
    "input_ids": torch.tensor([[1, 7, 23, 5, 41, 60, 17, 98, 2], [1, 9, 31, 2, 0, 0, 0, 0, 0]]),
    "attention_mask": torch.tensor([[1] * 9, [1, 1, 1, 1, 0, 0, 0, 0, 0]]),
}


def build(architecture: str, size: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, **SMALL | size)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in model.parameters():
        parameter.data.mul_(3)  # so that attention and logits tell positions and tokens apart
    return model


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(**INPUTS).logits.clone()


def with_outliers(model: Any, factor: float = 64.0) -> Any:
    """Outliers in every pair; exact ones, for the factor is a power of two."""
    for before, after, meet in find_pairs(model):
        before.weight.data[3:7] *= factor
        if before.bias is not None:
            before.bias.data[3:7] *= factor
        if meet:
            after.weight.data[3:7] /= factor
            if after.bias is not None:
                after.bias.data[3:7] /= factor
        else:
            after.weight.data[:, 3:7] /= factor
    return model


def range_of(layer: Any) -> float:
    """The largest output channel over the mean one."""
    sizes = layer.weight.detach().norm(dim=1)
    return float(sizes.max() / sizes.mean())


@pytest.mark.parametrize("architecture", EXACT)
def test_logits_keep_their_bits_and_no_channel_stands_out(architecture: str) -> None:
    size, expected = EXACT[architecture]
    model = with_outliers(build(architecture, size))
    pairs = find_pairs(model)
    assert min(range_of(pair.before) for pair in pairs) > 4
    before = logits(model)
    assert float(before.std()) > 1e-3
    assert smooth(model, INPUTS) == expected
    assert torch.equal(logits(model), before)
    rescaled = pairs if expected == len(pairs) else [pair for pair in pairs if not pair.meet]
    assert len(rescaled) == expected
    assert max(range_of(pair.before) for pair in rescaled) < 4


@pytest.mark.parametrize("architecture", ["roformer", "deberta-v2"])
def test_queries_and_keys_that_meet_otherwise_are_put_back(architecture: str) -> None:
    model = build(architecture, EXACT[architecture][0])
    queries = [pair for pair in find_pairs(model) if pair.meet]
    for query, _, _ in queries:
        query.weight.data[3] *= 64  # another function, with something to smooth
    kept = [(q.weight.clone(), k.weight.clone()) for q, k, _ in queries]
    assert kept
    smooth(model, INPUTS)
    for (query, key, _), (q, k) in zip(queries, kept, strict=True):
        assert torch.equal(query.weight, q)
        assert torch.equal(key.weight, k)


@pytest.mark.parametrize("architecture", UNKNOWN)
def test_an_unknown_attention_is_left_as_it_is(architecture: str) -> None:
    model = build(architecture, UNKNOWN[architecture])
    before = {n: p.clone() for n, p in model.state_dict().items()}
    assert smooth(model, INPUTS) == 0
    assert all(torch.equal(p, before[n]) for n, p in model.state_dict().items())


@pytest.fixture(scope="module")
def outliers(minilm_raw: Checkpoint) -> Any:
    """MiniLM with outliers among its values and queries, and the same logits."""
    pretrained = load_pretrained(minilm_raw)
    with_outliers(pretrained.module, factor=1024.0)
    return pretrained


def test_smoothing_takes_most_of_the_error_of_outliers_away(outliers: Any) -> None:
    inputs = outliers.tokenizer(
        ["so much better than the first half of it", "thank you"], padding=True, return_tensors="pt"
    )

    def error(pretrained: Any) -> float:
        """Of the encoder's output, in INT8."""
        tensors, _ = quantize(pretrained.module, weight_bits=7)
        kernels = find_kernels(weight_bits=7, dot_products=False)
        skeleton = load_pretrained(outliers.checkpoint).module
        with torch.inference_mode():
            reference = pretrained.module.bert(**inputs).last_hidden_state
            found = fill(skeleton, tensors, kernels).bert(**inputs).last_hidden_state
        return float((found - reference).square().mean().sqrt())

    before = {n: p.clone() for n, p in outliers.module.named_parameters()}
    better = smoothed(outliers)
    assert all(torch.equal(p, before[n]) for n, p in outliers.module.named_parameters())
    with torch.inference_mode():
        assert torch.equal(better.module(**inputs).logits, outliers.module(**inputs).logits)
    healthy = error(load_pretrained(outliers.checkpoint))
    assert error(outliers) > 2 * healthy
    assert error(better) < 1.2 * healthy


def test_what_is_smooth_already_is_left(outliers: Any) -> None:
    assert smooth(outliers.module, INPUTS) == 2 * 6
    assert smooth(outliers.module, INPUTS) == 0

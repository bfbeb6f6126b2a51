from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from goemo_eval.errors import CheckpointError
from goemo_eval.measure.scoring import validation_score
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.head import SHIFTS, fit_head, output_layer, shift_prior, start_at_prior
from goemo_eval.models.recipes import load_recipe
from goemo_eval.models.weights import build_model, find_weights


def build(weights: Path, labels: tuple[str, ...], *, kind: str) -> Any:
    encoder = get_encoder("tiny", weights)
    return build_model(encoder, find_weights(encoder, weights), labels, kind=kind)


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_a_head_that_starts_at_the_prior_predicts_each_labels_share(
    tiny_weights_dir: Path, kind: str
) -> None:
    import torch

    counts = np.array([10, 70, 20])
    model = build(tiny_weights_dir, ("a", "b", "c"), kind=kind)
    start_at_prior(model, counts, n_rows=100, kind=kind)
    model.classifier.weight.data.zero_()  # what the texts say, left out
    tokens = torch.tensor([[101, 2023, 102]])
    with torch.inference_mode():
        logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    shares = logits.sigmoid() if kind == "multilabel" else logits.softmax(dim=1)
    np.testing.assert_allclose(shares[0].numpy(), counts / 100, rtol=1e-5)


def test_the_prior_of_a_label_that_none_or_all_carry_is_finite(tiny_weights_dir: Path) -> None:
    model = build(tiny_weights_dir, ("a", "b"), kind="multilabel")
    start_at_prior(model, np.array([0, 50]), n_rows=50, kind="multilabel")
    assert np.isfinite(model.classifier.bias.detach().numpy()).all()


def test_the_bias_moves_along_the_log_shares_as_far_as_the_score_rises(
    tiny_weights_dir: Path,
) -> None:
    counts = np.array([10, 70, 20])
    log_share = np.log(counts / 100)
    rng = np.random.default_rng(0)
    targets = rng.choice(3, 600, p=counts / 100)
    sure = 2.0 * np.eye(3)[targets] + rng.normal(size=(600, 3))
    for gone_too_far in (-1.5, 1.5):
        logits = sure + gone_too_far * log_share
        model = build(tiny_weights_dir, ("a", "b", "c"), kind="multiclass")
        before = model.classifier.bias.detach().numpy().copy()
        tau = shift_prior(model, logits, targets, counts, score=validation_score)
        moved = model.classifier.bias.detach().numpy() - before
        np.testing.assert_allclose(moved, tau * log_share, atol=1e-6)
        by_hand = [
            f1_score(targets, (logits + t * log_share).argmax(axis=1), average="macro")
            for t in SHIFTS
        ]
        there = f1_score(targets, (logits + moved).argmax(axis=1), average="macro")
        assert there == pytest.approx(max(by_hand))
        assert there > f1_score(targets, logits.argmax(axis=1), average="macro")
        assert tau * gone_too_far < 0


def test_a_shift_that_brings_nothing_is_none(tiny_weights_dir: Path) -> None:
    model = build(tiny_weights_dir, ("a", "b"), kind="multiclass")
    logits, targets = np.array([[50.0, 0.0], [0.0, 50.0]]), np.array([0, 1])
    tau = shift_prior(model, logits, targets, np.array([0, 9]), score=validation_score)
    assert tau == 0.0


@pytest.mark.parametrize(
    ("model_type", "name", "sizes"),
    [
        ("bert", "classifier", {}),
        ("distilbert", "classifier", {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}),
        ("xlm-roberta", "classifier.out_proj", {}),
        ("camembert", "classifier.out_proj", {}),
        ("jina_embeddings_v3", "classifier.out_proj", {}),
        ("electra", "classifier.out_proj", {"embedding_size": 16}),
        ("xlm", "sequence_summary.summary", {"emb_dim": 16, "n_layers": 1, "n_heads": 2}),
        ("gpt2", "score", {"n_embd": 16, "n_layer": 1, "n_head": 2}),
        ("bart", "classification_head.out_proj", {"d_model": 16, "encoder_layers": 1}),
    ],
)
def test_the_output_layer_wherever_the_class_lists_it(
    weights_dir: Callable[..., Path], model_type: str, name: str, sizes: dict[str, Any]
) -> None:
    """Some list their head before the encoder, whose last layer has as many outputs as you like."""
    few = {"hidden_size": 32, "intermediate_size": 32, "d_model": 32}
    directory = weights_dir(model_type, **few | sizes)
    labels = tuple(f"label {i}" for i in range(32))  # as many as the encoder is wide
    model = build(directory, labels, kind="multilabel")
    assert model.get_submodule(name) is output_layer(model)


def test_a_head_without_a_bias(weights_dir: Callable[..., Path]) -> None:
    directory = weights_dir("gpt2", n_embd=16, n_layer=1, n_head=2)
    counts = np.array([1, 2])
    prior = load_recipe("sample").model_copy(update={"pooling": "encoder"})
    shift = load_recipe("study").model_copy(update={"prior_shift": "validation"})
    model = build(directory, ("a", "b"), kind="multiclass")
    with pytest.raises(CheckpointError, match="has no bias, which head_bias would change: set it"):
        fit_head(model, prior, counts, n_rows=3, kind="multilabel")
    with pytest.raises(CheckpointError, match="has no bias, which prior_shift would change: set"):
        fit_head(model, shift, counts, n_rows=3, kind="multiclass")
    fit_head(model, shift, counts, n_rows=3, kind="multilabel")  # whose thresholds do that


def test_a_model_without_a_linear_head(weights_dir: Callable[..., Path]) -> None:
    model = build(weights_dir(), ("a", "b"), kind="multilabel")
    model.config.num_labels = 7
    with pytest.raises(CheckpointError, match="no linear layer of 7 outputs outside its encoder"):
        output_layer(model)

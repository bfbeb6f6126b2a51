from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_eval.models.encoders import build_model, find_weights, get_encoder
from goemo_eval.models.head import start_at_prior


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

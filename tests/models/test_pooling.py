from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.splits import Split
from goemo_eval.engines.registry import load_classifier, missing_engine
from goemo_eval.models.encoders import (
    Weights,
    build_model,
    encoder_names,
    find_weights,
    get_encoder,
)
from goemo_eval.models.pooling import restore_pooling, use_mean_pooling
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.training import fine_tune


@pytest.mark.parametrize("name", encoder_names())
def test_the_head_reads_the_mean_whatever_the_padding(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(
        get_encoder(name), Weights("random", "random"), ("a", "b"), kind="multilabel"
    )
    use_mean_pooling(model)
    ids, mask = torch.tensor([[5, 6, 7]]), torch.tensor([[1, 1, 1]])
    seen = {}
    model.classifier.register_forward_hook(lambda m, args, out: seen.update(read=args[0]))
    encoder_output = {}
    model.base_model.register_forward_hook(
        lambda m, args, out: encoder_output.update(last=out.last_hidden_state), prepend=True
    )
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask).logits
        mean = encoder_output["last"].mean(dim=1)
        if name != "distilbert":  # whose head has a layer before its classifier
            torch.testing.assert_close(seen["read"], mean)
        padded = model(
            input_ids=torch.tensor([[5, 6, 7, 0, 0]]),
            attention_mask=torch.tensor([[1, 1, 1, 0, 0]]),
        ).logits
    torch.testing.assert_close(padded, logits, atol=1e-4, rtol=1e-4)


def test_a_checkpoint_keeps_its_pooling_in_both_precisions(
    tiny_weights_dir: Path, short_sample: dict[str, Split], quick_recipe: Recipe, tmp_path: Path
) -> None:
    encoder = get_encoder("tiny", tiny_weights_dir)
    common = {
        "weights": find_weights(encoder, tiny_weights_dir),
        "train": short_sample["train"],
        "scheme": get_scheme("raw"),
    }
    texts = short_sample["test"].texts[:8]
    plain = fine_tune(encoder, recipe=quick_recipe, out=tmp_path / "plain", **common)
    mean = fine_tune(
        encoder,
        recipe=quick_recipe.model_copy(update={"pooling": "mean"}),
        out=tmp_path / "mean",
        **common,
    )
    fp32, int8 = (load_classifier(mean, precision=p) for p in ("fp32", "int8"))
    reference = load_classifier(plain)
    assert reference.parameters - fp32.parameters == 16 * 16 + 16  # the pooler has gone
    assert np.abs(fp32.logits(texts) - reference.logits(texts)).max() > 1e-4
    np.testing.assert_allclose(int8.logits(texts), fp32.logits(texts), atol=0.05)
    for engine in ("onnxruntime", "openvino"):
        if missing_engine(engine) is None:
            exported = load_classifier(mean, engine)
            np.testing.assert_allclose(exported.logits(texts), fp32.logits(texts), atol=1e-4)


def test_other_checkpoints_are_left_alone() -> None:
    model = build_model(
        get_encoder("minilm"), Weights("random", "random"), ("a",), kind="multilabel"
    )
    pooler = model.bert.pooler
    assert restore_pooling(model).bert.pooler is pooler

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from goemo_eval.data.dataset import Split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.errors import CheckpointError
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.pooling import restore_pooling, use_mean_pooling
from goemo_eval.models.pretrained import load_pretrained
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.models.weights import build_model, find_weights


def build(weights_dir: Callable[..., Path], model_type: str, **sizes: Any) -> Any:
    directory = weights_dir(model_type, **sizes)
    encoder = get_encoder("mine", directory)
    torch.manual_seed(0)
    return build_model(encoder, find_weights(encoder, directory), ("a", "b"), kind="multilabel")


SMALL: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "bert": {},
    "deberta-v2": {},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
    "electra": {"embedding_size": 16},
    "mobilebert": {
        "embedding_size": 16,
        "intra_bottleneck_size": 16,
        "true_hidden_size": 16,
        "classifier_activation": False,
    },
    "modernbert": {},
    "mpnet": {},
    "roberta": {},
    "xlm-roberta": {},
}


@pytest.mark.parametrize("model_type", SMALL)
def test_the_head_reads_the_mean_whatever_the_padding(
    weights_dir: Callable[..., Path], model_type: str
) -> None:
    model = build(weights_dir, model_type, **SMALL[model_type])
    use_mean_pooling(model)
    ids, mask = torch.tensor([[5, 6, 7]]), torch.tensor([[1, 1, 1]])
    seen: dict[str, Any] = {}
    model.base_model.register_forward_hook(
        lambda m, args, out: seen.update(last=out.last_hidden_state), prepend=True
    )
    model.base_model.register_forward_hook(
        lambda m, args, out: seen.update(pooled=out.pooler_output, first=out.last_hidden_state)
    )
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask).logits
        mean = seen["last"].mean(dim=1)
        torch.testing.assert_close(seen["pooled"], mean)
        torch.testing.assert_close(seen["first"][:, 0], mean)
        pad = model.config.pad_token_id
        padded = model(
            input_ids=torch.tensor([[5, 6, 7, pad, pad]]),
            attention_mask=torch.tensor([[1, 1, 1, 0, 0]]),
        ).logits
    torch.testing.assert_close(padded, logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("model_type", "sizes"),
    [
        ("bart", {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1}),
        (
            "t5",
            {"d_model": 16, "num_layers": 1, "d_ff": 16, "d_kv": 8, "decoder_start_token_id": 0},
        ),
        (
            "funnel",
            {
                "num_hidden_layers": None,
                "block_sizes": [1, 1, 1],
                "d_model": 16,
                "n_head": 2,
                "d_head": 8,
                "d_inner": 32,
            },
        ),
        ("gpt2", {"n_embd": 16, "n_layer": 1, "n_head": 2}),
        ("longformer", {"attention_window": 4}),
        ("fnet", {}),
        ("squeezebert", {"embedding_size": 16, "q_groups": 1, "k_groups": 1, "v_groups": 1}),
    ],
)
def test_where_there_is_no_mean_to_read(
    weights_dir: Callable[..., Path], model_type: str, sizes: dict[str, Any]
) -> None:
    model = build(weights_dir, model_type, **sizes)
    with pytest.raises(CheckpointError, match=r"set pooling to encoder in the recipe$") as raised:
        use_mean_pooling(model)
    assert type(model).__name__ in str(raised.value)
    assert str(raised.value).isprintable()


def test_a_checkpoint_keeps_its_pooling(
    weights_dir: Callable[..., Path],
    short_sample: dict[str, Split],
    quick_recipe: Recipe,
    tmp_path: Path,
) -> None:
    directory = weights_dir()
    encoder = get_encoder("mine", directory)
    recipe = quick_recipe.model_copy(update={"max_length": 16})

    def train(name: str, **changed: Any) -> Any:
        checkpoint = fine_tune(
            encoder,
            get_scheme("raw"),
            short_sample["train"],
            recipe=recipe.model_copy(update=changed),
            weights=find_weights(encoder, directory),
            out=tmp_path / name,
            partial=tmp_path / f"{name}-states",
        )
        return load_pretrained(checkpoint)

    plain, mean = train("plain"), train("mean", pooling="mean")
    assert plain.parameters - mean.parameters == 16 * 16 + 16  # the pooler has gone
    ids, mask = mean.example_inputs()
    with torch.inference_mode():
        found = mean.logits_only()(ids, mask)
        assert (found - plain.logits_only()(ids, mask)).abs().max() > 1e-4
    padded = found[1]
    with torch.inference_mode():
        alone = mean.logits_only()(ids[1:, :3], mask[1:, :3])[0]
    torch.testing.assert_close(padded, alone)


def test_other_checkpoints_are_left_alone(weights_dir: Callable[..., Path]) -> None:
    model = build(weights_dir, "bert")
    pooler = model.bert.pooler
    assert pooler is not None
    assert restore_pooling(model).bert.pooler is pooler

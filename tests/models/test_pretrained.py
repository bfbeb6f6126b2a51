"""Loading a checkpoint into torch: exactly what was saved, or a line that says what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goemo_eval.errors import CheckpointError
from goemo_eval.models.checkpoint import read_checkpoint
from goemo_eval.models.pretrained import Pretrained, load_pretrained

from .conftest import LABELS, SPECIAL, WORDS, edit_json, edit_tensors, save_model, save_tokenizer

TEXTS = ["hello world", "the cat is good, than the other dog", "bad"]


def load(path: Path, **options: Any) -> Pretrained:
    return load_pretrained(read_checkpoint(path, **options))


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as raised:
        load(path, **options)
    message = str(raised.value)
    assert message.isprintable()
    assert len(message) < 700
    return message


def logits(loaded: Pretrained, texts: list[str]) -> torch.Tensor:
    """Score texts as transformers itself would: its own tokenizer, its own padding."""
    inputs = loaded.tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return loaded.module(**{name: inputs[name] for name in loaded.input_names}).logits


def test_a_whole_one(plain: Path) -> None:
    loaded = load(plain)
    assert loaded.vocab_size == len(SPECIAL) + len(WORDS)
    assert (loaded.pad_id, loaded.padding_side, loaded.type_ids) == (0, "right", False)
    assert (loaded.folded, loaded.notes) == (False, ())
    assert len(loaded.layers) == 2 * 6 + 2
    assert loaded.layers[-1] == ("classifier", 3 * 16)
    assert loaded.parameters == sum(p.numel() for p in loaded.module.parameters())
    assert not loaded.module.training
    ids, mask = loaded.example_inputs()
    assert loaded.input_names == ("input_ids", "attention_mask")
    assert ids.shape == mask.shape == (2, 4)
    assert mask.sum() == 7  # the second text is padded
    with torch.inference_mode():
        found = loaded.logits_only()(ids, mask)
    torch.testing.assert_close(found, logits(loaded, ["hello world", "hello"]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_format_are_float32_and_said_so(plain: Path, dtype: torch.dtype) -> None:
    edit_tensors(plain, lambda tensors: {n: t.to(dtype) for n, t in tensors.items()})
    loaded = load(plain)
    assert {p.dtype for p in loaded.module.parameters()} == {torch.float32}
    assert logits(loaded, TEXTS).dtype == torch.float32
    assert "are computed with as float32" in loaded.notes[0]
    edit_tensors(plain, lambda tensors: {n: t.to(torch.float32) for n, t in tensors.items()})
    torch.testing.assert_close(logits(load(plain), TEXTS), logits(loaded, TEXTS), rtol=0, atol=0)


def test_the_files_own_dtype_is_not_believed(plain: Path) -> None:
    edit_json(plain / "config.json", dtype="float16", torch_dtype="bfloat16")
    assert load(plain).module.dtype == torch.float32


def test_a_config_that_changes_the_form_of_the_output(plain: Path) -> None:
    before = logits(load(plain), TEXTS)
    edit_json(plain / "config.json", return_dict=False, output_hidden_states=True, torchscript=True)
    torch.testing.assert_close(logits(load(plain), TEXTS), before, rtol=0, atol=0)


def test_shards_give_the_same_logits(plain: Path, shard: Callable[[Path], None]) -> None:
    before = logits(load(plain), TEXTS)
    shard(plain)
    torch.testing.assert_close(logits(load(plain), TEXTS), before, rtol=0, atol=0)


Tensors = dict[str, torch.Tensor]


def without(part: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {n: t for n, t in tensors.items() if part not in n}


def renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {n.replace(old, new, 1): t for n, t in tensors.items()}


def prefixed(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {prefix + n: t for n, t in tensors.items()}


def filled(name: str, value: float) -> Callable[[Tensors], Tensors]:
    def fill(tensors: Tensors) -> Tensors:
        tensors[name].view(-1)[3] = value
        return tensors

    return fill


WEIGHTS: dict[str, tuple[Callable[[Tensors], Tensors], tuple[str, ...]]] = {
    "head missing": (
        without("classifier"),
        ("the weights lack classifier.bias, classifier.weight: save the whole model",),
    ),
    "head renamed": (
        renamed("classifier", "score"),
        ("lack classifier.bias, classifier.weight, and hold score.bias, score.weight",),
    ),
    "bias missing": (without("classifier.bias"), ("the weights lack classifier.bias:",)),
    "half of the layers": (
        without("layer.1."),
        ("the weights lack bert.encoder.layer.1.attention", " and 13 more"),
    ),
    "embeddings missing": (
        without("word_embeddings"),
        ("lack bert.embeddings.word_embeddings.weight",),
    ),
    "pooler missing": (without("pooler"), ("lack bert.pooler.dense.bias",)),
    "prefix of a wrapper": (
        prefixed("model."),
        ("the weights lack bert.embeddings", "without the prefix 'model.' of its names"),
    ),
    "prefix of a compiler": (
        prefixed("_orig_mod."),
        ("and hold _orig_mod.bert", "without the prefix '_orig_mod.' of its names"),
    ),
    "prefix of the encoder alone": (
        renamed("bert.", "module.bert."),
        ("the weights lack bert.", "hold module.bert."),
    ),
    "a tensor more": (
        lambda tensors: tensors | {"lora_A.weight": torch.zeros(2, 2)},
        ("the weights hold lora_A.weight, for which the model of config.json has no place",),
    ),
    "a head of another width": (
        lambda tensors: tensors | {"classifier.weight": torch.zeros(5, 16)},
        ("tensor 'classifier.weight' has shape (5, 16) where config.json asks for (3, 16)",),
    ),
    "a narrower layer": (
        lambda tensors: tensors | {"bert.pooler.dense.weight": torch.zeros(16, 8)},
        ("has shape (16, 8) where config.json asks for (16, 16) (1 such)",),
    ),
    "nan": (
        filled("bert.pooler.dense.bias", float("nan")),
        ("tensor 'bert.pooler.dense.bias' holds NaN or infinity",),
    ),
    "infinity": (filled("classifier.weight", float("inf")), ("holds NaN or infinity",)),
    "huge": (
        lambda tensors: (
            tensors
            | {
                "bert.pooler.dense.bias": torch.full((16,), 1e4),
                "classifier.weight": torch.full((3, 16), 3e38),
            }
        ),
        ("the model's logits are not finite",),
    ),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_are_not_this_models(plain: Path, case: str) -> None:
    change, messages = WEIGHTS[case]
    edit_tensors(plain, change)
    said = refused(plain)
    for message in messages:
        assert message in said


def test_more_layers_in_the_weights_than_in_the_config(plain: Path) -> None:
    edit_json(plain / "config.json", num_hidden_layers=1)
    assert "the weights hold bert.encoder.layer.1.attention" in refused(plain)


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown architecture": ({"model_type": "not_a_model"}, "knows no such architecture"),
    "no classifier of it": ({"model_type": "clip"}, "has no sequence classification of it"),
    "another architecture": ({"model_type": "distilbert"}, "the weights lack distilbert."),
    "a billion layers": ({"num_hidden_layers": 10**9}, "num_hidden_layers' asks for 1e+09 parts"),
    "layers below": ({"text": {"num_layers": 10**9}}, "num_layers' asks for 1e+09 parts"),
    "blocks": ({"block_sizes": [10**9]}, "block_sizes' asks for 1e+09 parts"),
    "many blocks": ({"block_sizes": [1] * 100_000}, "block_sizes' asks for 1e+05 parts"),
    "a giant width": ({"intermediate_size": 10**7}, "describes a model of 660,"),
    "a giant vocabulary": ({"vocab_size": 10**9}, "describes a model of 16,0"),
    "a giant embedding": ({"hidden_size": 2**40}, "config.json: "),
    "a width beyond numbers": ({"hidden_size": 10**30}, "config.json: "),
    "no vocabulary": ({"vocab_size": 0}, "cannot build this model (IndexError"),
    "a negative width": ({"hidden_size": -16}, "config.json: "),
    "an activation": ({"hidden_act": "evil"}, "cannot build this model (KeyError: 'evil')"),
    "heads": ({"num_attention_heads": 3}, "cannot build this model (ValueError:"),
    "no heads": ({"num_attention_heads": 0}, "config.json: "),
    "words for numbers": ({"hidden_size": "x"}, "config.json: "),
    "lists for numbers": ({"hidden_size": [16]}, "config.json: "),
    "a dropout": ({"hidden_dropout_prob": "x"}, "config.json: "),
    "fewer words": ({"vocab_size": 22}, "has shape (23, 16) where config.json asks for (22, 16)"),
    "fewer positions": ({"max_position_embeddings": 32}, "asks for (32, 16)"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configs_that_are_not_this_models(plain: Path, case: str) -> None:
    changed, message = CONFIGS[case]
    edit_json(plain / "config.json", **changed)
    assert message in refused(plain)


def words(*names: str, **options: Any) -> Callable[[Path], None]:
    return lambda path: save_tokenizer(path, words=[*SPECIAL, *names], **options)


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda path: (path / name).write_text(content) and None


TOKENIZERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "ids beyond the table": (
        words(*WORDS, "more"),
        "the tokenizer has ids up to 23, but the embedding table has 23 rows",
    ),
    "added tokens beyond the table": (
        lambda path: save_tokenizer(path, additional_special_tokens=["<user>", "<url>"]),
        "ids up to 24, but the embedding table has 23 rows",
    ),
    "one word": (words("a"), "vocabulary has 1 tokens beside the special ones"),
    "no word": (words(), "vocabulary has 0 tokens beside the special ones"),
    "no padding token": (
        words(*WORDS, pad_token=None),
        "the tokenizer has no padding token, so that texts cannot share a batch: set pad_token",
    ),
    "an empty object": (text("tokenizer.json", "{}"), "its tokenizer cannot be read"),
    "no json": (text("tokenizer.json", "x"), "its tokenizer cannot be read"),
    "empty": (text("tokenizer.json", ""), "its tokenizer cannot be read"),
    "deep": (
        text("tokenizer.json", '{"a":' * 100_000 + "1" + "}" * 100_000),
        "its tokenizer cannot be read",
    ),
    "a class of code": (
        lambda path: edit_json(path / "tokenizer_config.json", tokenizer_class="os.system"),
        "",
    ),
    "a list for a token": (
        lambda path: edit_json(path / "tokenizer_config.json", pad_token=["x"]),
        "",
    ),
}


@pytest.mark.parametrize("case", TOKENIZERS)
def test_tokenizers_that_are_not_this_models(plain: Path, case: str) -> None:
    change, message = TOKENIZERS[case]
    change(plain)
    if message:
        assert message in refused(plain)
        return
    try:  # either is right, as long as the ids are the same
        loaded = load(plain)
    except CheckpointError as error:
        assert str(error).isprintable()
    else:
        assert loaded.tokenizer("hello").input_ids == [2, 12, 3]


def test_a_tokenizer_for_another_table(plain: Path) -> None:
    save_model(plain, vocab_size=231)
    assert "ids up to 22, and the embedding table 231 rows, more than 10 times" in refused(plain)


def test_a_tokenizer_without_a_fast_form(tmp_path: Path) -> None:
    save_model(tmp_path, "esm", mask_token_id=4)
    (tmp_path / "vocab.txt").write_text(
        "\n".join(["<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *"ABCDEF"])
    )
    edit = {"tokenizer_class": "EsmTokenizer", "model_max_length": 32}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(edit))
    assert "EsmTokenizer has no fast form" in refused(tmp_path)


def test_positions_that_only_the_model_knows_of(plain: Path) -> None:
    """MPNet counts from 2 whatever its config says: 64 rows hold 62 tokens."""
    save_model(plain, "mpnet", relative_attention_num_buckets=32)
    assert "has positions for 63 tokens" in refused(plain, max_length=64)
    assert "the model cannot score a text of 63 tokens; set max_length to" in refused(plain)
    assert load(plain, max_length=62).checkpoint.max_length == 62


def test_padding_that_config_and_tokenizer_disagree_on(plain: Path) -> None:
    save_model(plain, "gpt2", n_embd=16, n_layer=1, n_head=2, n_positions=64, pad_token_id=0)
    assert load(plain).notes == ()
    edit_json(plain / "config.json", pad_token_id=5)
    assert "pad_token_id is 5 in config.json and 0 in the tokenizer" in refused(plain)
    edit_json(plain / "config.json", pad_token_id=None)
    said = refused(plain)
    assert "cannot score texts that share a batch; set pad_token_id in config.json" in said
    # Where padding changes nothing the number matters to nobody.
    save_model(plain, pad_token_id=5)
    assert load(plain).notes == ()


def test_left_padding_and_token_types_are_kept(plain: Path) -> None:
    save_model(
        plain,
        "xlnet",
        max_position_embeddings=None,
        d_model=16,
        n_layer=2,
        n_head=2,
        d_inner=32,
        summary_type="last",
    )
    save_tokenizer(
        plain,
        types=(2, 0),
        padding_side="left",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    loaded = load(plain)
    assert (loaded.padding_side, loaded.type_ids) == ("left", True)
    assert loaded.input_names == ("input_ids", "attention_mask", "token_type_ids")
    ids, mask, types = loaded.example_inputs()
    assert ids[1, 0] == loaded.pad_id
    assert mask[1].tolist() == [0, 1, 1, 1]
    assert types[1].tolist() == [0, 2, 0, 0]
    alone = torch.cat([logits(loaded, [text]) for text in TEXTS])
    torch.testing.assert_close(logits(loaded, TEXTS), alone, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        exported = loaded.logits_only()(ids, mask, types)
    torch.testing.assert_close(exported, logits(loaded, ["hello world", "hello"]))
    edit_json(plain / "tokenizer_config.json", padding_side="right")
    assert "padding moves this model's logits" in load(plain).notes[-1]


def test_a_model_of_other_inputs(plain: Path) -> None:
    save_model(plain, "canine", num_hash_buckets=16, num_hash_functions=1)
    assert "has no table of token embeddings: take a model that reads token ids" in refused(plain)


def test_another_kind_of_checkpoint(written: Path) -> None:
    from dataclasses import replace

    with pytest.raises(CheckpointError, match="is a linear model, not one of transformers"):
        load_pretrained(replace(read_checkpoint(written), model="linear"))


def test_spare_poolers_are_left_out(plain: Path) -> None:
    """RoBERTa's encoder is often saved with a pooler that its classifier has no use for."""
    save_model(plain, "roberta")
    before = logits(load(plain), TEXTS)
    edit_tensors(
        plain, lambda tensors: tensors | {"roberta.pooler.dense.weight": torch.ones(16, 16)}
    )
    torch.testing.assert_close(logits(load(plain), TEXTS), before, rtol=0, atol=0)


def test_nothing_is_printed(plain: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(plain)
    edit_tensors(plain, without("classifier"))
    refused(plain)
    assert capfd.readouterr() == ("", "")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    changed=st.dictionaries(
        st.sampled_from(
            [
                *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
                *("intermediate_size", "max_position_embeddings", "type_vocab_size", "hidden_act"),
                *("layer_norm_eps", "hidden_dropout_prob", "initializer_range", "pad_token_id"),
                *(
                    "is_decoder",
                    "classifier_dropout",
                    "architectures",
                    "dtype",
                    "chunk_size_feed_forward",
                ),
            ]
        ),
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.integers(-2, 70)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=4)
        | st.lists(st.integers(-1, 9), max_size=3),
        min_size=1,
        max_size=2,
    )
)
def test_any_config_is_loaded_or_refused_in_a_line(plain: Path, changed: dict[str, Any]) -> None:
    content = (plain / "config.json").read_bytes()
    try:
        edit_json(plain / "config.json", **changed)
        try:
            loaded = load(plain)
        except CheckpointError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 700
        else:
            assert logits(loaded, TEXTS).shape == (3, len(LABELS))
    finally:
        (plain / "config.json").write_bytes(content)


def test_a_damaged_byte_of_the_weights_is_a_line_or_finite(plain: Path) -> None:
    file = plain / "model.safetensors"
    whole = file.read_bytes()
    for position in range(0, len(whole), len(whole) // 12):
        file.write_bytes(whole[:position] + b"\xff" + whole[position + 1 :])
        try:
            loaded = load(plain)
        except CheckpointError as error:
            assert str(error).isprintable()
        else:
            assert torch.isfinite(logits(loaded, TEXTS)).all()
    os.truncate(file, 0)
    assert "not a whole safetensors file" in refused(plain)

"""An encoder's weights: where they are found, what is built of them, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from goemo_eval.data.schemes import get_scheme
from goemo_eval.errors import CheckpointError
from goemo_eval.models.checkpoint import read_checkpoint
from goemo_eval.models.encoders import (
    Encoder,
    get_encoder,
)
from goemo_eval.models.pretrained import load_pretrained
from goemo_eval.models.weights import (
    Weights,
    build_model,
    find_weights,
    hub_weights,
    package_weights,
)
from goemo_eval.models.writing import write_untrained

from .conftest import LABELS, edit_json, edit_tensors, save_tokenizer

RANDOM = Weights("random", "random", reason="test")


def build(path: Path, labels: tuple[str, ...] = LABELS, *, seed: int = 0) -> Any:
    encoder = get_encoder("mine", path)
    torch.manual_seed(seed)
    return build_model(encoder, find_weights(encoder, path), labels, kind="multilabel")


def refused(do: Callable[[], object]) -> str:
    with pytest.raises(CheckpointError) as raised:
        do()
    assert str(raised.value).isprintable()
    return str(raised.value)


def test_minilm_comes_from_the_package_and_is_verified(minilm_weights: Weights) -> None:
    assert minilm_weights.origin == "package"
    assert minilm_weights.path is not None
    assert minilm_weights.sha256 != get_encoder("minilm").sha256  # config and tokenizer count too


def test_altered_package_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goemo_eval.models.directory.sha256_of_file", lambda path: "0" * 64)
    with pytest.raises(CheckpointError, match="is not the published 53aa51172d14: reinstall"):
        package_weights(get_encoder("minilm"))


def test_weights_of_ones_own(weights_dir: Callable[..., Path]) -> None:
    directory = weights_dir(head=False)
    encoder = get_encoder("mine", directory)
    assert encoder.model_type == "bert"
    weights = find_weights(encoder, directory)
    assert (weights.kind, weights.origin) == ("pretrained", "directory")
    assert "model_type is 'bert', but encoder distilbert is 'distilbert': give" in refused(
        lambda: get_encoder("distilbert", directory)
    )


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_weights_are_known_by_all_that_decides(weights_dir: Callable[..., Path], name: str) -> None:
    directory = weights_dir()
    encoder = get_encoder("mine", directory)
    before = find_weights(encoder, directory).sha256
    (directory / "README.md").write_text("x")
    assert find_weights(encoder, directory).sha256 == before
    if name.endswith(".json"):
        edit_json(directory / name, comment="x")
    else:
        edit_tensors(directory, lambda tensors: {n: t + 1 for n, t in tensors.items()})
    assert find_weights(encoder, directory).sha256 != before


def test_a_fresh_head_whatever_the_weights_came_with(weights_dir: Callable[..., Path]) -> None:
    with_head, encoder_alone = weights_dir(), weights_dir("bert", head=False)
    assert with_head == encoder_alone  # the second took the first one's place
    alone = build(encoder_alone)
    directory = weights_dir()
    same_width = load_file(directory / "model.safetensors")["classifier.weight"]
    fresh = build(directory)
    assert not torch.equal(fresh.classifier.weight, same_width)
    assert torch.equal(fresh.classifier.weight, alone.classifier.weight)  # drawn from the seed
    assert not torch.equal(fresh.classifier.weight, build(directory, seed=1).classifier.weight)
    assert fresh.classifier.bias.abs().sum() == 0
    edit_json(
        directory / "config.json",
        problem_type="single_label_classification",
        goemo_pooling="mean",
        id2label={str(i): str(i) for i in range(5)},
        label2id={str(i): i for i in range(5)},
    )
    edit_tensors(
        directory,
        lambda tensors: (
            tensors | {"classifier.weight": torch.ones(5, 16), "classifier.bias": torch.ones(5)}
        ),
    )
    other = build(directory, ("x", "y"))
    assert other.classifier.out_features == 2
    assert other.config.id2label == {0: "x", 1: "y"}
    assert other.config.problem_type == "multi_label_classification"
    assert not hasattr(other.config, "goemo_pooling")
    for name, tensor in alone.bert.state_dict().items():
        assert torch.equal(other.bert.state_dict()[name], tensor)


@pytest.mark.parametrize(
    "spare",
    ["cls.predictions.bias", "lm_head.weight", "qa_outputs.bias", "bert.pooler2.pooler.weight"],
)
def test_another_tasks_head_is_left_out(weights_dir: Callable[..., Path], spare: str) -> None:
    directory = weights_dir()
    edit_tensors(directory, lambda tensors: tensors | {spare: torch.ones(3)})
    assert build(directory).classifier.out_features == 3


def test_a_missing_pooler_is_drawn_as_the_head_is(weights_dir: Callable[..., Path]) -> None:
    """Encoders that were pretrained on words alone have none."""
    directory = weights_dir()
    edit_tensors(directory, lambda t: {n: x for n, x in t.items() if "pooler" not in n})
    first, second = build(directory), build(directory)
    assert torch.equal(first.bert.pooler.dense.weight, second.bert.pooler.dense.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: {n: x for n, x in t.items() if "layer.1." not in n},
            "the weights lack bert.encoder.layer.1.attention",
        ),
        (
            lambda t: {"model." + n: x for n, x in t.items()},
            "without the prefix 'model.' of its names",
        ),
        (
            lambda t: {"_orig_mod." + n: x for n, x in t.items()},
            "without the prefix '_orig_mod.' of its names",
        ),
        (
            lambda t: t | {"bert.encoder.layer.2.output.dense.bias": torch.ones(16)},
            "the weights hold bert.encoder.layer.2.output.dense.bias, for which",
        ),
        (
            lambda t: t | {"bert.encoder.layer.1.output.dense.bias": torch.ones(8)},
            "has shape (8,) where config.json asks for (16,)",
        ),
        (
            lambda t: t | {"bert.encoder.layer.1.output.dense.bias": torch.full((16,), torch.nan)},
            "holds NaN or infinity",
        ),
        (lambda t: {"a": torch.ones(3)}, "the weights lack bert.embeddings"),
    ],
)
def test_an_encoder_may_lack_nothing(
    weights_dir: Callable[..., Path], change: Callable[[Any], Any], message: str
) -> None:
    directory = weights_dir()
    edit_tensors(directory, change)
    assert message in refused(lambda: build(directory))


def test_half_precision_becomes_float32(weights_dir: Callable[..., Path]) -> None:
    directory = weights_dir()
    edit_tensors(directory, lambda tensors: {n: t.half() for n, t in tensors.items()})
    weights = find_weights(get_encoder("mine", directory), directory)
    assert weights.notes == ("weights saved in F16 are computed with as float32",)
    assert build(directory).dtype == torch.float32


def test_shards(weights_dir: Callable[..., Path], shard: Callable[[Path], None]) -> None:
    directory = weights_dir()
    before = build(directory).bert.state_dict()
    shard(directory)
    for name, tensor in build(directory).bert.state_dict().items():
        assert torch.equal(before[name], tensor)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda p: (p / "tokenizer.json").unlink(), "no tokenizer files"),
        (lambda p: (p / "config.json").unlink(), "config.json: cannot read"),
        (lambda p: (p / "model.safetensors").unlink(), "only safetensors are loaded"),
        (lambda p: (p / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}"), "holds no tensor"),
        (lambda p: (p / "config.json").write_text('{"a":' * 100_000), "not JSON"),
        (lambda p: (p / "adapter_config.json").write_text("{}"), "an adapter is no model"),
        (lambda p: edit_json(p / "config.json", auto_map={"AutoModel": "x.Y"}), "code of its own"),
        (lambda p: edit_json(p / "config.json", model_type="clip"), "no sequence classification"),
        (lambda p: edit_json(p / "config.json", model_type="x"), "knows no such architecture"),
    ],
)
def test_directories_that_are_refused(
    weights_dir: Callable[..., Path], break_it: Callable[[Path], Any], message: str
) -> None:
    directory = weights_dir()
    break_it(directory)
    assert message in refused(lambda: build(directory))


def test_no_directory(tmp_path: Path) -> None:
    assert "no such directory: pass one with" in refused(
        lambda: get_encoder("mine", tmp_path / "nowhere")
    )
    assert "config.json: no such file: pass a directory" in refused(
        lambda: find_weights(get_encoder("minilm"), tmp_path)
    )


def test_hub_out_of_reach_says_why() -> None:
    weights = hub_weights(get_encoder("albert"))
    assert weights.kind == "random"
    assert "out of reach" in str(weights.reason)


TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture
def tiny_albert() -> Encoder:
    albert = get_encoder("albert")
    return albert.model_copy(update={"config": {**albert.config, **TINY, "embedding_size": 8}})


def test_a_random_architecture_folds_the_stand_in_tokenizers_ids(
    tmp_path: Path, tiny_albert: Encoder, minilm_weights: Weights
) -> None:
    """ALBERT's vocabulary of 30,000 is smaller than the stand-in's."""
    checkpoint = write_untrained(
        tiny_albert, get_scheme("raw"), weights=RANDOM, out=tmp_path / "a", max_length=32
    )
    assert (checkpoint.weights, checkpoint.base_sha256) == ("random", None)
    loaded = load_pretrained(checkpoint)
    assert (loaded.folded, loaded.vocab_size) == (True, 30_000)
    ids, mask = loaded.example_inputs()
    assert ids.max() < 30_000
    assert torch.isfinite(loaded.logits_only()(ids, mask)).all()
    # A checkpoint that someone brings is not folded.
    (tmp_path / "a" / "goemo.json").unlink()
    assert "ids up to 30,521, but the embedding table has 30,000 rows" in refused(
        lambda: load_pretrained(read_checkpoint(tmp_path / "a"))
    )


def test_an_untrained_checkpoint_of_pretrained_weights(
    weights_dir: Callable[..., Path], tmp_path: Path
) -> None:
    directory = weights_dir(head=False)
    encoder = get_encoder("mine", directory)
    weights = find_weights(encoder, directory)
    scheme = get_scheme("raw", LABELS)
    common: dict[str, Any] = {"weights": weights, "max_length": 32}
    first, again, other = (
        write_untrained(encoder, scheme, out=tmp_path / name, seed=seed, **common)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.sha256 == again.sha256 != other.sha256
    assert first.content_sha256 == again.content_sha256
    assert first.base_sha256 == weights.sha256
    assert first.recipe is None
    assert "exists already and is not empty" in refused(
        lambda: write_untrained(encoder, scheme, out=tmp_path / "a", **common)
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert write_untrained(encoder, scheme, out=empty, **common).path == empty
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c", "empty", directory.name]


def test_what_does_not_belong_together_is_told_before_any_work(
    weights_dir: Callable[..., Path], tmp_path: Path
) -> None:
    directory = weights_dir()
    encoder = get_encoder("mine", directory)

    def write(max_length: int = 32) -> object:
        return write_untrained(
            encoder,
            get_scheme("raw", LABELS),
            weights=find_weights(encoder, directory),
            out=tmp_path / "out",
            max_length=max_length,
        )

    assert "has positions for 64 tokens, and texts are to be cut at 65" in refused(
        lambda: write(65)
    )
    save_tokenizer(directory, additional_special_tokens=["<user>"])
    assert "the tokenizer has ids up to 23, but the embedding table has 23 rows" in refused(write)
    save_tokenizer(directory, pad_token=None)
    assert "no padding token" in refused(write)
    assert not (tmp_path / "out").exists()


def test_a_config_alone_makes_no_weights(tmp_path: Path, weights_dir: Callable[..., Path]) -> None:
    shutil.copy(weights_dir() / "config.json", tmp_path / "config.json")
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "bert"
    assert "only safetensors are loaded" in refused(lambda: build(tmp_path))

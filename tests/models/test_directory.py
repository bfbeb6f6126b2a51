"""Plain transformers directories: what is refused at the door, in a line, and what is let in."""

from __future__ import annotations

import importlib.util
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goemo_eval.errors import CheckpointError
from goemo_eval.models.checkpoint import read_checkpoint
from goemo_eval.models.config import positions_of
from goemo_eval.models.directory import decides, read_directory

from .conftest import LABELS, edit_json, edit_tensors

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(path, **options)
    message = str(raised.value)
    assert message.isprintable()
    assert len(message) < 600
    return message


def test_a_whole_one(plain: Path) -> None:
    found = read_checkpoint(plain)
    assert (found.encoder, found.scheme, found.weights) == ("", "", "checkpoint")
    assert (found.labels, found.kind, found.max_length) == (LABELS, "multilabel", 64)
    assert (found.notes, found.compute, found.dominance) == ((), None, None)
    assert set(read_directory(plain).files) == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    }


Break = Callable[[Path], object]


def write(name: str, content: str | bytes) -> Break:
    return lambda path: (path / name).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


def remove(*names: str) -> Break:
    return lambda path: [(path / name).unlink() for name in names]


def config(drop: tuple[str, ...] = (), **changed: Any) -> Break:
    return lambda path: edit_json(path / "config.json", drop=drop, **changed)


def both(*breaks: Break) -> Break:
    return lambda path: [each(path) for each in breaks]


def under(*names: str) -> Break:
    """Move everything into directories within."""

    def move(path: Path) -> None:
        files = list(path.iterdir())
        for name in names:
            (path / name).mkdir()
            for file in files:
                (path / name / file.name).write_bytes(file.read_bytes())
        for file in files:
            file.unlink()

    return move


def second(name: str, source: str) -> Break:
    return lambda path: (path / name).write_bytes((path / source).read_bytes())


CASES: dict[str, tuple[Break, str]] = {
    "no config": (remove("config.json"), "config.json: no such file: pass a directory that"),
    "no weights": (remove("model.safetensors"), "only safetensors are loaded; copy the weights"),
    "pickle alone": (
        both(remove("model.safetensors"), write("pytorch_model.bin", b"x")),
        "only safetensors are loaded; load pytorch_model.bin with transformers and save_pretrained",
    ),
    "pickle beside empty safetensors": (
        both(write("model.safetensors", b""), write("pytorch_model.bin", b"x")),
        "not a whole safetensors file",
    ),
    "tensorflow": (
        both(remove("model.safetensors"), write("tf_model.h5", b"x")),
        "load tf_model.h5 with transformers",
    ),
    "parent of a checkpoint": (under("checkpoint-500"), "checkpoint-500 in it is one: pass"),
    "parent of several": (
        under("checkpoint-1000", "checkpoint-90"),
        "checkpoint-1000 in it is one: pass",
    ),
    "adapter": (write("adapter_config.json", "{}"), "an adapter is no model; merge it into"),
    "adapter weights": (write("adapter_model.safetensors", b""), "an adapter is no model"),
    "lfs weights": (write("model.safetensors", LFS), "model.safetensors: a pointer of git-lfs"),
    "lfs tokenizer": (write("tokenizer.json", LFS), "tokenizer.json: a pointer of git-lfs"),
    "lfs config": (write("config.json", LFS), "config.json: not JSON"),
    "truncated weights": (
        lambda path: os.truncate(path / "model.safetensors", 1000),
        "not a whole safetensors file (states a header of",
    ),
    "cut weights": (
        lambda path: os.truncate(
            path / "model.safetensors", (path / "model.safetensors").stat().st_size - 4
        ),
        "not a whole safetensors file (its tensors take",
    ),
    "giant header": (
        write("model.safetensors", struct.pack("<Q", 2**63) + b"{}"),
        "not a whole safetensors file (states a header of 9,223,372,036,854,775,808 bytes)",
    ),
    "no tensors": (
        write("model.safetensors", struct.pack("<Q", 2) + b"{}"),
        "model.safetensors: holds no tensor",
    ),
    "int8 weights": (
        lambda path: edit_tensors(
            path,
            lambda tensors: {n: t.to(dtype=__import__("torch").int8) for n, t in tensors.items()},
        ),
        "is of type I8: weights must be F32, F16 or BF16",
    ),
    "no tokenizer": (
        remove("tokenizer.json", "tokenizer_config.json"),
        "no tokenizer files (tokenizer.json, vocab.txt or the like): copy those",
    ),
    "tokenizer_config alone": (remove("tokenizer.json"), "no tokenizer files"),
    "sentencepiece missing": (
        both(remove("tokenizer.json"), write("spiece.model", b"x")),
        "sentencepiece is needed to read it: pip install sentencepiece",
    ),
    "tokenizer code": (
        write("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": ["x.Y", null]}}'),
        "tokenizer_config.json: auto_map asks for code of its own",
    ),
    "tokenizer_config list": (write("tokenizer_config.json", "[]"), "expected a JSON object"),
    "custom code": (
        config(auto_map={"AutoModel": "modeling_mine.Mine"}),
        "auto_map asks for code of its own, and no code of a checkpoint is run here",
    ),
    "gptq": (
        config(quantization_config={"quant_method": "gptq", "bits": 4}),
        "quantization_config asks for quantized weights",
    ),
    "bitsandbytes": (
        config(quantization_config={"load_in_8bit": True}),
        "take the model as it was before quantization",
    ),
    "other weights": (config(transformers_weights="../x.safetensors"), "another weights file"),
    "kernels": (config(attn_implementation="kernels-community/x"), "an attention of its own"),
    "config empty": (write("config.json", ""), "config.json: not JSON"),
    "config list": (write("config.json", "[]"), "config.json: expected a JSON object, got list"),
    "config deep": (
        write("config.json", '{"a":' * 100_000 + "1" + "}" * 100_000),
        "config.json: not JSON of ours (nested too deeply)",
    ),
    "config digits": (write("config.json", '{"a": ' + "9" * 5000 + "}"), "config.json: not JSON"),
    "config twice": (
        write("config.json", '{"model_type": "bert", "model_type": "gpt2"}'),
        "'model_type' stands twice",
    ),
    "config nan": (write("config.json", '{"a": NaN}'), "NaN is no number of JSON"),
    "no model_type": (config(drop=("model_type",)), "model_type None: expected the name of an"),
    "model_type path": (config(model_type="../../x"), "model_type '../../x': expected the name"),
    "model_type list": (config(model_type=["bert"]), "model_type ['bert']: expected the name"),
    "id2label null": (config(id2label=None), "id2label is None: set it to the scheme's labels"),
    "id2label number": (config(id2label=5), "id2label is 5: set it to"),
    "id2label empty": (config(id2label={}), "id2label is {}: set it to"),
    "id2label missing": (config(drop=("id2label",)), "id2label is None"),
    "id2label default": (
        config(id2label={str(i): f"LABEL_{i}" for i in range(3)}, label2id=None),
        "id2label names no labels (LABEL_0 and so on)",
    ),
    "id2label gap": (
        config(id2label={"0": "a", "2": "b"}),
        "id2label has 2 labels but none of id 1: number them from 0",
    ),
    "id2label words": (config(id2label={"a": "0", "b": "1"}), "2 labels but none of id 0"),
    "id2label dicts": (config(id2label={"0": {}, "1": []}), "label names must be a list of texts"),
    "id2label twice": (
        config(id2label={"0": "a", "1": "a"}),
        "id2label: label 'a' is there twice",
    ),
    "id2label escape": (config(id2label={"0": "a", "1": "\x1b[2J"}), "label 2 is"),
    "id2label many": (
        config(id2label={str(i): str(i) for i in range(10_001)}),
        "10,001 labels: there may be",
    ),
    "num_labels": (config(num_labels=10**9), "3 labels, but num_labels says 1000000000"),
    "label2id contradicts": (
        config(label2id={"anger": 0, "joy": 2, "neutral": 1}),
        "id2label says that column 1 is 'joy', but label2id says 2 for it",
    ),
    "label2id other": (
        config(label2id={"anger": 0, "joy": 1, "neutral": 2, "fear": 3}),
        "label2id names 'fear', which id2label does not",
    ),
    "label2id list": (config(label2id=[1]), "label2id is list: expected an object"),
    "regression": (config(problem_type="regression"), "problem_type 'regression': expected"),
    "problem_type list": (config(problem_type=["x"]), "problem_type ['x']: expected"),
    "few positions": (config(max_position_embeddings=4), "max_length 4: expected 8 to"),
    "shard missing": (
        both(
            remove("model.safetensors"),
            write("model.safetensors.index.json", '{"weight_map": {"a": "m-1.safetensors"}}'),
        ),
        "m-1.safetensors: no such file, though model.safetensors.index.json lists it",
    ),
    "shard elsewhere": (
        both(
            remove("model.safetensors"),
            write("model.safetensors.index.json", '{"weight_map": {"a": "../m.safetensors"}}'),
        ),
        "weight_map names '../m.safetensors': expected a safetensors file beside it",
    ),
    "shard pickled": (
        both(
            remove("model.safetensors"),
            write("m.bin", b""),
            write("model.safetensors.index.json", '{"weight_map": {"a": "m.bin"}}'),
        ),
        "weight_map names 'm.bin': expected a safetensors file",
    ),
    "index empty": (
        both(remove("model.safetensors"), write("model.safetensors.index.json", "{}")),
        "weight_map names no shards",
    ),
    "index of lists": (
        both(
            remove("model.safetensors"),
            write("model.safetensors.index.json", '{"weight_map": {"a": ["x"]}}'),
        ),
        "weight_map names no shards",
    ),
    "tensor in two shards": (
        both(
            second("a.safetensors", "model.safetensors"),
            second("b.safetensors", "model.safetensors"),
            remove("model.safetensors"),
            write(
                "model.safetensors.index.json",
                '{"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}',
            ),
        ),
        "as another shard does",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_in_a_line(plain: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name == "sentencepiece" else find(name, *a),
    )
    break_it, message = CASES[case]
    break_it(plain)
    assert message in refused(plain)


def test_a_file_that_never_ends(plain: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        content = (plain / name).read_bytes()
        (plain / name).unlink()
        os.mkfifo(plain / name)
        assert f"{name}: no such file" in refused(plain)
        (plain / name).unlink()
        (plain / name).write_bytes(content)
    os.truncate(plain / "config.json", 1 << 30)
    assert "config.json: 1,073,741,824 bytes: at most" in refused(plain)


def test_a_default_label2id_and_torchs_own_attention_are_let_in(plain: Path) -> None:
    """transformers writes the first where only id2label was set."""
    edit_json(
        plain / "config.json",
        label2id={f"LABEL_{i}": i for i in range(3)},
        attn_implementation="sdpa",
        quantization_config=None,
    )
    assert read_checkpoint(plain).labels == LABELS


@pytest.mark.parametrize(("dtype", "name"), [("float16", "F16"), ("bfloat16", "BF16")])
def test_half_precision_is_told(plain: Path, dtype: str, name: str) -> None:
    import torch

    edit_tensors(
        plain, lambda tensors: {n: t.to(getattr(torch, dtype)) for n, t in tensors.items()}
    )
    [note] = read_checkpoint(plain).notes
    assert note == f"weights saved in {name} are computed with as float32"


def test_the_length_is_the_tokenizers_or_the_models_never_ours_unsaid(plain: Path) -> None:
    assert read_checkpoint(plain).max_length == 64
    edit_json(plain / "tokenizer_config.json", model_max_length=48)
    assert read_checkpoint(plain).max_length == 48
    assert read_checkpoint(plain, max_length=60).max_length == 60
    edit_json(plain / "tokenizer_config.json", model_max_length=10**30)
    assert read_checkpoint(plain).max_length == 64
    edit_json(plain / "tokenizer_config.json", model_max_length=512)
    assert read_checkpoint(plain).max_length == 64
    assert "has positions for 64 tokens, and texts are to be cut at 128" in refused(
        plain, max_length=128
    )
    edit_json(plain / "config.json", drop=("max_position_embeddings",))
    edit_json(plain / "tokenizer_config.json", model_max_length=10**30)
    unsaid = read_checkpoint(plain)
    assert unsaid.max_length == 512
    assert "texts are cut at 512 tokens; pass a max_length" in unsaid.notes[0]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "camembert", "max_position_embeddings": 514}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "t5", "n_positions": 512}, None),
        ({"model_type": "xlnet"}, None),
        ({"model_type": "bert", "max_position_embeddings": True}, None),
        ({"model_type": "bert", "max_position_embeddings": -1}, None),
    ],
)
def test_positions(config: dict[str, Any], expected: int | None) -> None:
    assert positions_of(config) == expected


def test_shards_are_one_set_of_weights(plain: Path, shard: Callable[[Path], None]) -> None:
    whole = read_checkpoint(plain)
    shard(plain)
    found = read_checkpoint(plain)
    assert len(read_directory(plain).weights) == 3
    assert found.sha256 != whole.sha256
    last = max(plain.glob("*.safetensors"))
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(content)
    altered = read_checkpoint(plain)
    assert (altered.sha256, altered.content_sha256) != (found.sha256, found.content_sha256)
    assert json.loads((plain / "model.safetensors.index.json").read_text())


def test_what_decides() -> None:
    for name in ("config.json", "vocab.txt", "added_tokens.json", "spiece.model", "a.safetensors"):
        assert decides(name)
    for name in ("README.md", "goemo.json", "key.json", "pytorch_model.bin", "code.py"):
        assert not decides(name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    changed=st.dictionaries(
        st.sampled_from(
            [
                *("model_type", "id2label", "label2id", "num_labels", "problem_type", "auto_map"),
                *("max_position_embeddings", "pad_token_id", "quantization_config", "hidden_size"),
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["0", "1", "a"]), inner, max_size=3)
            ),
            max_leaves=5,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_config_is_read_or_refused_in_a_line(plain: Path, changed: dict[str, Any]) -> None:
    content = (plain / "config.json").read_bytes()
    try:
        edit_json(plain / "config.json", **changed)
        try:
            read_checkpoint(plain)
        except CheckpointError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 600
    finally:
        (plain / "config.json").write_bytes(content)

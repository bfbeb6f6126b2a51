"""Manifests: what `read_checkpoint` takes of a checkpoint that was written here."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goemo_eval.data.schemes import get_scheme
from goemo_eval.errors import CheckpointError
from goemo_eval.models.checkpoint import read_checkpoint
from goemo_eval.models.manifest import MANIFEST

from .conftest import LABELS, edit_json


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(path, **options)
    message = str(raised.value)
    assert message.isprintable()
    assert len(message) < 600
    return message


def test_round_trip(written: Path) -> None:
    found = read_checkpoint(written)
    assert (found.model, found.encoder, found.scheme) == ("transformers", "tiny", "raw")
    assert (found.kind, found.labels, found.max_length) == ("multilabel", LABELS, 32)
    assert (found.weights, found.seed, found.compute) == ("pretrained", 7, "fp32")
    assert found.recipe == {"name": "study", "epochs": 3, "learning_rate": 5e-5}
    assert found == read_checkpoint(written, manifest="required")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_content_depends_on_every_file_that_decides(plain: Path, name: str) -> None:
    first = read_checkpoint(plain)
    file = plain / name
    if name.endswith(".json"):
        edit_json(file, comment="x")
    else:
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    second = read_checkpoint(plain)
    assert first.content_sha256 != second.content_sha256
    assert (first.sha256 == second.sha256) == (name != "model.safetensors")


def test_content_depends_on_the_length_and_not_on_the_place(written: Path, tmp_path: Path) -> None:
    first = read_checkpoint(written)
    shorter = read_checkpoint(written, max_length=16)
    assert shorter.max_length == 16
    assert shorter.content_sha256 != first.content_sha256
    moved = written.rename(tmp_path / "moved")
    assert read_checkpoint(moved).content_sha256 == first.content_sha256
    assert "has positions for 64 tokens, and texts are to be cut at 65" in refused(
        moved, max_length=65
    )
    assert "max_length 3: expected 8 to" in refused(moved, max_length=3)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_an_altered_or_missing_file(written: Path, name: str) -> None:
    content = bytearray((written / name).read_bytes())
    content[-2] ^= 1
    (written / name).write_bytes(content)
    assert f"{name}: altered since it was written" in refused(written)
    (written / name).unlink()
    assert f"{name}: missing from the checkpoint: train again" in refused(written)
    os.mkfifo(written / name)
    assert f"{name}: missing from the checkpoint" in refused(written)


@pytest.mark.parametrize(
    "name",
    [
        "adapter_config.json",
        "adapter_model.safetensors",
        "added_tokens.json",
        "special_tokens_map.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "spiece.model",
        "sentencepiece.bpe.model",
        "tokenizer.5.0.0.json",
        "config.5.0.0.json",
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
    ],
)
def test_an_unlisted_file_that_would_be_read(written: Path, name: str) -> None:
    (written / name).write_text("{}")
    assert f"{name}: not listed in {MANIFEST}: take it away" in refused(written)


def test_other_files_are_left_alone(written: Path) -> None:
    found = read_checkpoint(written)
    for name in ("README.md", "LICENSE", "key.json", "training_args.bin", ".gitattributes"):
        (written / name).write_text("x")
    (written / "runs").mkdir()
    assert read_checkpoint(written) == found


def test_a_manifest_that_was_deleted(written: Path) -> None:
    (written / MANIFEST).unlink()
    assert f"{MANIFEST}: missing from the checkpoint: restore it" in refused(
        written, manifest="required"
    )
    assert read_checkpoint(written).weights == "checkpoint"


DEEP = '{"schema_version": 2, "recipe": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "goemo.json: not JSON"),
        ("[]", "expected a JSON object, got list"),
        ("{}", "schema_version None: this goemo_eval reads 2: train again"),
        ('{"schema_version": "2"}', "schema_version '2'"),
        ('{"schema_version": 3}', "schema_version 3"),
        ('{"schema_version": 2, "schema_version": 2}', "stands twice"),
        ('{"schema_version": 2}', "model: Field required"),
        (DEEP, "nested too deeply"),
        ('{"seed": ' + "9" * 5000 + "}", "not JSON"),
        ('{"schema_version": NaN}', "NaN is no number"),
        (b'{"schema_version": 2, "encoder": "\xff"}', "is not UTF-8"),
    ],
)
def test_malformed_manifests(written: Path, content: str | bytes, message: str) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (written / MANIFEST).write_bytes(data)
    assert message in refused(written)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"max_length": -5}, "max_length: Input should be greater than or equal to 0"),
        ({"max_length": 0}, "max_length: 0: expected 8 or more"),
        ({"max_length": 10**9}, "max_length: Input should be less than or equal to"),
        ({"max_length": 65}, "has positions for 64 tokens, and texts are to be cut at 65"),
        ({"max_length": "32"}, "max_length: Input should be a valid integer"),
        ({"max_length": 32.5}, "max_length"),
        ({"max_length": True}, "max_length: Input should be a valid integer"),
        ({"labels": [{"a": 1}]}, "labels.0: Input should be a valid string"),
        ({"labels": []}, "labels: List should have at least 1 item"),
        ({"labels": "abc"}, "labels: Input should be a valid list"),
        ({"labels": ["joy", "joy", "anger"]}, "labels: label 'joy' is there twice"),
        ({"labels": ["joy", "\x1b[2J", "anger"]}, "labels: label 2 is"),
        ({"labels": ["joy", " ", "anger"]}, "labels: label 2 is ' '"),
        ({"labels": ["joy", "\ud800", "anger"]}, "labels"),
        ({"labels": ["joy", "x" * 501, "anger"]}, "labels: label 2 is"),
        ({"labels": ["joy", "anger", "neutral"]}, "id2label has other labels than goemo.json"),
        ({"kind": "multiclass"}, "problem_type is multilabel, but goemo.json says multiclass"),
        ({"kind": "evil"}, "kind: Input should be 'multilabel' or 'multiclass'"),
        ({"weights": "evil"}, "weights: Input should be 'pretrained' or 'random'"),
        ({"weights": "checkpoint"}, "weights: Input should be 'pretrained' or 'random'"),
        ({"model": "evil"}, "model: Input should be 'transformers' or 'linear'"),
        ({"recipe": {"a": {"b": 1}}}, "recipe.a"),
        ({"recipe": {"a": [1]}}, "recipe.a"),
        ({"recipe": "study"}, "recipe: Input should be a valid dictionary"),
        ({"recipe": {"a": "x" * 501}}, "recipe.a"),
        ({"seed": True}, "seed: Input should be a valid integer"),
        ({"seed": -1}, "seed"),
        ({"seed": 10**400}, "seed"),
        ({"seed": "7"}, "seed: Input should be a valid integer"),
        ({"encoder": "../../x"}, "encoder: String should match pattern"),
        ({"encoder": "A B"}, "encoder: String should match pattern"),
        ({"encoder": ""}, "encoder: String should match pattern"),
        ({"scheme": "\x1b[2J"}, "scheme: String should match pattern"),
        ({"dominance": 3}, "dominance"),
        ({"prior_shift": 1e300}, "prior_shift"),
        ({"prior_shift": "1"}, "prior_shift"),
        ({"compute": "fp16"}, "compute: Input should be 'fp32' or 'bf16'"),
        ({"base_sha256": "xyz"}, "base_sha256: String should match pattern"),
        ({"train_sha256": "A" * 64}, "train_sha256: String should match pattern"),
        ({"notes": "x"}, "notes"),
        ({"notes": ["x"] * 21}, "notes"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"files": {}}, "lists no weights"),
        ({"files": ["model.safetensors"]}, "files: Input should be a valid dictionary"),
        ({"files": {"model.safetensors": ""}}, "files.model.safetensors: String should match"),
        ({"files": None}, "files"),
    ],
)
def test_what_no_manifest_may_say(written: Path, changed: dict[str, Any], message: str) -> None:
    edit_json(written / MANIFEST, **changed)
    assert message in refused(written)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../x", "..", ".", "a/b", "sub/model.safetensors", "\x1b[2J", "a\nb", ""],
)
def test_files_outside_the_directory(written: Path, name: str) -> None:
    files = json.loads((written / MANIFEST).read_text())["files"]
    edit_json(written / MANIFEST, files={name: "0" * 64, **files})
    message = refused(written)
    assert "which is no file beside it: train again" in message


def test_a_manifest_that_lists_the_weights_alone(written: Path) -> None:
    files = json.loads((written / MANIFEST).read_text())["files"]
    edit_json(written / MANIFEST, files={"model.safetensors": files["model.safetensors"]})
    assert "not listed in goemo.json: take it away" in refused(written)


def test_no_directory(tmp_path: Path, written: Path) -> None:
    assert "no such checkpoint directory" in refused(tmp_path / "nowhere")
    assert "no such checkpoint directory" in refused(written / MANIFEST)
    with pytest.raises(CheckpointError, match="no such checkpoint directory"):
        read_checkpoint(Path("a\0b"))


@pytest.mark.parametrize(
    ("labels", "scheme", "message"),
    [
        (
            ("a", "b", "c", "d"),
            ["a", "b", "d", "c"],
            "column 2 is 'c', but scheme raw has 'd' there: the labels are the same in another order",
        ),
        (
            ("a", "b", "x"),
            ["a", "b", "c"],
            "column 2 is 'x', but scheme raw has 'c' there: pass a checkpoint",
        ),
        (
            ("a", "b"),
            ["a", "b", "c"],
            "has 2 labels (a, b, ...), but scheme raw has 3 (a, b, c, ...)",
        ),
    ],
)
def test_labels_of_another_scheme(
    written: Path, labels: tuple[str, ...], scheme: list[str], message: str
) -> None:
    checkpoint = dataclasses.replace(read_checkpoint(written), labels=labels)
    with pytest.raises(CheckpointError) as raised:
        checkpoint.check_fits(get_scheme("raw", scheme))
    assert message in str(raised.value)


def test_another_kind_scheme_or_rule(written: Path, plain: Path) -> None:
    raw, simplified = get_scheme("raw", LABELS), get_scheme("simplified", LABELS)
    checkpoint = read_checkpoint(written)
    checkpoint.check_fits(raw)
    with pytest.raises(
        CheckpointError, match=r"trained as multilabel \(problem_type\), but scheme"
    ):
        checkpoint.check_fits(simplified)
    edit_json(plain / "config.json", problem_type="single_label_classification")
    brought = read_checkpoint(plain)
    brought.check_fits(simplified)
    with pytest.raises(CheckpointError, match=r"as multiclass .* but scheme raw is multilabel"):
        brought.check_fits(raw)
    named = dataclasses.replace(checkpoint, kind="multiclass", dominance="votes")
    with pytest.raises(CheckpointError, match="was trained for scheme raw, not simplified"):
        named.check_fits(simplified)
    ruled = dataclasses.replace(named, scheme="simplified")
    with pytest.raises(CheckpointError, match="dominance rule votes, not frequent: pass --domin"):
        ruled.check_fits(simplified)
    # A directory that does not say takes either.
    edit_json(plain / "config.json", drop=("problem_type",))
    for scheme in (raw, simplified):
        read_checkpoint(plain).check_fits(scheme)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = (
    *("schema_version", "model", "encoder", "scheme", "kind", "labels", "dominance", "max_length"),
    *(
        "weights",
        "base_sha256",
        "recipe",
        "seed",
        "train_sha256",
        "prior_shift",
        "compute",
        "notes",
    ),
    *("files", "other"),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(changed=st.dictionaries(st.sampled_from(FIELDS), json_values, min_size=1, max_size=3))
def test_any_manifest_is_read_or_refused_in_a_line(written: Path, changed: dict[str, Any]) -> None:
    content = (written / MANIFEST).read_bytes()
    try:
        edit_json(written / MANIFEST, **changed)
        try:
            read_checkpoint(written)
        except CheckpointError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 600
    finally:
        (written / MANIFEST).write_bytes(content)


def test_a_large_manifest_is_not_read(written: Path) -> None:
    os.truncate(written / MANIFEST, 1 << 30)
    assert "1,073,741,824 bytes: at most" in refused(written)

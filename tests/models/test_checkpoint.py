from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from goemo_eval.data.labels import EMOTIONS
from goemo_eval.errors import CheckpointError
from goemo_eval.models.checkpoint import MANIFEST, Checkpoint, read_checkpoint


@pytest.fixture
def copy(minilm_raw: Checkpoint, tmp_path: Path) -> Path:
    return Path(shutil.copytree(minilm_raw.path, tmp_path / "copy"))


def test_manifest_round_trip(minilm_raw: Checkpoint) -> None:
    assert read_checkpoint(minilm_raw.path) == minilm_raw
    assert minilm_raw.labels == EMOTIONS
    assert minilm_raw.weights == "pretrained"
    assert minilm_raw.base_sha256 is not None
    assert minilm_raw.recipe is not None
    assert minilm_raw.recipe["name"] == "quick"


def test_one_altered_byte_is_refused(copy: Path) -> None:
    path = copy / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model.safetensors: altered since it was written"):
        read_checkpoint(copy)


def test_missing_file_is_refused(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer.json: missing from the checkpoint"):
        read_checkpoint(copy)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": {"model.safetensors": ""}}'])
def test_broken_manifest(copy: Path, content: str) -> None:
    (copy / MANIFEST).write_text(content)
    with pytest.raises(
        CheckpointError, match=MANIFEST if len(content) < 5 else "goemo.json|altered"
    ):
        read_checkpoint(copy)


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint directory"):
        read_checkpoint(tmp_path / "nowhere")


def test_plain_transformers_directory(copy: Path, minilm_raw: Checkpoint) -> None:
    (copy / MANIFEST).unlink()
    plain = read_checkpoint(copy)
    assert plain.weights == "checkpoint"
    assert plain.labels == minilm_raw.labels
    assert plain.sha256 == minilm_raw.sha256


def test_plain_directory_must_name_its_labels(copy: Path) -> None:
    (copy / MANIFEST).unlink()
    config = json.loads((copy / "config.json").read_text())
    config["id2label"] = {str(i): f"LABEL_{i}" for i in range(28)}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="id2label names no labels"):
        read_checkpoint(copy)


def test_pickled_weights_are_not_loaded(copy: Path) -> None:
    (copy / MANIFEST).unlink()
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="only safetensors are loaded"):
        read_checkpoint(copy)

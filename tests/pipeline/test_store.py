from __future__ import annotations

from pathlib import Path

import pytest

from goemo_eval.models.recipes import load_recipe
from goemo_eval.pipeline.store import (
    checkpoint_dir,
    key_of,
    write_atomic,
)


def test_keys_depend_on_every_fact_and_not_on_order() -> None:
    assert key_of(a=1, b="x") == key_of(b="x", a=1)
    assert key_of(a=1, b="x") != key_of(a=2, b="x")


def test_checkpoint_of_another_run_lies_elsewhere(tmp_path: Path) -> None:
    run = {
        "encoder": "minilm",
        "scheme": "raw",
        "dominance": None,
        "recipe": {"epochs": 3},
        "seed": 0,
        "base_sha256": "a",
        "train_sha256": "b",
    }
    first = checkpoint_dir(tmp_path, **run)
    assert first.name.startswith("minilm-raw-")
    for change in (
        {"recipe": {"epochs": 4}},
        {"seed": 1},
        {"train_sha256": "c"},
        {"base_sha256": "c"},
        {"validation_sha256": "d"},
    ):
        assert checkpoint_dir(tmp_path, **run | change) != first


def test_the_key_of_an_early_checkpoint_stands(tmp_path: Path) -> None:
    """Recipes have learned fields since; what was fine-tuned before is still found."""
    found = checkpoint_dir(
        tmp_path,
        encoder="minilm",
        scheme="raw",
        dominance=None,
        recipe=load_recipe("study").training_facts(),
        seed=0,
        base_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        train_sha256="1c254a142be5c00e80d819b9ae1bbd36d94b2eeb8f4b1271846508d57e57d9c5",
    )
    assert found.name == "minilm-raw-60c29bb89861"


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sub" / "file"
    write_atomic(path, b"old")

    def interrupted(self: Path, content: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"

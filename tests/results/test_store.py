from __future__ import annotations

from pathlib import Path

import pytest

from goemo_eval.results.store import (
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
    ):
        assert checkpoint_dir(tmp_path, **run | change) != first


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

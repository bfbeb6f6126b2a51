from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from goemo_eval.errors import RecordError
from goemo_eval.results.store import (
    checkpoint_dir,
    key_of,
    pack_predictions,
    unpack_predictions,
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


@given(hnp.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 28))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_packed_predictions_come_back(tmp_path: Path, predictions: np.ndarray) -> None:
    path = tmp_path / "p.npz"
    write_atomic(path, pack_predictions(predictions, predictions.shape[1]))
    np.testing.assert_array_equal(unpack_predictions(path), predictions)


def test_class_ids_are_one_bit_each(tmp_path: Path) -> None:
    write_atomic(tmp_path / "p.npz", pack_predictions(np.array([2, 0]), 3))
    assert unpack_predictions(tmp_path / "p.npz").tolist() == [
        [False, False, True],
        [True, False, False],
    ]


def test_damaged_predictions(tmp_path: Path) -> None:
    whole = pack_predictions(np.ones((40, 28), dtype=bool), 28)
    for content in (b"", whole[:-30], b"not a zip"):
        write_atomic(tmp_path / "p.npz", content)
        with pytest.raises(RecordError, match="no packed predictions"):
            unpack_predictions(tmp_path / "p.npz")


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

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from goemo_eval.errors import CheckpointError
from goemo_eval.models.headers import Tensor, read_header


def file_of(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(content) if length is None else length) + content + data)
    return path


def entry(**changed: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changed


def test_what_safetensors_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    tensors = {
        "a": np.zeros((2, 3), np.float32),
        "b": np.zeros((0, 4), np.float16),
        "c": np.array(1, np.int64),
    }
    save_file(tensors, path, metadata={"format": "pt"})
    assert read_header(path) == {
        "a": Tensor("F32", (2, 3)),
        "b": Tensor("F16", (0, 4)),
        "c": Tensor("I64", ()),
    }
    assert read_header(path)["a"].size == 6


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"a": entry()}, b"", "leaves|take 8 bytes, and it holds 0"),
        ({"a": entry()}, bytes(9), "take 8 bytes, and it holds 9"),
        ({"a": entry(shape=[3])}, bytes(8), "states a shape that its bytes do not fill"),
        ({"a": entry(shape=[2**62, 2**62])}, bytes(8), "states a shape"),
        ({"a": entry(shape=[-2])}, bytes(8), "described wrongly"),
        ({"a": entry(shape=[True, 2])}, bytes(8), "described wrongly"),
        ({"a": entry(shape="2")}, bytes(8), "described wrongly"),
        ({"a": entry(data_offsets=[4, 12])}, bytes(12), "leave a gap or overlap at byte 0"),
        ({"a": entry(data_offsets=[0])}, bytes(8), "described wrongly"),
        ({"a": entry(dtype="F8_E4M3")}, bytes(8), "is of type 'F8_E4M3': weights must be F32"),
        ({"a": entry(dtype=["F32"])}, bytes(8), "described wrongly"),
        ({"a": 3}, bytes(8), "described wrongly"),
        ({"a": entry(), "b": entry()}, bytes(8), "leave a gap or overlap"),
        ({}, b"", "holds no tensor"),
        ({"__metadata__": {"format": "pt"}}, b"", "holds no tensor"),
        ([], b"", "no JSON object"),
        (b"{", b"", "header is not JSON"),
        (b"[" * 100_000, b"", "header is not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", b"", "header is not JSON"),
        (b"\xff\xff", b"", "header is not JSON"),
    ],
)
def test_broken_headers(tmp_path: Path, header: Any, data: bytes, message: str) -> None:
    path = file_of(tmp_path / "m.safetensors", header, data)
    with pytest.raises(CheckpointError, match=message) as raised:
        read_header(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**8 + 1, 1000])
def test_a_header_that_is_longer_than_the_file(tmp_path: Path, length: int) -> None:
    path = file_of(tmp_path / "m.safetensors", {"a": entry()}, bytes(8), length=length)
    with pytest.raises(CheckpointError, match="states a header of"):
        read_header(path)


@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 7])
def test_files_without_a_header(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_header(path)


def test_a_pointer_of_lfs(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    with pytest.raises(CheckpointError, match="a pointer of git-lfs, not the weights: run git lfs"):
        read_header(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(position=st.integers(0, 200), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_refused_or_read_as_it_says(
    tmp_path: Path, position: int, byte: int, cut: bool
) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": np.zeros(4, np.float32), "b": np.ones((2, 2), np.float16)}, path)
    content = bytearray(path.read_bytes())
    position %= len(content)
    if cut:
        del content[position:]
    else:
        content[position] = byte
    path.write_bytes(content)
    try:
        found = read_header(path)
    except CheckpointError as error:
        assert "\n" not in str(error)
    else:
        assert sum(tensor.size for tensor in found.values()) <= len(content)

"""Headers of safetensors files, read by ourselves and with bounds, before anything is allocated.

A header says which tensors a file holds, of which type and shape, and where. One that is
truncated, that lies, or that asks for more than the file has is refused here, with the file's name.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goemo_eval.data.words import shown
from goemo_eval.errors import CheckpointError

MOST_HEADER_BYTES = 100_000_000
"""The format's own limit."""
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Types that weights are loaded from, with their bytes."""
_BYTES = (
    FLOATS
    | {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "U16": 2, "U32": 4}
    | {"U64": 8}
)
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class Tensor:
    """A tensor as a header states it."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def is_lfs_pointer(path: Path) -> bool:
    """Say whether a file is git-lfs's stand-in for the real one."""
    with path.open("rb") as file:
        return file.read(len(_LFS)) == _LFS


def read_header(path: Path) -> dict[str, Tensor]:
    """Read what tensors a safetensors file holds.

    Parameters
    ----------
    path : Path
        A regular file.

    Returns
    -------
    dict of str to Tensor
        In the file's order.

    Raises
    ------
    CheckpointError
        If the file is a pointer of git-lfs, cut short, holds no tensor, or its header is not what
        its bytes bear out.
    """
    try:
        if is_lfs_pointer(path):
            raise CheckpointError(
                f"{path}: a pointer of git-lfs, not the weights: run git lfs pull, or copy the file itself"
            )
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            left = path.stat().st_size - 8 - length
            if left < 0 or length > MOST_HEADER_BYTES:
                raise _broken(path, f"states a header of {length:,} bytes")
            content = file.read(length)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read ({error.strerror})") from None
    tensors = _parsed(path, content, left)
    if not tensors:
        raise CheckpointError(f"{path}: holds no tensor: save the model again")
    return tensors


def _parsed(path: Path, content: bytes, data_bytes: int) -> dict[str, Tensor]:
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError):
        raise _broken(path, "its header is not JSON") from None
    if not isinstance(entries, dict):
        raise _broken(path, "its header is no JSON object")
    entries.pop("__metadata__", None)
    found, spans = {}, []
    for name, entry in entries.items():
        tensor, span = _tensor(path, name, entry)
        found[name] = tensor
        spans.append(span)
    at = 0
    for start, end in sorted(spans):
        if start != at:
            raise _broken(path, f"its tensors leave a gap or overlap at byte {at:,}")
        at = end
    if at != data_bytes:
        raise _broken(path, f"its tensors take {at:,} bytes, and it holds {data_bytes:,}")
    return found


def _tensor(path: Path, name: str, entry: Any) -> tuple[Tensor, tuple[int, int]]:
    try:
        dtype, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, start, end))
    except (TypeError, KeyError, ValueError):
        raise _broken(path, f"tensor {shown(name)} is described wrongly") from None
    if not whole or len(shape) > 16 or not isinstance(dtype, str):
        raise _broken(path, f"tensor {shown(name)} is described wrongly")
    if dtype not in _BYTES:
        raise CheckpointError(
            f"{path}: tensor {shown(name)} is of type {shown(dtype)}: weights must be F32, F16 or BF16; "
            "take the model as it was before quantization"
        )
    tensor = Tensor(dtype, shape)
    if tensor.size * _BYTES[dtype] != end - start:
        raise _broken(path, f"tensor {shown(name)} states a shape that its bytes do not fill")
    return tensor, (start, end)


def _broken(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path}: not a whole safetensors file ({what}): copy or save it again")

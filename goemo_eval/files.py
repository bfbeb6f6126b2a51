"""Files: written in one step, hashed, and read with bounds, since what is read may come from anyone."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from goemo_eval.errors import GoemoError

MOST_BYTES = 1 << 30
"""Largest text file that is read whole: records of many cells stay far below it."""
_TEMPORARY = ".goemo-"


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_regular(
    path: Path, *, error: type[GoemoError] = GoemoError, most_bytes: int = MOST_BYTES
) -> bytes:
    """Read a regular file whole.

    Parameters
    ----------
    path : Path
    error : type, default GoemoError
        Raised when the file cannot be read.
    most_bytes : int
        Largest size that is read.

    Raises
    ------
    GoemoError
        If it is missing, unreadable, larger, or no regular file: a pipe or a device never ends.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise error(f"{path}: no regular file: pass a file")
        if found.st_size > most_bytes:
            raise error(f"{path}: {found.st_size:,} bytes: at most {most_bytes:,} are read")
        return path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: cannot read ({problem.strerror})") from None


def read_text(
    path: Path, *, error: type[GoemoError] = GoemoError, most_bytes: int = MOST_BYTES
) -> str:
    """Read a regular UTF-8 file whole, without a byte order mark; see `read_regular`."""
    content = read_regular(path, error=error, most_bytes=most_bytes)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(
            f"{path}: byte 0x{content[problem.start]:02x} at offset {problem.start} is not UTF-8: "
            "save the file as UTF-8"
        ) from None


def read_json(
    path: Path,
    *,
    error: type[GoemoError] = GoemoError,
    most_bytes: int = MOST_BYTES,
    allow_nan: bool = False,
) -> Any:
    """Read a JSON file; a key that stands twice in an object, NaN and infinities are refused.

    Parameters
    ----------
    path, error, most_bytes
        As of `read_regular`.
    allow_nan : bool, default False
        Read NaN and infinities, which Python's own writer makes: for files that others add to.

    Raises
    ------
    GoemoError
        As `read_regular` does, or if the text is no JSON, or nested too deeply.
    """
    text = read_text(path, error=error, most_bytes=most_bytes)
    try:
        constants = float if allow_nan else _no_constant
        return json.loads(text, object_pairs_hook=_once, parse_constant=constants)
    except RecursionError:
        raise error(f"{path}: not JSON of ours (nested too deeply)") from None
    except ValueError as problem:
        raise error(f"{path}: not JSON ({str(problem)[:200]})") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found


def _no_constant(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file in one step: readers see the old content or the new, never half of it.

    What a killed run left beside it is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{path.name}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files that dead processes left in a directory."""
    for left in directory.glob(f"{_TEMPORARY}*"):
        pid = left.name.removeprefix(_TEMPORARY).partition("-")[0]
        if pid.isdigit() and not is_alive(int(pid)):
            left.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Say whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

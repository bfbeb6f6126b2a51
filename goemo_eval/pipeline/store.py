"""The store: results of steps under their keys, complete or absent, verified when they are read.

    store.json                    the store's own schema
    KIND/LABEL-DIGEST/            one result
        key.json                  what decided it
        files.json                name, size and sha256 of every file of it
        content/                  the files
    partial/DIGEST/               the state of an interrupted fine-tuning, which goes on from there
    damaged/...                   what was found altered, set aside by name
    work/RUN/                     what a live run is writing; a dead run's is removed by the next

A result is written aside and renamed, so that a reader sees all of it or nothing. Runs that
want the same key wait for one another. A file's size is compared whenever a result is found, its
sha256 when it is read.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import ValidationError

from goemo_eval.errors import StoreError
from goemo_eval.files import read_json, sha256_of_file
from goemo_eval.pipeline.keys import ConvertKey, Key

SCHEMA_VERSION = 2
_KEY, _FILES, _CONTENT, _SCHEMA = "key.json", "files.json", "content", "store.json"


@dataclass(frozen=True)
class Entry:
    """A result in the store.

    Attributes
    ----------
    content : Path
        Directory of its files.
    sha256 : str
        Of the list of its files: two entries with the same one hold the same bits.
    size_bytes : int
    """

    content: Path
    sha256: str
    size_bytes: int


def default_store() -> Path:
    """Return the user's cache directory for this library."""
    return Path(platformdirs.user_cache_dir("goemo_eval")) / f"store-{SCHEMA_VERSION}"


class Store:
    """Results by key, in a directory that any number of runs share.

    Parameters
    ----------
    root : Path
        Made at the first result.

    Attributes
    ----------
    made : Counter
        By kind, how many results this run had to make.

    Raises
    ------
    StoreError
        If the directory is a store of another schema, or holds something else.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()  # processes of their own may stand elsewhere
        self.made: Counter[str] = Counter()
        self._verified: set[tuple[str, int, int]] = set()
        self._run: Path | None = None
        self._end: weakref.finalize[..., Store] | None = None
        _check_schema(root)

    def get_or(self, key: Key, make: Callable[[Path], None], *, read: bool = True) -> Entry:
        """Return the result under a key, made now if it is not there.

        Parameters
        ----------
        key : Key
        make : callable
            ``directory -> None``: writes the result's files into an empty directory.
        read : bool, default True
            Whether its files are about to be read: their sha256 are compared then.

        Raises
        ------
        StoreError
            If the store cannot be written to.
        GoemoError
            What `make` raises.
        """
        if (found := self._found(key, read=read)) is not None:
            return found
        with self._writing(), self._lock(key.digest):
            # Another run may have made it while this one waited.
            if (found := self._found(key, read=read)) is not None:
                return found
            self._make(key, make)
        made = self._found(key, read=False)
        assert made is not None
        return made

    def find(self, key: Key) -> Entry | None:
        """Return the result under a key if it is there."""
        return self._found(key, read=True)

    def find_artifact(self, digest: str) -> Path | None:
        """Return the directory of the artifact with a key's digest, as a record names it; None if it is not whole."""
        for path in (self.root / ConvertKey.kind).glob(f"*-{digest}"):
            try:
                key = ConvertKey.model_validate(read_json(path / _KEY, error=StoreError))
            except (StoreError, ValidationError):  # whoever makes it again sets it aside
                continue
            if key.digest == digest and (found := self._found(key, read=True)) is not None:
                return found.content
        return None

    @contextmanager
    def partial(self, key: Key) -> Iterator[Path]:
        """Give the directory for the states of a long step, to be used within its `make`.

        It outlives a run that is interrupted, and is removed when the step is done.
        """
        directory = self.root / "partial" / key.digest
        directory.mkdir(parents=True, exist_ok=True)
        yield directory
        shutil.rmtree(directory)

    def directory(self, name: str) -> Path:
        """Return a directory beside the results, for what has no key, such as the database of a search."""
        with self._writing():
            self._work()
            (self.root / name).mkdir(exist_ok=True)
        return self.root / name

    def scratch(self, what: str) -> Path:
        """Return a new directory for this run alone; it goes with the run."""
        with self._writing():
            directory = self._work() / f"{what}-{secrets.token_hex(4)}"
            directory.mkdir()
        return directory

    def close(self) -> None:
        """Remove what this run was writing, which the end of the process does otherwise, and what dead runs left."""
        if self._end is not None:
            self._end()
        _remove_dead(self.root / "work")  # a run that had nothing to write has not done so yet
        self._run = self._end = None

    def _path(self, key: Key) -> Path:
        return self.root / key.kind / key.name

    def _found(self, key: Key, *, read: bool) -> Entry | None:
        path = self._path(key)
        if not path.is_dir():
            return None
        reason = self._damage(path, key, read=read)
        if reason is None:
            files = json.loads((path / _FILES).read_bytes())
            size = sum(entry["bytes"] for entry in files.values())
            return Entry(path / _CONTENT, sha256_of_file(path / _FILES), size)
        with self._writing():
            self._set_aside(path, reason)
        return None

    def _damage(self, path: Path, key: Key, *, read: bool) -> str | None:
        """Say what is wrong with a result; None if it is whole."""
        try:
            held = read_json(path / _KEY, error=StoreError)
            if held != key.model_dump(mode="json"):
                return f"{_KEY} is another result's"
            files = read_json(path / _FILES, error=StoreError)
            names = {p.relative_to(path / _CONTENT).as_posix() for p in _files(path / _CONTENT)}
            if names != files.keys():
                return f"holds other files than {_FILES} lists: {min(names ^ files.keys())}"
            for name, stated in files.items():
                file = path / _CONTENT / name
                if file.stat().st_size != stated["bytes"]:
                    return f"{name} has another size than when it was written"
                if read and not self._is_verified(file, stated["sha256"]):
                    return f"{name} was altered since it was written"
        except (StoreError, OSError, TypeError, KeyError, AttributeError) as error:
            return str(error)
        return None

    def _is_verified(self, file: Path, sha256: str) -> bool:
        stat = file.stat()
        mark = (str(file), stat.st_size, stat.st_mtime_ns)
        if mark not in self._verified:
            if sha256_of_file(file) != sha256:
                return False
            self._verified.add(mark)
        return True

    def _set_aside(self, path: Path, reason: str) -> None:
        aside = self.root / "damaged" / f"{path.name}-{secrets.token_hex(4)}"
        aside.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # another run was quicker
            path.rename(aside)
            (aside / "reason.txt").write_text(reason + "\n", encoding="utf-8")

    def _make(self, key: Key, make: Callable[[Path], None]) -> None:
        building = self._work() / f"{key.kind}-{secrets.token_hex(4)}"
        (building / _CONTENT).mkdir(parents=True)
        try:
            make(building / _CONTENT)
            files = {
                file.relative_to(building / _CONTENT).as_posix(): {
                    "bytes": file.stat().st_size,
                    "sha256": sha256_of_file(file),
                }
                for file in _files(building / _CONTENT)
            }
            _write_json(building / _KEY, key.model_dump(mode="json"))
            _write_json(building / _FILES, files)
            self._path(key).parent.mkdir(parents=True, exist_ok=True)
            building.rename(self._path(key))
        finally:
            shutil.rmtree(building, ignore_errors=True)
        self.made[key.kind] += 1

    def _work(self) -> Path:
        """Return this run's directory; the first call removes those of dead runs."""
        if self._run is None:
            work = self.root / "work"
            work.mkdir(parents=True, exist_ok=True)
            if not (self.root / _SCHEMA).exists():
                _write_json(self.root / _SCHEMA, {"schema_version": SCHEMA_VERSION})
            _remove_dead(work)
            self._run = work / f"{os.getpid()}-{secrets.token_hex(4)}"
            lock = self._run.with_name(f"{self._run.name}.lock")
            self._end = weakref.finalize(self, _end_run, self._run, lock, _locked(lock))
            self._run.mkdir()
        return self._run

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Hold the lock of a key; it is released with the process, however that ends."""
        self._work()
        path = self.root / "work" / f"key-{name}.lock"
        held = _locked(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(held)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what the disk refuses into one line."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(
                    f"store {self.root}: the disk is full: make room, or pass another --store"
                ) from None
            if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR):
                raise StoreError(
                    f"store {self.root}: cannot be written to ({error.strerror}): pass another --store"
                ) from None
            raise


def _check_schema(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise StoreError(f"store {root}: no directory: pass another --store")
    try:
        there = {path.name for path in root.iterdir()} if root.exists() else set()
    except OSError as error:
        raise StoreError(f"store {root}: cannot be read ({error.strerror})") from None
    if not there - {"work"}:
        return
    if _SCHEMA not in there:
        raise StoreError(
            f"store {root}: holds something else ({min(there)}): pass an empty or a new --store"
        )
    entry = read_json(root / _SCHEMA, error=StoreError)
    version = entry.get("schema_version") if isinstance(entry, dict) else None
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"store {root}: schema_version {version!r}: this goemo_eval reads {SCHEMA_VERSION}: pass "
            "another --store, or delete this one"
        )


def _locked(path: Path) -> int:
    """Return the descriptor of a lock file, held; wait for whoever holds it."""
    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(held, fcntl.LOCK_EX)
        # The one who held it before may have removed the file that was waited for.
        with suppress(FileNotFoundError):
            if os.fstat(held).st_ino == path.stat().st_ino:
                return held
        os.close(held)


def _end_run(directory: Path, lock: Path, held: int) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):
        lock.unlink(missing_ok=True)
    os.close(held)


def _remove_dead(work: Path) -> None:
    """Remove the directories of runs that hold their lock no longer, and locks that nobody holds."""
    for path in work.glob("*.lock"):
        try:
            with path.open("r+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink(missing_ok=True)
        except OSError:  # it is held, or another run has just removed it
            continue


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if not path.is_dir())


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")

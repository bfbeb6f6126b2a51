"""What a store holds, and the removal of what no run will ask for."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from goemo_eval.pipeline.keys import (
    ConvertKey,
    DecideKey,
    FitKey,
    PredictKey,
    ProbeKey,
    RepairKey,
    TeachKey,
)
from goemo_eval.pipeline.store import Store

KINDS = {
    FitKey.kind: "fine-tuned encoders and fitted floors",
    TeachKey.kind: "outputs of teachers on training texts",
    ConvertKey.kind: "what an engine runs",
    PredictKey.kind: "outputs on validation and test",
    RepairKey.kind: "which layers INT8 keeps in FP32",
    DecideKey.kind: "thresholds and scores",
    ProbeKey.kind: "how long each engine takes here, for --engines auto",
    "tune": "searches for a recipe",
    "partial": "states of interrupted fine-tunings, which go on from there",
    "damaged": "results that were found altered, set aside",
}
PARTIAL, DAMAGED = "partial", "damaged"


@dataclass(frozen=True)
class Shelf:
    """Results of one kind.

    Attributes
    ----------
    kind : str
    meaning : str
    count : int
    size_bytes : int
    """

    kind: str
    meaning: str
    count: int
    size_bytes: int


def shelves(root: Path) -> list[Shelf]:
    """Return what a store holds, kind by kind.

    Raises
    ------
    StoreError
        If the directory is a store of another schema, or holds something else.
    """
    Store(root)
    found = []
    for kind, meaning in KINDS.items():
        entries = sorted((root / kind).glob("*"))
        found.append(Shelf(kind, meaning, len(entries), sum(map(_size, entries))))
    return found


def clean(root: Path) -> list[Shelf]:
    """Remove what was set aside as damaged and the states of interrupted fine-tunings; return what went.

    What dead runs were writing goes, too. A state that a live run is writing stays, and so does every result.

    Raises
    ------
    StoreError
        As `shelves` does, or if the store cannot be written to.
    """
    before = {shelf.kind: shelf for shelf in shelves(root)}
    if not root.exists():
        return []
    store = Store(root)
    store.scratch("clean")  # the first thing that a run writes removes what dead ones left
    for path in (root / DAMAGED).glob("*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in (root / PARTIAL).glob("*"):
        with _unless_held(root / "work" / f"key-{path.name}.lock") as free:
            if free:
                shutil.rmtree(path, ignore_errors=True)
    store.close()
    after = {shelf.kind: shelf for shelf in shelves(root)}
    return [
        Shelf(
            kind,
            KINDS[kind],
            before[kind].count - after[kind].count,
            before[kind].size_bytes - after[kind].size_bytes,
        )
        for kind in (DAMAGED, PARTIAL)
    ]


@contextmanager
def _unless_held(lock: Path) -> Iterator[bool]:
    """Hold a key's lock if nobody else does; say whether it is held."""
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it may have removed the file since, and another may hold a new one.
        free = os.fstat(held).st_ino == lock.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        free = False
    try:
        yield free
    finally:
        if free:
            lock.unlink(missing_ok=True)
        os.close(held)


def _size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_file())

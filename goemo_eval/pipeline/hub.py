"""Encoders of a run that are named by their place on the hub, as names with weights that were brought."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from goemo_eval.errors import OptionError
from goemo_eval.models.encoders import check_encoder_name, encoder_at, encoder_names
from goemo_eval.models.hub import PREFIX, HubEncoder, HubError, read_hub, snapshot
from goemo_eval.options import Options


def with_hub_encoders(options: Options) -> Options:
    """Return options in which ``hub:OWNER/NAME@COMMIT`` is a name, as if `--weights` had brought it.

    The name is the repository's; a registered encoder at its registered commit keeps its own.

    Raises
    ------
    CheckpointError
        If one is malformed, or is not registered and out of reach: no architecture is known then.
    OptionError
        If two encoders would have one name.
    """
    if not any(name.startswith(PREFIX) for name in options.encoders):
        return options
    weights: dict[str, Path] = dict(options.weights)
    names: list[str] = []
    places: dict[str, HubEncoder] = {}
    for name in options.encoders:
        if not name.startswith(PREFIX):
            names.append(name)
            continue
        asked = read_hub(name)
        registered = encoder_at(asked.hub_id, asked.revision)
        if registered is not None:
            names.append(f"{registered.name}{asked.suffix}")
            continue
        check_encoder_name(f"{asked.name}{asked.suffix}")
        _check_free(asked, options, places)
        places[asked.name] = asked
        names.append(f"{asked.name}{asked.suffix}")
    weights |= {name: _directory(place) for name, place in places.items()}
    return options.model_copy(update={"encoders": tuple(dict.fromkeys(names)), "weights": weights})


def _check_free(asked: HubEncoder, options: Options, places: Mapping[str, HubEncoder]) -> None:
    """Refuse a name that something else of the run has."""
    if (holder := _holder(asked, options, places)) is not None:
        raise OptionError(
            f"hub:{asked.hub_id}@{asked.revision[:12]}: its name in cell ids, {asked.name}, is taken by {holder}: "
            "download it, and pass --weights with a name of your own"
        )


def _holder(asked: HubEncoder, options: Options, places: Mapping[str, HubEncoder]) -> str | None:
    """Return what has an encoder's name already, if anything has."""
    if asked.name in encoder_names():
        return "a registered encoder"
    if asked.name in options.encoder_tables:
        return "a table of the run file"
    if asked.name in options.weights:
        return "--weights"
    if any(asked.name == pair.partition("-")[0] for pair in options.checkpoint):
        return "--checkpoint"
    other = places.get(asked.name, asked)
    if (other.hub_id, other.revision) == (asked.hub_id, asked.revision):
        return None
    return f"hub:{other.hub_id}@{other.revision[:12]}"


def _directory(place: HubEncoder) -> Path:
    try:
        return snapshot(place.hub_id, place.revision)
    except HubError as error:
        raise HubError(
            f"hub:{place.hub_id}@{place.revision[:12]}: {error}, and it is not registered, so that its "
            f"architecture is not known: connect to the hub, or pass --weights {place.name}=DIR"
        ) from None

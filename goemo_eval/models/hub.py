"""The hub: encoders by their id and commit, from the client's cache or its server."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from goemo_eval.data.words import shown
from goemo_eval.errors import CheckpointError
from goemo_eval.models.directory import CONFIG, INDEX, TOKENIZER_PATTERNS, WEIGHTS

PREFIX = "hub:"
_SPEC = re.compile(
    r"hub:([A-Za-z0-9_.-]+/([A-Za-z0-9_.-]+))@([0-9a-f]{40})((?:@[0-9.]+)?(?:\+[a-z]+)?)"
)
_SHARDS = "model-*.safetensors"


class HubError(CheckpointError):
    """The hub has no such weights, or cannot be asked."""


class HubEncoder(NamedTuple):
    """An encoder by its place on the hub."""

    hub_id: str
    revision: str
    """A commit."""
    name: str
    """The repository's name, as cell ids take it."""
    suffix: str
    """What follows the name: the layers that are taken, as in ``@3``, and what stands beside it."""


def read_hub(text: str) -> HubEncoder:
    """Read ``hub:OWNER/NAME@COMMIT``, after which what may follow any encoder's name may follow, as ``@3``.

    Raises
    ------
    CheckpointError
        If it is another text: a branch or a tag would be another model tomorrow.

    Examples
    --------
    >>> read_hub("hub:BAAI/bge-small-en-v1.5@" + 40 * "0" + "@3")[2:]
    ('bge_small_en_v1_5', '@3')
    """
    found = _SPEC.fullmatch(text)
    if found is None:
        raise CheckpointError(
            f"encoder {shown(text)}: expected hub:OWNER/NAME@COMMIT with all 40 hexadecimal digits of a "
            "commit, and after it, if only some layers are to be taken, an @ and these, as in @3"
        )
    hub_id, repository, revision, suffix = found.groups()
    return HubEncoder(hub_id, revision, _name(repository), suffix)


def _name(repository: str) -> str:
    """Return a repository's name as cell ids take it: lower case, with underscores for what else it has."""
    return re.sub(r"[^a-z0-9]", "_", repository.lower())


def snapshot(hub_id: str, revision: str) -> Path:
    """Return the directory of an encoder's config, weights and tokenizer at a commit.

    What the client's cache holds is not downloaded again; without a connection, the cache alone is asked.

    Raises
    ------
    HubError
        Saying why there are none.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        path = Path(
            snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=[WEIGHTS, INDEX, _SHARDS, CONFIG, *TOKENIZER_PATTERNS],
                local_files_only=not _reachable(),
            )
        )
    except LocalEntryNotFoundError:
        raise HubError("the hub is out of reach and its cache has no copy") from None
    except (HfHubHTTPError, OSError) as error:
        raise HubError(f"the hub answered {type(error).__name__}") from None
    if not (path / WEIGHTS).is_file() and not (path / INDEX).is_file():
        raise HubError(f"{hub_id} has no {WEIGHTS} at {revision[:12]}, and no other file is loaded")
    return path


@cache
def _reachable() -> bool:
    """Ask the hub once, without the retries that a download makes."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # whatever the HTTP client raises: the hub cannot be asked
        return False
    return True

"""Encoders by their place on the hub, whose client's cache is laid out as a download leaves it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.errors import CheckpointError
from goemo_eval.frozen import ENCODER_NAME
from goemo_eval.models.encoders import encoder_at, get_encoder
from goemo_eval.models.hub import HubError, read_hub, snapshot
from goemo_eval.models.weights import find_weights

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Lay = Callable[[str, str, Path], Path]

parts = st.text("ABCxyz019._-", min_size=1, max_size=40)


@given(parts, parts, st.sampled_from(["", "@3", "@0.2.5"]))
def test_every_place_has_a_name_that_can_stand_in_a_cell_id(
    owner: str, repository: str, layers: str
) -> None:
    found = read_hub(f"hub:{owner}/{repository}@{COMMIT}{layers}")
    assert (found.hub_id, found.revision) == (f"{owner}/{repository}", COMMIT)
    assert found.suffix == layers
    assert re.fullmatch(ENCODER_NAME, found.name + layers)


@pytest.mark.parametrize(
    "text",
    [
        "hub:",
        "hub:bert",
        "hub:me/bert",
        "hub:me/bert@",
        "hub:me/bert@main",
        "hub:me/bert@3",
        f"hub:me/bert@{COMMIT[:12]}",
        f"hub:me/bert@{COMMIT.upper()}",
        f"hub:me/bert@3@{COMMIT}",
        f"hub:me/bert@{COMMIT}@",
        f"hub:me/bert@{COMMIT}@x",
        f"hub:me/../bert@{COMMIT}",
        f"hub:me/bert@{COMMIT}\n",
    ],
)
def test_a_branch_or_half_a_commit_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError, match="all 40 hexadecimal digits") as raised:
        read_hub(text)
    assert str(raised.value).isprintable()


def test_a_snapshot_comes_from_the_cache_when_there_is_no_connection(
    on_hub: Lay, weights_dir: Callable[..., Path]
) -> None:
    brought = weights_dir(head=False)
    laid = on_hub("me/Tiny", COMMIT, brought)
    assert snapshot("me/Tiny", COMMIT) == laid
    for hub_id, commit in (("me/Tiny", "f" * 40), ("me/Other", COMMIT)):
        with pytest.raises(HubError, match="out of reach and its cache has no copy"):
            snapshot(hub_id, commit)


def test_a_registered_encoder_is_read_from_the_cache_at_its_commit(
    on_hub: Lay, weights_dir: Callable[..., Path]
) -> None:
    albert = get_encoder("albert")
    assert encoder_at(str(albert.hub_id), str(albert.revision)) == albert
    assert encoder_at(str(albert.hub_id), COMMIT) is None
    brought = weights_dir()
    laid = on_hub(str(albert.hub_id), str(albert.revision), brought)
    weights = find_weights(albert)
    assert (weights.kind, weights.origin, weights.path) == ("pretrained", "hub", laid)
    # The same files make the same weights, wherever they were found.
    assert weights.sha256 == find_weights(get_encoder("mine", brought), brought).sha256


def test_shards_are_weights_and_a_pickle_is_none(
    on_hub: Lay, weights_dir: Callable[..., Path], shard: Callable[[Path], None]
) -> None:
    directory = weights_dir(head=False)
    shard(directory)
    assert (on_hub("me/shards", COMMIT, directory) / "model.safetensors.index.json").is_file()
    assert find_weights(get_encoder("mine", directory), snapshot("me/shards", COMMIT)).sha256
    for file in directory.glob("model*"):
        file.unlink()
    (directory / "pytorch_model.bin").write_bytes(b"pickle")
    mini = get_encoder("bert_mini")
    on_hub(str(mini.hub_id), str(mini.revision), directory)
    weights = find_weights(mini)
    assert weights.kind == "random"
    assert "has no model.safetensors at 387825ce42db" in str(weights.reason)

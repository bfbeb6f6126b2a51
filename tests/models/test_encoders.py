"""The encoder registry: what is published, what packages and run files bring, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from goemo_eval.data.goemotions import EMOTIONS
from goemo_eval.errors import CheckpointError
from goemo_eval.models import encoders
from goemo_eval.models.encoders import (
    Encoder,
    default_encoders,
    encoder_names,
    get_encoder,
    read_encoders,
)
from goemo_eval.models.weights import (
    Weights,
    build_model,
)

RANDOM = Weights("random", "random", reason="test")


def refused(do: Callable[[], object]) -> str:
    with pytest.raises(CheckpointError) as raised:
        do()
    assert str(raised.value).isprintable()
    return str(raised.value)


# With a head of 28 labels; the encoders themselves are published as 11.2, 33.4, 22 + 49 (a table of
# 128,100 rows), 16.8, 30, 149 and 32.3 million.
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("albert", 11.71),
        ("bert_mini", 11.18),
        ("bge_small", 33.37),
        ("deberta_xsmall", 70.84),
        ("distilbert", 66.98),
        ("ettin_17m", 16.87),
        ("minilm", 22.72),
        ("minilm_roberta", 30.31),
        ("mobilebert", 24.60),
        ("modernbert", 149.63),
        ("potion_32m", 32.32),
    ],
)
def test_published_parameter_counts(name: str, millions: float) -> None:
    with torch.device("meta"):
        model = build_model(get_encoder(name), RANDOM, EMOTIONS, kind="multilabel")
    assert round(model.num_parameters() / 1e6, 2) == millions


def test_registry_pins_every_revision() -> None:
    places = [get_encoder(name) for name in encoder_names()]
    pinned = [encoder for encoder in places if encoder.hub_id is not None]
    assert all(len(str(encoder.revision)) == 40 for encoder in pinned)
    assert len({encoder.revision for encoder in pinned}) == len(pinned) == len(places) - 1


def test_a_run_that_names_none_measures_the_studys_four_and_the_floor() -> None:
    assert default_encoders() == ("albert", "distilbert", "minilm", "mobilebert", "tfidf")


def test_unknown_encoder_lists_the_known() -> None:
    with pytest.raises(CheckpointError, match="unknown encoder 'bart': known are albert, bert_m"):
        get_encoder("bart")


@pytest.mark.parametrize(
    "name", ["../../x", "A B", "", "My-Model", "a" * 65, "é", "a\n", "\x1b[2J", "a/b", "A"]
)
def test_names_that_cannot_stand_in_an_id(name: str, tmp_path: Path) -> None:
    for weights in (None, tmp_path, tmp_path / "nowhere"):
        assert "expected 1 to 64 lower-case letters" in refused(
            lambda w=weights: get_encoder(name, w)
        )


TABLE: dict[str, Any] = {"model_type": "bert", "hub_id": "owner/name", "revision": "0" * 40}


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Any], None]]:
    """Pretend that an installed package brings an encoder."""

    def bring(name: str, table: Any) -> None:
        def load() -> Any:
            if isinstance(table, Exception):
                raise table
            return table

        brought = SimpleNamespace(name=name, value="theirs:TABLE", load=load)
        monkeypatch.setattr(encoders.metadata, "entry_points", lambda group: [brought])
        encoders._registry.cache_clear()

    yield bring
    monkeypatch.undo()
    encoders._registry.cache_clear()


def test_encoders_of_installed_packages(point: Callable[[str, Any], None]) -> None:
    point("theirs", TABLE)
    assert get_encoder("theirs") == Encoder(name="theirs", **TABLE)
    assert encoder_names()[-1] == "theirs"


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("minilm", TABLE, "encoder 'minilm' of theirs:TABLE: the name is taken: rename"),
        ("theirs", 3, "must be a mapping with 'model_type': got 3"),
        ("theirs", {}, "model_type: Field required"),
        ("A B", TABLE, "name: String should match pattern"),
        ("theirs", TABLE | {"x": 1}, "x: Extra inputs are not permitted"),
        ("theirs", TABLE | {"revision": "main"}, "revision: String should match pattern"),
        ("theirs", TABLE | {"revision": None}, "hub_id and revision go together"),
        ("theirs", ImportError("gone"), "cannot be loaded (ImportError: gone): install its"),
    ],
)
def test_packages_that_bring_something_else(
    point: Callable[[str, Any], None], name: str, table: Any, message: str
) -> None:
    point(name, table)
    assert message in refused(encoder_names)


SMALL = {"hidden_size": 16, "num_attention_heads": 2}


def test_encoders_of_a_run_file() -> None:
    own = read_encoders({"mine": TABLE, "small": {"model_type": "bert", "config": SMALL}})
    assert get_encoder("mine", own=own) == Encoder(name="mine", **TABLE)
    assert get_encoder("small@1", own=own).name == "small@1"
    assert default_encoders(own) == default_encoders()
    asked = read_encoders({"mine": TABLE | {"default": True}})
    assert default_encoders(asked) == (*default_encoders(), "mine")
    assert "known are albert, " in refused(lambda: get_encoder("other", own=own))
    assert ", mine, " in refused(lambda: get_encoder("other", own=own))


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("minilm", TABLE, "[encoders.minilm]: an encoder of this name is registered"),
        ("mine", 3, "[encoders.mine]: expected the lines model_type, hub_id"),
        ("mine", {}, "[encoders.mine]: model_type: Field required"),
        ("mine", TABLE | {"name": "other"}, "[encoders.mine]: expected the lines model_type"),
        ("A B", TABLE, "[encoders.A B]: name: String should match pattern"),
        ("\x1b[2J", TABLE, "[encoders.\\x1b[2J]: name: String should match pattern"),
        ("", TABLE, "[encoders.]: name: String should match pattern"),
        ("mine@3", TABLE, "[encoders.mine@3]: an @ says which layers"),
        ("mine", TABLE | {"layers": 3}, "[encoders.mine]: layers: Extra inputs are not permitted"),
        ("mine", TABLE | {"revision": "main"}, "revision: String should match pattern"),
        ("mine", TABLE | {"hub_id": "../../etc/x"}, "hub_id: String should match pattern"),
        ("mine", TABLE | {"config": 3}, "config: Input should be a valid dictionary"),
        ("mine", TABLE | {"default": "perhaps"}, "default: Input should be a valid boolean"),
        ("mine", {"model_type": "bert", "package": "x"}, "package and sha256 go together"),
        ("mine", {"model_type": "../x", "config": SMALL}, "model_type: String should match"),
        ("mine", {"model_type": "linear", "config": SMALL}, "the floor's, which is called tfidf"),
        ("mine", {"model_type": "bert"}, "neither hub_id, package nor config"),
    ],
)
def test_tables_of_a_run_file_that_are_none(name: str, table: Any, message: str) -> None:
    assert message in refused(lambda: read_encoders({name: table}))

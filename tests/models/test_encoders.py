from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goemo_eval.data.labels import EMOTIONS
from goemo_eval.data.schemes import get_scheme
from goemo_eval.engines.registry import load_classifier
from goemo_eval.errors import CheckpointError
from goemo_eval.models import encoders
from goemo_eval.models.encoders import (
    Weights,
    build_model,
    encoder_names,
    find_weights,
    get_encoder,
    hub_weights,
    package_weights,
)
from goemo_eval.models.writing import write_untrained

RANDOM = Weights("random", "random", reason="test")


@pytest.mark.parametrize(
    ("name", "millions"),
    [("albert", 11.71), ("distilbert", 66.98), ("minilm", 22.72), ("mobilebert", 24.60)],
)
def test_published_parameter_counts(name: str, millions: float) -> None:
    model = build_model(get_encoder(name), RANDOM, EMOTIONS, kind="multilabel")
    assert round(model.num_parameters() / 1e6, 2) == millions


def test_registry_pins_every_revision() -> None:
    for name in encoder_names():
        encoder = get_encoder(name)
        assert encoder.revision is not None
        assert len(encoder.revision) == 40


def test_unknown_encoder_lists_the_known() -> None:
    with pytest.raises(
        CheckpointError,
        match="unknown encoder 'bart': known are albert, distilbert, minilm, mobilebert",
    ):
        get_encoder("bart")


def test_minilm_comes_from_the_package_and_is_verified(minilm_weights: Weights) -> None:
    assert minilm_weights.origin == "package"
    assert minilm_weights.sha256 == get_encoder("minilm").sha256


def test_altered_package_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "sha256_of_file", lambda path: "0" * 64)
    with pytest.raises(CheckpointError, match="is not the published 53aa51172d14: reinstall"):
        package_weights(get_encoder("minilm"))


def test_weights_of_ones_own(tiny_weights_dir: Path) -> None:
    encoder = get_encoder("mine", tiny_weights_dir)
    assert encoder.model_type == "bert"
    weights = find_weights(encoder, tiny_weights_dir)
    assert (weights.kind, weights.origin) == ("pretrained", "directory")
    with pytest.raises(CheckpointError, match="must be lower-case letters"):
        get_encoder("My-Model", tiny_weights_dir)


def test_directory_without_weights(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model.safetensors: no such file"):
        find_weights(get_encoder("minilm"), tmp_path)


def test_hub_out_of_reach_says_why() -> None:
    weights = hub_weights(get_encoder("albert"))
    assert weights.kind == "random"
    assert "out of reach" in str(weights.reason)


def test_hub_cache_is_used_offline(
    tmp_path: Path, tiny_weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is laid out as the hub's client does, at the pinned revision."""
    albert = get_encoder("albert")
    repo = tmp_path / f"models--{str(albert.hub_id).replace('/', '--')}"
    snapshot = repo / "snapshots" / str(albert.revision)
    snapshot.mkdir(parents=True)
    for file in tiny_weights_dir.iterdir():
        (snapshot / file.name).symlink_to(file)
    from huggingface_hub import constants, snapshot_download

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda *args, **options: snapshot_download(*args, cache_dir=tmp_path, **options),
    )
    weights = find_weights(albert)
    assert (weights.kind, weights.origin) == ("pretrained", "hub")
    assert weights.path == snapshot
    (snapshot / "model.safetensors").unlink()
    assert "has no model.safetensors" in str(find_weights(albert).reason)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_random_architecture_runs_with_the_stand_in_tokenizer(
    tmp_path: Path, precision: str
) -> None:
    """ALBERT's vocabulary is smaller than the stand-in's: ids are folded into it."""
    checkpoint = write_untrained(
        get_encoder("albert"), get_scheme("raw"), weights=RANDOM, out=tmp_path / "a", max_length=32
    )
    assert checkpoint.weights == "random"
    classifier = load_classifier(checkpoint, precision=precision)
    texts = ["the zygote ##", "plain words", "naïve façade 日本"]
    assert max(ids.max() for ids in classifier.encode(texts)) < 30_000
    assert np.isfinite(classifier.logits(texts)).all()

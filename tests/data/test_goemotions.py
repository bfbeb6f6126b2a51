"""GoEmotions and the sample: the rows, the hashes and the targets that they always had."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.data.dataset import Dataset
from goemo_eval.data.goemotions import EMOTIONS, NEUTRAL, PUBLISHED_SHA256
from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.data.task import task_of

SAMPLE_SHA256 = {
    "train": "1cfa40ced98ea39092a08f5239ee011a523213eb8530f181d56bcda7b7072f4c",
    "validation": "9b49eccfd2f20c6ccced1778dae22b98d60ffb3118296a91927ca41d7d1db3af",
    "test": "f12ae4273bf7f355af80a804e6717591774f6e3ef1befcdb44a81e2a1b38f105",
}
# Of the targets of all splits in their order, as the first edition made them.
TARGETS = {
    ("sample", "raw", "frequent"): "15a2bce57502bd5b",
    ("sample", "simplified", "frequent"): "d0a160814f0110e4",
    ("sample", "simplified", "rare"): "8702ebf6488cd837",
    ("sample", "simplified", "first"): "6646830d4c0f49e6",
    ("sample", "simplified", "only"): "1f29968ee19cfda3",
    ("sample", "ekman", "frequent"): "6448665905974053",
    ("sample", "sentiment", "frequent"): "5d44b9e58ef45480",
    ("goemotions", "raw", "frequent"): "a84b2865f7dc6988",
    ("goemotions", "simplified", "frequent"): "6680cbc313250162",
    ("goemotions", "simplified", "rare"): "17f2a490a490011c",
    ("goemotions", "simplified", "first"): "e3e33bfeed6c7530",
    ("goemotions", "simplified", "only"): "02d85bf23253ae54",
    ("goemotions", "ekman", "frequent"): "6d7c96cddc4d6373",
    ("goemotions", "sentiment", "frequent"): "c5c2629ac5d4f647",
}


@pytest.fixture(scope="module")
def bundled() -> Dataset:
    return load_dataset("sample")


@pytest.fixture(scope="module")
def published(goemotions_dir: Path) -> Dataset:
    return load_dataset(goemotions_dir)


def sha256_of(dataset: Dataset) -> dict[str, str]:
    return {name: split.sha256 for name, split in dataset.splits.items()}


def check_targets(dataset: Dataset, name: str) -> None:
    for (source, scheme, rule), expected in TARGETS.items():
        if source != name:
            continue
        targets = task_of(
            dataset,
            get_scheme(scheme, dataset.labels, dominance=rule, fallback=dataset.fallback),
        ).targets
        digest = hashlib.sha256()
        for split in ("train", "validation", "test"):
            digest.update(np.ascontiguousarray(targets[split]).tobytes())
        assert digest.hexdigest()[:16] == expected, (scheme, rule)


def test_published_order(goemotions_dir: Path) -> None:
    names = (goemotions_dir / "labels.txt").read_text(encoding="utf-8").split()
    assert list(EMOTIONS) == names
    assert list(EMOTIONS[:-1]) == sorted(EMOTIONS[:-1])
    assert EMOTIONS[-1] == NEUTRAL


def test_the_sample_is_what_it_was(bundled: Dataset) -> None:
    assert sha256_of(bundled) == SAMPLE_SHA256
    assert (bundled.name, bundled.source, bundled.revision) == ("sample", "sample", None)
    assert bundled.labels == EMOTIONS
    assert bundled.fallback == NEUTRAL
    assert not bundled.single_label
    assert bundled.notes.lines() == ()
    check_targets(bundled, "sample")


def test_the_data_set_is_what_it_was(published: Dataset) -> None:
    assert sha256_of(published) == PUBLISHED_SHA256
    sizes = {name: len(split) for name, split in published.splits.items()}
    assert sizes == {"train": 43_410, "validation": 5_426, "test": 5_427}
    assert (published.name, published.source) == ("goemotions", "published")
    assert published.fallback == NEUTRAL
    several = published.splits["test"].labels.sum(axis=1) > 1
    assert round(float(several.mean()), 3) == 0.154
    check_targets(published, "goemotions")


def test_texts_in_several_splits_are_counted(published: Dataset) -> None:
    notes = published.notes
    assert notes.shared == {
        "validation in train": 43,
        "test in train": 37,
        "test in validation": 13,
    }
    assert notes.duplicates == {"train": 183, "validation": 3, "test": 6}
    assert set(notes.empty.values()) == set(notes.unlabelled.values()) == {0}
    assert notes.assumed == ()
    assert "test: 37 rows whose text stands in train, too" in notes.lines()


def test_shared_texts_leave_train(published: Dataset, goemotions_dir: Path) -> None:
    dropped = load_dataset(goemotions_dir, drop_shared=True, name="apart")
    assert dropped.name == "apart"
    kept = set(dropped.splits["train"].texts)
    for name in ("validation", "test"):
        assert dropped.splits[name].sha256 == published.splits[name].sha256
        assert not kept & set(dropped.splits[name].texts)
    left_out = len(published.splits["train"]) - len(dropped.splits["train"])
    assert dropped.notes.dropped == left_out >= 41 + 32 - 13
    assert dropped.notes.shared == {
        "validation in train": 0,
        "test in train": 0,
        "test in validation": 13,
    }
    assert dropped.splits["train"].sha256 != published.splits["train"].sha256

from __future__ import annotations

from pathlib import Path

from goemo_eval.data.labels import EMOTIONS, NEUTRAL


def test_published_order(goemotions_dir: Path) -> None:
    published = (goemotions_dir / "labels.txt").read_text(encoding="utf-8").split()
    assert list(EMOTIONS) == published


def test_neutral_is_last() -> None:
    assert len(EMOTIONS) == 28
    assert NEUTRAL == 27
    assert list(EMOTIONS[:-1]) == sorted(EMOTIONS[:-1])

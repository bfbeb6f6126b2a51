"""GoEmotions as it is published: its 28 labels in their order, its groupings, its splits' hashes.

Demszky et al., "GoEmotions: A Dataset of Fine-Grained Emotions", ACL 2020
(arXiv 2005.00547). The position of a name is its id in the published files.
"""

from __future__ import annotations

from collections.abc import Sequence

EMOTIONS: tuple[str, ...] = (
    "admiration",
    "amusement",
    "anger",
    "annoyance",
    "approval",
    "caring",
    "confusion",
    "curiosity",
    "desire",
    "disappointment",
    "disapproval",
    "disgust",
    "embarrassment",
    "excitement",
    "fear",
    "gratitude",
    "grief",
    "joy",
    "love",
    "nervousness",
    "optimism",
    "pride",
    "realization",
    "relief",
    "remorse",
    "sadness",
    "surprise",
    "neutral",
)

NEUTRAL = "neutral"
"""The label that gives way to every other."""

RATER_COLUMNS = ("text", "id", "rater_id")
"""Of the release's rater files, beside a 0/1 column for each of `EMOTIONS`."""
AGREEING_RATERS = 2
"""A label is kept when so many raters chose it, as in the published aggregation."""

PUBLISHED_SHA256 = {
    "train": "1c254a142be5c00e80d819b9ae1bbd36d94b2eeb8f4b1271846508d57e57d9c5",
    "validation": "575489c079c9de1097062a01738f998590d6b7ead66dd1c9fd1d2ba01fd8bc62",
    "test": "0587b2dd8b27b97352adbfc3fb083d46005c8946657fdc2b1ca8b1cc7f1f8be4",
}


def is_goemotions(labels: Sequence[str]) -> bool:
    """Say whether labels are GoEmotions' 28, in their order."""
    return tuple(labels) == EMOTIONS

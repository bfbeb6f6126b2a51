"""The 28 GoEmotions labels, in the order in which the data set publishes them.

Demszky et al., "GoEmotions: A Dataset of Fine-Grained Emotions", ACL 2020
(arXiv 2005.00547). The position of a name is its id in the published files.
"""

from __future__ import annotations

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

NEUTRAL = EMOTIONS.index("neutral")

"""What the study's figures share."""

from __future__ import annotations

from typing import Any

from goemo_eval.report.figures.drawing import BLACK, point

VALIDATION = 0.45  # opacity of a bar of the validation split, and of FP32 beside INT8
SCHEMES = ("raw", "simplified")
Point = tuple[float, float]


def study_key(marker: str) -> Any:
    """Return the legend's marker of a published value."""
    return point("study", marker, BLACK, hollow=True)

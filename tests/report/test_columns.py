"""Columns that several tables have."""

from __future__ import annotations

import pytest

from goemo_eval.report.sections.columns import gain_column, gain_text
from goemo_eval.report.seed_gains import SeedGain


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.004, 0.046, "+0.004 to +0.046"),
        (-0.002, 0.02, "-0.002 to +0.020 (chance)"),
        (0.0, 0.02, "+0.000 to +0.020 (chance)"),
        (-0.03, -0.004, "-0.030 to -0.004 (below)"),
    ],
)
def test_a_loss_beyond_chance_is_not_called_chance(low: float, high: float, said: str) -> None:
    assert gain_text(SeedGain((low + high) / 2, low, high)) == said


def test_no_gain_is_a_dash() -> None:
    assert gain_text(None) == "—"


def test_a_single_seed_is_marked_among_several() -> None:
    anew = {"a": SeedGain(0.1, 0.05, 0.15)}
    assert gain_column("gain", "what", ["a", "b"], shown={}, anew=anew).cells == [
        "+0.050 to +0.150",
        "—",
    ]
    alone = gain_column("gain", "what", ["a", "b"], shown={}, anew={})
    assert (alone.means, alone.cells) == ("what", ["—", "—"])

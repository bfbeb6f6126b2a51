"""What the ticket classifier promises: pytest --goemo asks it of every cell of goemo.toml."""

from __future__ import annotations

import pytest


def test_it_keeps_its_budgets(goemo_cell, goemo):
    """Score and size; what INT8 may lose."""
    goemo.measure(goemo_cell)
    assert not goemo.over_budget(goemo_cell)


def test_it_lost_nothing(goemo_cell, goemo):
    """Against the scores that were committed."""
    verdict = goemo.gate(goemo_cell)
    if verdict is None:
        pytest.skip("not in the baseline yet")
    if verdict.status == "inconclusive":
        pytest.skip(f"inconclusive: {verdict.reason}")
    assert verdict.passed, verdict.reason


def test_one_ticket_at_a_time(goemo_cell, goemo, benchmark):
    """Text in, scores out; pytest-benchmark keeps the times."""
    goemo.time(goemo_cell, "single", benchmark)
    assert not goemo.over_budget(goemo_cell, "single")

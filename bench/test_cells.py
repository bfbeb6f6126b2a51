"""Every cell of the matrix: what it scores, and what it takes.

``pytest bench --benchmark-json=bench.json`` runs the bundled sample; see ``pytest bench --help``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from goemo_eval.measure.scenarios import SCENARIOS

if TYPE_CHECKING:
    from goemo_eval.measure.scenarios import Scenario
    from goemo_eval.pytest_plugin import Goemo
    from goemo_eval.records.schema import Cell


def test_accuracy(goemo_cell: Cell, goemo: Goemo) -> None:
    """Macro-F1 and what INT8 loses stay within budget."""
    record = goemo.measure(goemo_cell)
    assert not goemo.over_budget(goemo_cell)
    if record.unscored_reason:
        pytest.skip(record.unscored_reason)


def test_split(goemo_cell: Cell, goemo: Goemo) -> None:
    """What INT8 gains over the test split stays within budget."""
    record = goemo.time_whole(goemo_cell)
    assert not goemo.over_budget(goemo_cell) + goemo.over_budget(goemo_cell, "offline")
    if record.split_latency_s is None:
        pytest.skip(f"not timed over the split: {record.unscored_reason}")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_latency(goemo_cell: Cell, scenario: Scenario, goemo: Goemo, benchmark: Any) -> None:
    """The median time per batch stays within budget."""
    goemo.time(goemo_cell, scenario, benchmark)
    assert not goemo.over_budget(goemo_cell, scenario)

"""Every scored cell against the baseline of ``--gate``; left out of a run without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from goemo_eval.pytest_plugin import Bench
    from goemo_eval.records.schema import Cell


def test_no_loss(cell: Cell, bench: Bench) -> None:
    """Test Macro-F1 lost no more than ``--max-drop``, as far as the test split can tell."""
    verdict = bench.gate(cell)
    if verdict is None:
        pytest.skip("the baseline has no score of this cell")
    if verdict.status == "inconclusive":
        pytest.skip(f"inconclusive: {verdict.reason}")
    assert verdict.passed, f"{verdict.status}: {verdict.reason}"

"""Every scored cell against the baseline of ``--goemo-baseline``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from goemo_eval.pytest_plugin import Goemo
    from goemo_eval.records.schema import Cell


def test_no_loss(goemo_cell: Cell, goemo: Goemo) -> None:
    """Test Macro-F1 lost no more than ``--goemo-max-drop``, as far as the test split can tell."""
    verdict = goemo.gate(goemo_cell)
    if verdict is None:
        pytest.skip("no baseline, or none with a score of this cell")
    if verdict.status == "inconclusive":
        pytest.skip(f"inconclusive: {verdict.reason}")
    assert verdict.passed, f"{verdict.status}: {verdict.reason}"

"""Every cell of the matrix: what it scores, and how long a batch of 32 takes.

``pytest bench --benchmark-json=bench.json`` runs the bundled sample; see ``pytest bench --help``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from goemo_eval.measure.latency import SHAPES

if TYPE_CHECKING:
    from goemo_eval.pytest_plugin import Bench
    from goemo_eval.records.schema import Cell


def test_accuracy(cell: Cell, bench: Bench) -> None:
    """Macro-F1, the INT8 drop and the speedup over the test split stay within budget."""
    record = bench.measure(cell)
    assert not bench.over_budget(cell)
    if record.unscored_reason:
        pytest.skip(record.unscored_reason)


@pytest.mark.parametrize("shape", SHAPES)
def test_latency(cell: Cell, shape: str, bench: Bench, benchmark: Any) -> None:
    """The median forward pass per batch stays within budget."""
    bench.time(cell, shape, benchmark)
    assert not bench.over_budget(cell, shape)

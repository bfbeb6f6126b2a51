"""The bench's options, parameters and report live in the library."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["goemo_eval.pytest_plugin"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the gate's tests out of a run without a baseline."""
    return (
        True if collection_path.name == "test_gate.py" and not config.getoption("--gate") else None
    )

"""Tests of what is run beside the package."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def root_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands belong to the repository, not to the package."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))

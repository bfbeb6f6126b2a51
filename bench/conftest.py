"""The bench always measures: it asks for the plugin, which is silent elsewhere."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.option.goemo = True

"""Tables of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate


def table(rows: Sequence[Sequence[Any]], *head: str) -> str:
    """Return a markdown table."""
    return str(tabulate(rows, head, tablefmt="github", disable_numparse=True))

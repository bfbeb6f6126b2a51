"""Results are kept part by part, so that the same command goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from goemo_eval.files import write_atomic


def kept(directory: Path, part: str, told: dict[str, Any]) -> Any | None:
    """Return a part's result, if one is kept that was made of the same."""
    path = directory / f"{part}.json"
    if not path.is_file():
        return None
    entry = json.loads(path.read_text(encoding="utf-8"))
    return entry["found"] if entry["told"] == told else None


def keep(directory: Path, part: str, told: dict[str, Any], found: Any) -> None:
    """Keep a part's result, and what it was made of."""
    directory.mkdir(parents=True, exist_ok=True)
    entry = {"told": told, "found": found}
    write_atomic(directory / f"{part}.json", (json.dumps(entry, indent=1) + "\n").encode())

"""The report of the simulation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import world

_HEAD = """# What the gate can and cannot see

Command: `{command}` (about {minutes} minutes on one core; what is drawn is kept, so that the same command goes on from there).

{world}

Which setting for which habit:

- **At every commit**: `--horizon` with the commits that you reckon with before the test split is replaced. A red build then means
  something in the thousandth run as well. Small losses pass; nightly runs are for them.
- **Nightly**: the defaults, and an anchor (`goemo-eval baseline set --keep-anchor`). One false alarm in twenty nights at most, on average, and losses that
  each keep the budget cannot add up.
- **Before a release**: `--mode noninferiority --strict`. A pass is then the proof that no cell lost more than the budget, at alpha for the
  release, however many cells there are. Ask `goemo-eval power` first whether the test split can give that proof.
"""


def render(command: str, sections: Sequence[str], *, minutes: int = 25) -> str:
    """Return the report as markdown."""
    about = (world.__doc__ or "").split("\n", 2)[2].strip()
    head = _HEAD.format(command=command, minutes=minutes, world=about)
    return "\n".join([head, *sections])


def write(out: Path, data: str, text: str) -> None:
    """Write both forms of the report."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "gate_simulation.json").write_text(data, encoding="utf-8")
    (out / "gate_simulation.md").write_text(text, encoding="utf-8")

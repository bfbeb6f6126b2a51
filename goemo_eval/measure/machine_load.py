"""Whether the machine was ours while something was timed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

from pydantic import Field

from goemo_eval.frozen import Frozen
from goemo_eval.measure.environment import load_average

MOST_TAKEN = 0.10
"""Share of the processors that others may take before times are marked unstable."""
_STAT = Path("/proc/stat")
_LEAST_S = 0.2  # processor time is counted in ticks of 10 ms: shorter stretches say nothing


class Load(Frozen):
    """What went on beside a timing, and whether its times can be relied on."""

    load_start: float | None
    """One-minute load average when it began; None where the platform has none."""
    load_end: float | None
    taken_by_others: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of all processors' time that other processes, or other machines on the host, took
    meanwhile; None where the platform does not tell."""
    spread: Annotated[float, Field(ge=0)] | None = None
    """How far the times of the same work lie from their median: see `scenarios.judge_spread`."""
    reason: str = ""
    """Why the times are unstable; empty if they are stable."""

    @property
    def stable(self) -> bool:
        """Whether the times support a ranking or a sentence."""
        return not self.reason


class Watch:
    """Watches the machine during a ``with`` block; `load` tells what it saw."""

    load: Load

    def __enter__(self) -> Watch:
        self._load, self._wall = load_average(), time.perf_counter()
        self._busy, self._own = _busy_s(), _own_s()
        return self

    def __exit__(self, *exc: object) -> None:
        elapsed, busy = time.perf_counter() - self._wall, _busy_s()
        taken, reason = None, ""
        if busy is not None and self._busy is not None and elapsed >= _LEAST_S:
            others = (busy - self._busy) - (_own_s() - self._own)
            taken = round(min(1.0, max(0.0, others / (elapsed * (os.cpu_count() or 1)))), 3)
            if taken > MOST_TAKEN:
                reason = f"other processes took {taken:.0%} of the processors"
        self.load = Load(
            load_start=self._load, load_end=load_average(), taken_by_others=taken, reason=reason
        )


def _busy_s() -> float | None:
    """Return the seconds that all processors have been busy, or stolen from this machine."""
    try:
        words = _STAT.read_text().splitlines()[0].split()[1:9]
    except OSError:
        return None
    # man 5 proc: user nice system idle iowait irq softirq steal
    user, nice, system, _, _, irq, softirq, steal = map(int, words)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system

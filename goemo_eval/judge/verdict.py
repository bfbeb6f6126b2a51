"""What the gate says, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from goemo_eval.frozen import Frozen
from goemo_eval.measure.metrics import Unit

Status = Literal["pass", "regression", "inconclusive", "not-comparable"]


class LatencyVerdict(Frozen):
    """A ratio of latencies against its limit.

    The ends of the interval hold with 1 - alpha each; None where there is no interval.
    """

    name: Literal["slowdown", "speedup"]
    status: Status
    reason: str
    limit: float
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    differing: tuple[str, ...] = ()


class SeedVerdict(Frozen):
    """A cell's mean test Macro-F1 over its seeds, before and after."""

    cell: str
    """Without the seed."""
    seeds: Annotated[int, Field(ge=2)]
    baseline: float
    candidate: float
    drop: float
    reseeding: float
    """Standard deviation of a single run over the seeds, both sides pooled."""
    p_value: Annotated[float, Field(ge=0, le=1)]
    """One-sided, of a paired t-test over the seeds."""
    larger_than_reseeding: bool

    @property
    def text(self) -> str:
        """The finding in words."""
        larger = "larger than" if self.larger_than_reseeding else "not larger than"
        return (
            f"{self.cell}: mean drop {self.drop:+.4f} over {self.seeds} seeds, {larger} what reseeding "
            f"alone does (a run varies by {self.reseeding:.4f}; p {self.p_value:.3f})"
        )


class LabelVerdict(Frozen):
    """One label's test F1, before and after."""

    label: str
    baseline: Unit
    candidate: Unit
    drop: float
    p_value: Annotated[float, Field(ge=0, le=1)]
    """Of the swap test, corrected for the number of labels (Holm)."""
    status: Literal["pass", "regression"]


class CellVerdict(Frozen):
    """One cell's test Macro-F1, before and after."""

    cell: str
    status: Status
    reason: str
    """In words: why this status."""
    differing: tuple[str, ...] = ()
    """What keeps the two records from being compared."""
    baseline: Unit | None = None
    candidate: Unit | None = None
    drop: float | None = None
    least_drop: float | None = None
    """The true drop is at least this, with a confidence of 1 - alpha."""
    most_drop: float | None = None
    """The true drop is at most this, with a confidence of 1 - alpha."""
    detectable_drop: float | None = None
    """Smallest true drop that would be called a regression in 80 of 100 cases; None where the
    predictions are the same, so that nothing says how much they would vary."""
    flips: int | None = None
    """Decisions that differ."""
    labels: tuple[LabelVerdict, ...] = ()
    latency: tuple[LatencyVerdict, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the cell."""
        return self.status == "pass"


class Verdict(Frozen):
    """What the gate says of a run."""

    status: Status
    mode: Literal["superiority", "noninferiority"]
    max_drop: float
    alpha: float
    cells: tuple[CellVerdict, ...]
    only_in_candidate: tuple[str, ...] = ()
    """Scored cells without a baseline: they were not judged."""
    seeds: tuple[SeedVerdict, ...] = ()
    """Where both sides hold several seeds of a cell: is the drop larger than reseeding?"""

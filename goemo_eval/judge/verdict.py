"""What the gate says, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from goemo_eval.frozen import Frozen
from goemo_eval.measure.metrics import Count, Unit

Status = Literal["pass", "regression", "inconclusive", "not-comparable"]

# The worst first: a proven loss says more than a cell that could not be compared.
WORST_FIRST: tuple[Status, ...] = ("regression", "not-comparable", "inconclusive", "pass")

Chance = Annotated[float, Field(ge=0, le=1)]


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
    """Whether the recipe is worse: a cell's mean test Macro-F1 over its seeds, before and after.

    It stands beside the verdicts on single models and decides no exit code.
    """

    cell: str
    """Without the seed."""
    seeds: Annotated[int, Field(ge=2)]
    """On each side; on the side with fewer, where they do not pair."""
    paired: bool
    """Whether the two sides were run with the same seeds."""
    baseline: float
    candidate: float
    drop: float
    reseeding: float
    """Standard deviation of a single run over the seeds, both sides pooled."""
    p_value: Chance
    """One-sided, of a t-test over the seeds on these texts: paired, or Welch's."""
    larger_than_reseeding: bool
    least_drop: float
    """The recipe's true drop, whatever the seed and the texts, is at least this, with 1 - alpha."""
    most_drop: float
    """And at most this, with 1 - alpha."""
    worse: bool
    """Whether even `least_drop` is above zero."""
    detectable_drop: float
    """Smallest true drop that would be told from none in 80 of 100 cases with these seeds."""
    wanted_drop: float
    """The drop that matters: the budget, or 0.01 where that is zero."""
    seeds_needed: int | None
    """Seeds on each side that would tell it so; None if no number of seeds would on these texts."""


class LabelVerdict(Frozen):
    """One label's test F1, before and after."""

    label: str
    baseline: Unit
    candidate: Unit
    drop: float
    p_value: Chance
    """Of the swap test, corrected for the number of labels (Holm)."""
    status: Literal["pass", "regression"]


class CellVerdict(Frozen):
    """One cell's test Macro-F1, before and after."""

    cell: str
    status: Status
    reason: str
    """In words: why this status."""
    against: Literal["baseline", "anchor"] = "baseline"
    """What it was compared with: the last accepted state, or the older one that drift is measured from."""
    differing: tuple[str, ...] = ()
    """What keeps the two records from being compared."""
    baseline: Unit | None = None
    candidate: Unit | None = None
    drop: float | None = None
    least_drop: float | None = None
    """The true drop is at least this, with a confidence of 1 - `alpha`."""
    most_drop: float | None = None
    """The true drop is at most this, with a confidence of 1 less the run's alpha: a pass takes every
    cell's, so many cells make a false one no likelier."""
    p_value: Chance | None = None
    """That the true drop keeps the budget: the smallest alpha at which `least_drop` exceeds it. Not
    corrected."""
    alpha: Chance | None = None
    """What Holm's correction left this cell of the run's alpha."""
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

    @property
    def name(self) -> str:
        """The cell, and what it was compared with if that was the anchor."""
        return self.cell if self.against == "baseline" else f"{self.cell} against the anchor"


class Verdict(Frozen):
    """What the gate says of a run."""

    status: Status
    mode: Literal["superiority", "noninferiority"]
    max_drop: float
    alpha: float
    """As asked for: of the run, or of all runs of the horizon, or of a cell where `per_cell`."""
    per_cell: bool = False
    """Whether alpha is each cell's, not corrected for their number."""
    horizon: Annotated[int, Field(ge=1)] | None = None
    """Runs of the gate that alpha is planned for; None if it is this run's alone."""
    judged: Count | None = None
    """Runs that this test split had judged before, as far as the baseline counted them; None if it
    does not."""
    max_drift: float | None = None
    """The budget against the anchor; None if there is none."""
    pairs: dict[str, str] = Field(default_factory=dict)
    """Cell of the baseline to the candidate's other cell that was judged in its place."""
    cells: tuple[CellVerdict, ...]
    anchor: tuple[CellVerdict, ...] = ()
    """The cells against the anchor, where it differs from the baseline."""
    only_in_candidate: tuple[str, ...] = ()
    """Scored cells without a baseline: they were not judged."""
    seeds: tuple[SeedVerdict, ...] = ()
    """Where both sides hold several seeds of a cell: is the recipe worse?"""

    @property
    def run_alpha(self) -> float:
        """What the horizon leaves this run of alpha."""
        return self.alpha / (self.horizon or 1)

    @property
    def together(self) -> int:
        """Comparisons that share the run's alpha."""
        if self.per_cell:
            return 1
        return sum(cell.drop is not None for cell in (*self.cells, *self.anchor))

"""What each line is to reach, with dot products (VNNI, AMX, Arm's) and with AVX2 alone."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """One line of the table.

    Attributes
    ----------
    work, against : str
    least, least_avx2 : float
        A ratio that is at least this, or, where `seconds`, a time that is at most this.
    goal, goal_avx2 : float or None
    seconds : bool
    """

    work: str
    against: str
    least: float
    least_avx2: float
    goal: float | None = None
    goal_avx2: float | None = None
    seconds: bool = False

    def on(self, dot_products: bool) -> tuple[float, float | None]:
        """Return what is to be reached, and the goal beyond it."""
        return (self.least, self.goal) if dot_products else (self.least_avx2, self.goal_avx2)


_PIPELINE = "`transformers.pipeline`, batch 32"

TARGETS: dict[str, Target] = {
    "fp32": Target("scoring FP32, logits within 1e-4", _PIPELINE, 2.2, 2.8, 2.5, 3),
    "best": Target(
        "scoring at the best precision within 0.005 Macro-F1", _PIPELINE, 5.5, 4.4, 6.5, 5
    ),
    "layers": Target("the same with three layers", _PIPELINE, 10, 8),
    "floor": Target("the floor", _PIPELINE, 30, 30),
    "single": Target(
        "one text at a time, p50, text in, scores out, best engine",
        "`transformers.pipeline`, one text",
        8,
        8,
        12,
        10,
    ),
    "thresholds": Target(
        "exact per-label thresholds", "scikit-learn's F1 over 99 thresholds", 1000, 1000
    ),
    "bootstrap": Target("paired bootstrap, 10,000", "a loop of scikit-learn calls", 500, 400),
    "training": Target("fine-tuning, steps a second", "Trainer padded to 128", 3.5, 3.5),
    "import": Target("`import goemo_eval`", "", 0.1, 0.1, seconds=True),
    "help": Target("`goemo-eval --help`", "", 0.3, 0.3, seconds=True),
    "version": Target("`goemo-eval --version`", "", 0.3, 0.3, seconds=True),
    "report": Target("report of 64 cells", "", 4, 6, seconds=True),
    "memory": Target("peak memory of scoring", "the pipeline's", 1, 1),
}

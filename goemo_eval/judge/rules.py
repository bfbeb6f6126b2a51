"""What the gate is asked: what is allowed, and how sure it must be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen
from goemo_eval.measure.metrics import Count, Unit

MOST_RUNS = 1_000_000


class Rules(Frozen):
    """The options of `gate.gate`, checked."""

    max_drop: Unit
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    alpha_per_cell: bool = False
    horizon: Annotated[int, Field(ge=1, le=MOST_RUNS)] | None = None
    mode: Literal["superiority", "noninferiority"]
    max_drift: Unit | None = None
    max_label_drop: Unit | None = None
    max_slowdown: Annotated[float, Field(gt=0)] | None = None
    min_speedup: Annotated[float, Field(gt=0)] | None = None
    judged: Count | None = None
    n_resamples: Annotated[int, Field(ge=100)]
    seed: Annotated[int, Field(ge=0)]

    @property
    def run_alpha(self) -> float:
        """What the horizon leaves one run of alpha: an equal share, whatever the runs are like.

        Runs share their texts and a baseline, so they depend on one another in ways that nobody knows; shares
        that add up to alpha need not know them (alpha spending, in equal parts [1]_). A commit may even depend
        on the verdicts before it: until the first alarm these are passes, one path [2]_. An always-valid
        confidence sequence [3]_ keeps its promise only where commits are steps of one walk, not where each
        is trained anew: ``bench/gate/`` compares the two.

        References
        ----------
        .. [1] J. Tian and A. Ramdas, Online control of the familywise error rate, Stat. Methods Med. Res.
           30 (2021), arXiv:1910.04900.
        .. [2] C. Renggli et al., Continuous integration of machine learning models with ease.ml/ci,
           MLSys (2019), arXiv:1903.00278.
        .. [3] I. Waudby-Smith et al., Time-uniform central limit theory and asymptotic confidence
           sequences, Ann. Stat. 52 (2024), arXiv:2103.06476.
        """
        return self.alpha / (self.horizon or 1)

    def budget(self, against: Literal["baseline", "anchor"]) -> float:
        """Return the Macro-F1 that may be lost against the last state, or against the anchor."""
        if against == "anchor" and self.max_drift is not None:
            return self.max_drift
        return self.max_drop


_EXPECTED = {
    "max_drop": "lie in [0, 1]",
    "alpha": "lie between 0 and 0.5",
    "alpha_per_cell": "be true or false",
    "horizon": f"be a whole number from 1 to {MOST_RUNS:,}",
    "mode": "be superiority or noninferiority",
    "max_drift": "lie in [0, 1]",
    "max_label_drop": "lie in [0, 1]",
    "max_slowdown": "be above 0",
    "min_speedup": "be above 0",
    "judged": "be at least 0",
    "n_resamples": "be at least 100",
    "seed": "be at least 0",
}


def make_rules(**options: object) -> Rules:
    """Check the gate's options.

    Raises
    ------
    RecordError
        If one is out of range.
    """
    try:
        return Rules.model_validate(options)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise RecordError(f"{name} must {_EXPECTED[name]}: got {options[name]}") from None

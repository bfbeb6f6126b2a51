"""What one way to a model gains over another, whatever the seed: by the means over seeds.

A gain at one seed is of two checkpoints, one of which may be deployed. Whether training anew would gain
as much is another question: seeds vary by more than most steps of a ladder.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from goemo_eval.measure.two_level import two_level_bootstrap
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.view import Group

ONE_SEED = "‡"
"""Marks a gain at one seed among those by the means over several."""
_RESAMPLES = 500  # of texts; seeds are not drawn


class SeedGain(NamedTuple):
    """A mean over seeds minus another, and the ends of its 95 % interval over seeds and texts."""

    point: float
    low: float
    high: float


def seed_gain(lower: Group, upper: Group) -> SeedGain | None:
    """Return what a cell gains over another by the means over their seeds.

    Seeds do not pair: the same one does not make two models alike.

    Parameters
    ----------
    lower, upper : Group

    Returns
    -------
    SeedGain or None
        Of test Macro-F1, `upper` minus `lower`, by `goemo_eval.measure.two_level`. None if either has fewer
        than two scored seeds, or they were not all scored on the same targets.

    Raises
    ------
    RecordError
        If decisions are damaged.
    """
    sides = []
    targets: list[np.ndarray] = []
    for group in (lower, upper):
        found = [unpack_decisions(r.decisions) for r in group.records if r.scores and r.decisions]
        sides.append([guess for _, guess in found])
        targets += [truth for truth, _ in found]
    if min(map(len, sides)) < 2 or any(not np.array_equal(targets[0], t) for t in targets):
        return None
    gain = two_level_bootstrap(targets[0], *sides, paired=False, n_resamples=_RESAMPLES)
    return SeedGain(gain.point, *gain.interval())

"""Cells that differ only in their seed, as one: the mean over the seeds and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen
from goemo_eval.records.schema import Cell, Record


class OverSeeds(Frozen):
    """A value measured under several seeds."""

    mean: float
    low: float | None
    """Low end of the interval for the mean over all seeds there are; None with one seed."""
    high: float | None
    values: Annotated[tuple[float, ...], Field(min_length=1)]
    """One per seed, in the order of the seeds."""


class SeedSummary(Frozen):
    """A cell over its seeds."""

    cell: Cell
    """With seed 0, whatever the seeds were."""
    seeds: tuple[int, ...]
    validation_macro_f1: OverSeeds
    test_macro_f1: OverSeeds
    gap: OverSeeds
    """Validation minus test Macro-F1, seed by seed: thresholds are fitted on validation."""


def over_seeds(values: Sequence[float], *, confidence: float = 0.95) -> OverSeeds:
    """Return the mean of a value over seeds, with Student's interval.

    Parameters
    ----------
    values : sequence of float
        At least one, one per seed.
    confidence : float, default 0.95

    Returns
    -------
    OverSeeds
        The interval tells how the mean would differ under other seeds, not under other texts:
        that is the bootstrap's to tell.

    Examples
    --------
    >>> found = over_seeds([0.44, 0.45, 0.46])
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
    (0.45, 0.425, 0.475)
    """
    from scipy.special import stdtrit  # scipy.stats takes half a second to import

    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return OverSeeds(mean=mean, low=None, high=None, values=tuple(values))
    reach = float(stdtrit(n - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / np.sqrt(n))
    return OverSeeds(mean=mean, low=mean - reach, high=mean + reach, values=tuple(values))


def summarize(records: Sequence[Record]) -> SeedSummary:
    """Return one cell over its seeds.

    Parameters
    ----------
    records : sequence of Record
        Scored ones that differ only in their seed, at least one; `goemo_eval.records.view.Group` has them.

    Raises
    ------
    RecordError
        If they were measured on different data or under different recipes.
    """
    for record in records[1:]:
        for what in ("data", "recipe", "dominance", "labels"):
            if getattr(record, what) != getattr(records[0], what):
                raise RecordError(
                    f"{record.cell.id}: its {what} is not that of {records[0].cell.id}: seeds can only "
                    "be averaged over the same"
                )
    scores = [record.scores for record in records if record.scores is not None]
    return SeedSummary(
        cell=records[0].cell.model_copy(update={"seed": 0}),
        seeds=tuple(record.cell.seed for record in records),
        validation_macro_f1=over_seeds([s.validation.macro_f1 for s in scores]),
        test_macro_f1=over_seeds([s.test.macro_f1 for s in scores]),
        gap=over_seeds([s.validation.macro_f1 - s.test.macro_f1 for s in scores]),
    )

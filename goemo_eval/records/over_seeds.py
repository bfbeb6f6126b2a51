"""Cells that differ only in their seed, as one: the mean over the seeds and how sure it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
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


def seed_groups(records: Iterable[Record]) -> list[list[Record]]:
    """Return the records in groups that differ only in their seed, in the order of the records."""
    groups: dict[Cell, list[Record]] = {}
    for record in records:
        groups.setdefault(_seedless(record.cell), []).append(record)
    return [sorted(group, key=lambda record: record.cell.seed) for group in groups.values()]


def one_seed(records: Iterable[Record]) -> list[Record]:
    """Return each cell at one seed, for what is said of single cells.

    Cells of one encoder and scheme are taken at one and the same seed, so that engines and
    precisions are compared on one checkpoint: the seed under which most of them were scored, of
    several such the lowest. A cell that lacks it is taken at its own lowest. How they scored has no say.

    Parameters
    ----------
    records : iterable of Record

    Returns
    -------
    list of Record
        In the order of the records; all of them where no cell has several seeds.
    """
    records = list(records)
    scored: dict[tuple[str, str], Counter[int]] = {}
    for record in records:
        words = (record.cell.encoder, record.cell.scheme)
        scored.setdefault(words, Counter())[record.cell.seed] += record.scores is not None
    chosen = set()
    for group in seed_groups(records):
        seeds = scored[group[0].cell.encoder, group[0].cell.scheme]
        lead = min(seeds, key=lambda seed: (-seeds[seed], seed))
        chosen.add(next((r for r in group if r.cell.seed == lead), group[0]).cell)
    return [record for record in records if record.cell in chosen]


def summarize_seeds(records: Iterable[Record]) -> list[SeedSummary]:
    """Return the scored cells over their seeds, in the order of the records.

    Parameters
    ----------
    records : iterable of Record
        Unscored ones are left out.

    Returns
    -------
    list of SeedSummary

    Raises
    ------
    RecordError
        If cells of different seeds were measured on different data or under different recipes.
    """
    return [_summary(group) for group in seed_groups(r for r in records if r.scores)]


def _seedless(cell: Cell) -> Cell:
    return cell.model_copy(update={"seed": 0})


def _summary(group: Sequence[Record]) -> SeedSummary:
    for record in group[1:]:
        for what in ("data", "recipe", "dominance", "labels"):
            if getattr(record, what) != getattr(group[0], what):
                raise RecordError(
                    f"{record.cell.id}: its {what} is not that of {group[0].cell.id}: seeds can only "
                    "be averaged over the same"
                )
    scores = [record.scores for record in group if record.scores is not None]
    return SeedSummary(
        cell=_seedless(group[0].cell),
        seeds=tuple(record.cell.seed for record in group),
        validation_macro_f1=over_seeds([s.validation.macro_f1 for s in scores]),
        test_macro_f1=over_seeds([s.test.macro_f1 for s in scores]),
        gap=over_seeds([s.validation.macro_f1 - s.test.macro_f1 for s in scores]),
    )

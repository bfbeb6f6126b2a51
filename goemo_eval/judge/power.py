"""What a test split can detect, before anyone trains: the smallest drop that the gate would see."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import ceil, sqrt
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen
from goemo_eval.judge.rules import MOST_RUNS
from goemo_eval.measure.f1 import f1_per_label
from goemo_eval.measure.forecast import Exchanged, difference_variance, exchange
from goemo_eval.measure.metrics import Count, Unit
from goemo_eval.measure.resampling import Floats
from goemo_eval.records.comparable import comparable
from goemo_eval.records.schema import Record
from goemo_eval.records.verified import verified_decisions
from goemo_eval.records.view import Group, View

CONVERTED, TRAINED_ANEW = 0.05, 0.35
"""Decisions that change, as a share of the positive ones: between FP32 and INT8, and between two seeds,
as measured for MiniLM on GoEmotions (0.03 to 0.05, and 0.31 to 0.39)."""
Change = Literal["converted", "trained anew", "as asked"]
_MORE = 0.01  # beyond the budget: the drop that texts are counted for


class Asked(Frozen):
    """The options of `forecast`, checked."""

    max_drop: Unit
    max_label_drop: Unit
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    alpha_per_cell: bool
    horizon: Annotated[int, Field(ge=1, le=MOST_RUNS)] | None
    power: Annotated[float, Field(ge=0.5, lt=1)]
    changed: Annotated[float, Field(gt=0, le=2)] | None
    drop: Annotated[float, Field(gt=0, le=1)] | None


_EXPECTED = {
    "max_drop": "lie in [0, 1]",
    "max_label_drop": "lie in [0, 1]",
    "alpha": "lie between 0 and 0.5",
    "alpha_per_cell": "be true or false",
    "horizon": f"be a whole number from 1 to {MOST_RUNS:,}",
    "power": "be at least 0.5 and below 1",
    "changed": "be above 0 and at most 2",
    "drop": "be above 0 and at most 1",
}


class LabelPower(Frozen):
    """What can be seen of one label."""

    label: str
    support: Count
    """Texts that have it."""
    f1: Unit
    detectable_drop: float | None
    """Smallest true drop of its F1 that would be called a regression so often; None where even
    losing the label altogether would not be."""


class CellPower(Frozen):
    """What can be seen of a cell after one kind of change."""

    cell: str
    change: Change
    measured: bool
    """Whether it was measured, between the baseline's own precisions or seeds, or is assumed."""
    changed: float
    """Decisions that such a change turns, as a share of the positive ones."""
    flips: float
    """The same in decisions."""
    texts: Count
    macro_f1: Unit
    standard_error: Annotated[float, Field(ge=0)]
    detectable_drop: float
    """Smallest true drop that would be called a regression so often."""
    drop: float
    """The drop that `texts_needed` is about."""
    texts_needed: Count
    """Texts of this kind on which such a drop would be called so often."""
    labels: tuple[LabelPower, ...]


class Power(Frozen):
    """What a test split can detect."""

    alpha: float
    cells_together: Count
    """Cells that share alpha."""
    horizon: int | None
    power: float
    max_drop: float
    max_label_drop: float
    cells: tuple[CellPower, ...]


def forecast(
    baseline: Sequence[Record],
    *,
    max_drop: float = 0.01,
    max_label_drop: float = 0.05,
    alpha: float = 0.05,
    alpha_per_cell: bool = False,
    horizon: int | None = None,
    power: float = 0.8,
    changed: float | None = None,
    drop: float | None = None,
) -> Power:
    """Say which drops the gate would see, of every cell and label, by the baseline alone.

    How much a difference varies depends on how many decisions a change turns. So a conversion and a
    training anew are forecast apart. Where the baseline holds the cell at both precisions, or at several seeds, they are
    measured between these; otherwise they are what was measured elsewhere.

    Parameters
    ----------
    baseline : sequence of Record
    max_drop, max_label_drop, alpha, alpha_per_cell, horizon
        As in `gate.gate`.
    power : float, default 0.8
        How often a drop must be called to count as seen, in ``[0.5, 1)``.
    changed : float, optional
        Decisions that the change turns, as a share of the positive ones, in place of both kinds.
    drop : float, optional
        The drop that texts are counted for; by default 0.01 beyond `max_drop`.

    Raises
    ------
    RecordError
        If an option is out of range, or no record is scored.
    """
    asked = _asked(
        max_drop=max_drop,
        max_label_drop=max_label_drop,
        alpha=alpha,
        alpha_per_cell=alpha_per_cell,
        horizon=horizon,
        power=power,
        changed=changed,
        drop=drop,
    )
    view = View(record for record in baseline if record.scores and record.decisions)
    if not view.records:
        raise RecordError("the baseline has no scored cell: nothing to forecast from")
    together = 1 if alpha_per_cell else len(view.records)
    cells = [cell for group in view.groups for cell in _forecast(view, group, together, asked)]
    return Power(
        alpha=alpha,
        cells_together=together,
        horizon=horizon,
        power=power,
        max_drop=max_drop,
        max_label_drop=max_label_drop,
        cells=tuple(cells),
    )


def _asked(**options: object) -> Asked:
    try:
        asked = Asked.model_validate(options)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise RecordError(f"{name} must {_EXPECTED[name]}: got {options[name]}") from None
    if asked.drop is not None and asked.drop <= asked.max_drop:
        raise RecordError(
            f"drop must exceed max_drop, which may be lost: got {asked.drop:g} and {asked.max_drop:g}"
        )
    return asked


def _forecast(view: View, group: Group, together: int, asked: Asked) -> list[CellPower]:
    record = group.shown
    truth, guess = verified_decisions(record)
    most = exchange(truth, guess, one_class=record.kind == "multiclass")
    if not most.flips:
        raise RecordError(
            f"cell {record.cell.id} decides every text of a label alike: nothing tells how a change would vary"
        )
    positive = max(int(guess.sum()), 1)
    if asked.changed is not None:
        varies = _scaled(most, asked.changed * positive)
        return [_cell(record, "as asked", varies, together, asked, measured=False)]
    twin = view.twin(record)
    kinds: tuple[tuple[Change, float, Exchanged | None], ...] = (
        ("converted", CONVERTED, _between([(record, twin)] if twin else [])),
        ("trained anew", TRAINED_ANEW, _between(list(combinations(group.records, 2)))),
    )
    return [
        _cell(
            record,
            name,
            _larger(found, most) if found else _scaled(most, share * positive),
            together,
            asked,
            measured=found is not None,
        )
        for name, share, found in kinds
    ]


def _scaled(found: Exchanged, flips: float) -> Exchanged:
    """Return what so many flips would vary by: variances grow with their number."""
    ratio = flips / found.flips
    return Exchanged(flips, found.macro_f1 * ratio, found.per_label * ratio)


def _larger(found: Exchanged, most: Exchanged) -> Exchanged:
    """Return the larger of what was measured and what so many flips make likely.

    One or a few pairs may have spared a rare label by luck.
    """
    likely = _scaled(most, found.flips)
    return Exchanged(
        found.flips,
        max(found.macro_f1, likely.macro_f1),
        np.maximum(found.per_label, likely.per_label),
    )


def _between(pairs: Sequence[tuple[Record, Record]]) -> Exchanged | None:
    """Return what records of a cell differ by, the mean over pairs; None if none may be compared."""
    found = []
    for one, other in pairs:
        if not comparable(one, other, "scores"):
            (truth, first), (_, second) = verified_decisions(one), verified_decisions(other)
            flips = float((first != second).sum())
            found.append((flips, *difference_variance(truth, first, second)))
    if not any(flips for flips, _, _ in found):
        return None
    flips_each, macro, labels = zip(*found, strict=True)
    return Exchanged(float(np.mean(flips_each)), float(np.mean(macro)), np.mean(labels, axis=0))


def _cell(
    record: Record,
    change: Change,
    varies: Exchanged,
    together: int,
    asked: Asked,
    *,
    measured: bool,
) -> CellPower:
    from scipy.special import ndtri

    truth, guess = verified_decisions(record)
    run_alpha = asked.alpha / (asked.horizon or 1)
    reach = float(ndtri(1 - run_alpha / together) + ndtri(asked.power))
    error = sqrt(varies.macro_f1)
    wanted = asked.drop if asked.drop is not None else asked.max_drop + _MORE
    scores = f1_per_label(truth, guess)
    drops = _label_drops(varies, run_alpha, asked)
    return CellPower(
        cell=record.cell.id,
        change=change,
        measured=measured,
        changed=varies.flips / max(int(guess.sum()), 1),
        flips=varies.flips,
        texts=len(truth),
        macro_f1=float(scores.mean()),
        standard_error=error,
        detectable_drop=asked.max_drop + reach * error,
        drop=wanted,
        texts_needed=ceil(len(truth) * (reach * error / (wanted - asked.max_drop)) ** 2),
        labels=tuple(
            LabelPower(
                label=label,
                support=support,
                f1=f1,
                detectable_drop=drop if drop <= f1 else None,
            )
            for label, support, f1, drop in zip(
                record.labels, truth.sum(axis=0).tolist(), scores.tolist(), drops, strict=True
            )
        ),
    )


def _label_drops(varies: Exchanged, run_alpha: float, asked: Asked) -> list[float]:
    """Return the smallest drop of each label that is both beyond its budget and no chance."""
    from scipy.special import ndtri

    errors: Floats = np.sqrt(varies.per_label)
    often = ndtri(asked.power)
    proven = (ndtri(1 - run_alpha / len(errors)) + often) * errors
    found: list[float] = np.maximum(proven, asked.max_label_drop + often * errors).tolist()
    return found

"""The choice among cells: who fits, who is cheapest near the best, and what would change the answer.

Numbers in, names out: what the numbers are of is `goemo_eval.judge.recommend`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from goemo_eval.frozen import Frozen
from goemo_eval.measure.metrics import Unit

# Numbers travel as decimal text: a value that equals its limit must not fail for its last bit.
_ROUNDING = 1e-9

Ranking = Literal["p95_ms", "ms_per_text", "size_mb"]
"""The value of an `Option` that says what it costs."""
_QUANTITY = {"max_p95_ms": "p95_ms", "max_mb": "size_mb", "min_macro_f1": "macro_f1"}


class Limits(Frozen):
    """What a cell must keep; None asks nothing."""

    max_p95_ms: Annotated[float, Field(ge=0)] | None = None
    """Milliseconds per batch of texts in the test split's own lengths, or for one text."""
    max_mb: Annotated[float, Field(ge=0)] | None = None
    """Megabytes (10^6 bytes) on disk."""
    min_macro_f1: Unit | None = None


class Question(Limits):
    """Limits, and how much of the best score a cheaper cell may lose."""

    max_loss: Unit


class Option(Frozen):
    """One scored cell with what it brings and costs."""

    cell: str
    macro_f1: float
    """On the test split: the mean over `seeds`."""
    own_macro_f1: float
    """Of this cell at its own seed."""
    seeds: tuple[int, ...]
    """What the mean is over."""
    seeds_of: str | None
    """None if the cell itself was scored under all of these seeds. Else the cell that was: the mean is that
    one's, plus this one's difference to it at the seeds that both have."""
    p95_ms: float | None
    """Of the scenario: per batch, or for one text; None where it was not timed, and offline."""
    ms_per_text: float | None
    """Offline: milliseconds per text of the median pass."""
    size_mb: float
    peak_rss_mb: float | None
    start_s: float | None
    on_front: bool
    """No other cell is as good or better in everything and better in something."""
    misses: tuple[str, ...]
    """The limits that it does not keep."""


class Change(Frozen):
    """A change of the question that changes the answer."""

    what: str
    """The limit or the loss, such as ``max_p95_ms``."""
    at: float
    tighter: bool
    """Whether the answer changes as soon as the limit is tighter than `at`, or when it is loosened to it."""
    cell: str | None
    """The other answer; None where no cell is left."""


def misses(option: Option, limits: Limits) -> tuple[str, ...]:
    """Return the limits that a cell does not keep."""
    missed = []
    if limits.max_p95_ms is not None and (option.p95_ms or 0) > limits.max_p95_ms + _ROUNDING:
        missed.append("max_p95_ms")
    if limits.max_mb is not None and option.size_mb > limits.max_mb + _ROUNDING:
        missed.append("max_mb")
    if limits.min_macro_f1 is not None and option.macro_f1 < limits.min_macro_f1 - _ROUNDING:
        missed.append("min_macro_f1")
    return tuple(missed)


def cost(option: Option, ranked_by: Ranking) -> tuple[float, float, str]:
    """Return what cells are sorted by, the cheapest first: time or size, then size, then name."""
    first = getattr(option, ranked_by)
    assert first is not None
    return first, option.size_mb, option.cell


def front(options: Sequence[Option], ranked_by: Ranking) -> set[str]:
    """Return the cells that no other dominates; memory counts where all tell theirs."""
    columns = [[-o.macro_f1 for o in options], [o.size_mb for o in options]]
    if ranked_by != "size_mb":
        columns.append([getattr(o, ranked_by) for o in options])
    memory = [o.peak_rss_mb for o in options if o.peak_rss_mb is not None]
    if len(memory) == len(options):
        columns.append(memory)
    costs = np.array(columns).T  # (cells, quantities), less is better
    dominated = [bool(((costs <= c).all(1) & (costs < c).any(1)).any()) for c in costs]
    return {o.cell for o, beaten in zip(options, dominated, strict=True) if not beaten}


def winner(
    options: Sequence[Option], asked: Question, ranked_by: Ranking
) -> tuple[Option | None, Option | None]:
    """Return the choice and the best under the limits."""
    fitting = [o for o in options if not misses(o, asked)]
    if not fitting:
        return None, None
    best = max(fitting, key=lambda o: (o.macro_f1, *(-c for c in cost(o, ranked_by)[:2])))
    near = [o for o in fitting if o.macro_f1 >= best.macro_f1 - asked.max_loss - _ROUNDING]
    return min(near, key=lambda o: cost(o, ranked_by)), best


def changes(options: Sequence[Option], asked: Question, ranked_by: Ranking) -> list[Change]:
    """Return, for the loss and each limit, the nearest values at which the answer is another."""
    now, best = winner(options, asked, ranked_by)
    assert now is not None
    assert best is not None

    def answer(what: str, value: float) -> str | None:
        chosen, _ = winner(options, asked.model_copy(update={what: value}), ranked_by)
        return chosen.cell if chosen else None

    fitting = [o for o in options if not misses(o, asked)]
    losses = [best.macro_f1 - o.macro_f1 for o in fitting]
    found = _nearest(
        "max_loss",
        losses,
        answer,
        own=best.macro_f1 - now.macro_f1,
        limit=asked.max_loss,
        now=now.cell,
    )
    for what, quantity in _QUANTITY.items():
        if what == "max_p95_ms" and ranked_by != "p95_ms":
            continue
        values = [getattr(o, quantity) for o in options]
        own, limit = getattr(now, quantity), getattr(asked, what)
        found += _nearest(what, values, answer, own=own, limit=limit, now=now.cell)
    return found


def _nearest(
    what: str,
    values: Sequence[float],
    answer: Callable[[str, float], str | None],
    *,
    own: float,
    limit: float | None,
    now: str,
) -> list[Change]:
    """Walk one limit away from where it stands, over the values that cells have, both ways."""
    sign = -1 if what == "min_macro_f1" else 1  # times sign, less is tighter for every limit
    found = []
    tighter = sorted(
        (v for v in values if sign * v < sign * own - _ROUNDING), key=lambda v: -sign * v
    )
    if tighter or what != "max_loss":  # no loss is below none
        cell = answer(what, tighter[0]) if tighter else None
        found.append(Change(what=what, at=own, tighter=True, cell=cell))
    if limit is not None:
        looser = sorted(
            (v for v in values if sign * v > sign * limit + _ROUNDING), key=lambda v: sign * v
        )
        for value in looser:
            if (cell := answer(what, value)) != now:
                found.append(Change(what=what, at=value, tighter=False, cell=cell))
                break
    return found


def relaxations(options: Sequence[Option], asked: Question, ranked_by: Ranking) -> list[Change]:
    """Return the limits that stand alone in some cell's way, with the nearest value that would do."""
    found = []
    for what, quantity in _QUANTITY.items():
        alone = [getattr(o, quantity) for o in options if misses(o, asked) == (what,)]
        if alone:
            value = max(alone) if what == "min_macro_f1" else min(alone)
            chosen, _ = winner(options, asked.model_copy(update={what: value}), ranked_by)
            found.append(
                Change(what=what, at=value, tighter=False, cell=chosen.cell if chosen else None)
            )
    return found

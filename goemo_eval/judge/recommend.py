"""Which cell to deploy: the cheapest within a stated loss of the best, and what would change that.

Cheapest means the lowest p95 latency per batch (real lengths), ties by size. Where the records
come from different machines, latency cannot be ranked and cheapest means smallest. Schemes are
different tasks, so each has its own answer. Of a cell's seeds one is judged: another seed is no rival.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen
from goemo_eval.records.over_seeds import SeedSummary, one_seed, summarize_seeds
from goemo_eval.records.schema import Cell, Record

# Numbers travel as decimal text: a value that equals its limit must not fail for its last bit.
_ROUNDING = 1e-9


class Limits(Frozen):
    """What a cell must keep; None asks nothing."""

    max_p95_ms: float | None = None
    """Milliseconds per batch, texts in the test split's own lengths."""
    max_mb: float | None = None
    """Megabytes (10^6 bytes) of the weights on disk."""
    min_macro_f1: float | None = None


class Option(Frozen):
    """One scored cell with what it brings and costs."""

    cell: str
    macro_f1: float
    """On the test split."""
    p95_ms: float | None
    size_mb: float
    peak_rss_mb: float | None
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


class Recommendation(Frozen):
    """The answer for one scheme."""

    scheme: str
    limits: Limits
    max_loss: float
    ranked_by: str
    """``p95_ms``, or ``size_mb`` where latency cannot be ranked."""
    chosen: str | None
    best: str | None
    """The cell with the highest Macro-F1 that keeps the limits."""
    options: tuple[Option, ...]
    """Every judged cell, cheapest first."""
    changes: tuple[Change, ...]
    relaxations: tuple[Change, ...]
    """Where nothing fits: each limit that alone stands in a cell's way, and the value that would do."""
    not_judged: dict[str, str]
    """Cell to reason."""
    seeds: SeedSummary | None = None
    """The chosen cell over its seeds; where it has one alone, an FP32 cell of its encoder that was
    measured under that seed and others. None where there is neither."""

    def option(self, cell: str) -> Option:
        """Return a judged cell."""
        return next(option for option in self.options if option.cell == cell)


def recommend(
    records: Sequence[Record],
    *,
    limits: Limits | None = None,
    max_loss: float = 0.01,
    scheme: str | None = None,
) -> list[Recommendation]:
    """Choose a cell per scheme.

    Parameters
    ----------
    records : sequence of Record
    limits : Limits, optional
    max_loss : float, default 0.01
        Test Macro-F1, in points, that a cheaper cell may lose against the best that keeps the limits.
    scheme : str, optional
        Only this one.

    Returns
    -------
    list of Recommendation
        One per scheme with a scored cell, in order of name.

    Raises
    ------
    RecordError
        If a number is out of range, nothing was scored, cells of one scheme were scored on different
        data, seeds of one cell under different recipes, or a latency limit is asked of records from
        different machines.
    """
    limits = limits or Limits()
    _check(limits, max_loss)
    asked = [r for r in records if scheme in (None, r.cell.scheme)]
    if not asked:
        known = ", ".join(sorted({r.cell.scheme for r in records}))
        raise RecordError(f"--scheme {scheme}: no such scheme in the records: they have {known}")
    found = [
        _recommend([r for r in asked if r.cell.scheme == name], limits, max_loss)
        for name in sorted({r.cell.scheme for r in asked if r.scores})
    ]
    if not found:
        raise RecordError("no cell was scored: there is nothing to recommend")
    return found


def one_machine(records: Sequence[Record]) -> bool:
    """Return whether latencies may be ranked: one CPU, instruction sets, threads, engine versions."""
    machines = {(e.cpu_model, e.isa_flags, e.threads) for e in (r.environment for r in records)}
    engines = {(r.cell.engine, r.environment.versions.get(r.cell.engine)) for r in records}
    return len(machines) == 1 and len(engines) == len({engine for engine, _ in engines})


def p95_ms(record: Record) -> float | None:
    """Return the 95th percentile of a cell's raw times per batch, real lengths, in milliseconds."""
    latency = record.latency.get("real")
    return float(np.percentile(latency.times_s, 95) * 1e3) if latency else None


def _check(limits: Limits, max_loss: float) -> None:
    for name, value, least, most in (
        ("max_p95_ms", limits.max_p95_ms, 0, np.inf),
        ("max_mb", limits.max_mb, 0, np.inf),
        ("min_macro_f1", limits.min_macro_f1, 0, 1),
        ("max_loss", max_loss, 0, 1),
    ):
        if value is not None and not least <= value <= most:
            raise RecordError(
                f"--{name.replace('_', '-')} must lie in [{least}, {most}]: got {value:g}"
            )


def _recommend(records: list[Record], limits: Limits, max_loss: float) -> Recommendation:
    summaries, records = summarize_seeds(records), one_seed(records)
    scored = [r for r in records if r.scores]
    if (
        len(
            {
                (r.data.splits["test"].sha256 if "test" in r.data.splits else "", r.labels)
                for r in scored
            }
        )
        > 1
    ):
        raise RecordError(
            f"scheme {scored[0].cell.scheme}: cells were scored on different test splits or labels: "
            "pass records of one data set"
        )
    timed = [r for r in scored if p95_ms(r)]
    ranked_by = "p95_ms" if timed and one_machine(timed) else "size_mb"
    if limits.max_p95_ms is not None and ranked_by == "size_mb":
        why = "come from different machines, threads or versions" if timed else "hold no latency"
        raise RecordError(
            f"--max-p95-ms: the records {why}, so it cannot be judged: pass records of one run, or leave "
            "the limit out"
        )
    not_judged = {r.cell.id: r.unscored_reason or "not scored" for r in records if not r.scores}
    judged = []
    for record in scored:
        if ranked_by == "p95_ms" and p95_ms(record) is None:
            not_judged[record.cell.id] = "not timed"
        else:
            judged.append(record)
    plain = [_option(r, limits) for r in judged]
    front = _front(plain, with_latency=ranked_by == "p95_ms")
    options = sorted(
        (o.model_copy(update={"on_front": o.cell in front}) for o in plain),
        key=lambda o: _cost(o, ranked_by),
    )
    chosen, best = _winner(options, limits, max_loss, ranked_by)
    return Recommendation(
        scheme=scored[0].cell.scheme,
        limits=limits,
        max_loss=max_loss,
        ranked_by=ranked_by,
        chosen=chosen.cell if chosen else None,
        best=best.cell if best else None,
        options=tuple(options),
        changes=tuple(_changes(options, limits, max_loss, ranked_by)) if chosen else (),
        relaxations=() if chosen else tuple(_relaxations(options, limits, max_loss, ranked_by)),
        not_judged=dict(sorted(not_judged.items())),
        seeds=next(
            (_seeds(r.cell, summaries) for r in judged if chosen and r.cell.id == chosen.cell), None
        ),
    )


def _seeds(chosen: Cell, summaries: Sequence[SeedSummary]) -> SeedSummary | None:
    """Return what is known of a cell over several seeds, or else of an FP32 cell of its encoder."""
    known = [s for s in summaries if len(s.seeds) > 1 and chosen.seed in s.seeds]
    own = [s for s in known if s.cell == chosen.model_copy(update={"seed": 0})]
    fp32 = [s for s in known if s.cell.encoder == chosen.encoder and s.cell.precision == "fp32"]
    fp32.sort(key=lambda s: (s.cell.engine != "torch", s.cell.engine))
    return next(iter(own + fp32), None)


def _option(record: Record, limits: Limits) -> Option:
    assert record.scores is not None
    peak = record.peak_rss_bytes
    option = Option(
        cell=record.cell.id,
        macro_f1=record.scores.test.macro_f1,
        p95_ms=p95_ms(record),
        size_mb=record.size_bytes / 1e6,
        peak_rss_mb=peak / 1e6 if peak else None,
        on_front=False,
        misses=(),
    )
    return option.model_copy(update={"misses": _misses(option, limits)})


def _misses(option: Option, limits: Limits) -> tuple[str, ...]:
    missed = []
    if limits.max_p95_ms is not None and (option.p95_ms or 0) > limits.max_p95_ms + _ROUNDING:
        missed.append("max_p95_ms")
    if limits.max_mb is not None and option.size_mb > limits.max_mb + _ROUNDING:
        missed.append("max_mb")
    if limits.min_macro_f1 is not None and option.macro_f1 < limits.min_macro_f1 - _ROUNDING:
        missed.append("min_macro_f1")
    return tuple(missed)


def _cost(option: Option, ranked_by: str) -> tuple[float, float, str]:
    first = option.p95_ms if ranked_by == "p95_ms" else option.size_mb
    assert first is not None
    return first, option.size_mb, option.cell


def _front(options: Sequence[Option], *, with_latency: bool) -> set[str]:
    """Return the cells that no other dominates; a quantity that some lack is left out."""
    columns = [[-o.macro_f1 for o in options], [o.size_mb for o in options]]
    for values in (
        [o.p95_ms for o in options] if with_latency else [],
        [o.peak_rss_mb for o in options],
    ):
        known = [v for v in values if v is not None]
        if known and len(known) == len(options):
            columns.append(known)
    costs = np.array(columns).T  # (cells, quantities), less is better
    dominated = [bool(((costs <= c).all(1) & (costs < c).any(1)).any()) for c in costs]
    return {o.cell for o, beaten in zip(options, dominated, strict=True) if not beaten}


def _winner(
    options: Sequence[Option], limits: Limits, max_loss: float, ranked_by: str
) -> tuple[Option | None, Option | None]:
    """Return the choice and the best under the limits."""
    fitting = [o for o in options if not _misses(o, limits)]
    if not fitting:
        return None, None
    best = max(fitting, key=lambda o: (o.macro_f1, *(-c for c in _cost(o, ranked_by)[:2])))
    near = [o for o in fitting if o.macro_f1 >= best.macro_f1 - max_loss - _ROUNDING]
    return min(near, key=lambda o: _cost(o, ranked_by)), best


_QUANTITY = {"max_p95_ms": "p95_ms", "max_mb": "size_mb", "min_macro_f1": "macro_f1"}


def _changes(
    options: Sequence[Option], limits: Limits, max_loss: float, ranked_by: str
) -> list[Change]:
    """Return, for the loss and each limit, the nearest values at which the answer is another."""
    now, best = _winner(options, limits, max_loss, ranked_by)
    assert now is not None
    assert best is not None

    def answer(what: str, value: float) -> str | None:
        loss = value if what == "max_loss" else max_loss
        changed = limits if what == "max_loss" else limits.model_copy(update={what: value})
        chosen, _ = _winner(options, changed, loss, ranked_by)
        return chosen.cell if chosen else None

    fitting = [o for o in options if not _misses(o, limits)]
    losses = [best.macro_f1 - o.macro_f1 for o in fitting]
    found = _nearest(
        "max_loss", losses, answer, own=best.macro_f1 - now.macro_f1, limit=max_loss, now=now.cell
    )
    for what, quantity in _QUANTITY.items():
        if what == "max_p95_ms" and ranked_by != "p95_ms":
            continue
        values = [getattr(o, quantity) for o in options]
        own, limit = getattr(now, quantity), getattr(limits, what)
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


def _relaxations(
    options: Sequence[Option], limits: Limits, max_loss: float, ranked_by: str
) -> list[Change]:
    """Return the limits that stand alone in some cell's way, with the nearest value that would do."""
    found = []
    for what, quantity in _QUANTITY.items():
        alone = [getattr(o, quantity) for o in options if _misses(o, limits) == (what,)]
        if alone:
            value = max(alone) if what == "min_macro_f1" else min(alone)
            chosen, _ = _winner(
                options, limits.model_copy(update={what: value}), max_loss, ranked_by
            )
            found.append(
                Change(what=what, at=value, tighter=False, cell=chosen.cell if chosen else None)
            )
    return found

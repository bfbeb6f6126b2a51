"""Which cell to deploy: the cheapest within a stated loss of the best, and what would change that.

Cheapest means the least time in the scenario that is asked for, ties by size. Where times cannot be
compared (unstable, of different machines, of other batches), cheapest means smallest, and the answer says
why. Schemes are different tasks, so each has its own answer. Of a cell's seeds one is judged, by the mean
over all of them: another seed is no rival, and a lucky one no merit.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal, cast

from pydantic import ValidationError

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen
from goemo_eval.judge.choice import (
    Change,
    Limits,
    Option,
    Question,
    Ranking,
    changes,
    cost,
    front,
    misses,
    relaxations,
    winner,
)
from goemo_eval.measure.scenarios import Latency
from goemo_eval.records.comparable import OFFLINE, comparable_set, times_of
from goemo_eval.records.over_seeds import SeedSummary
from goemo_eval.records.schema import Record
from goemo_eval.records.values import shown
from goemo_eval.records.view import Group, View

Way = Literal["batch", "single", "offline"]
WAYS = {"batch": "real", "single": "single", "offline": OFFLINE}
"""How texts come, as it is asked; and the scenario of a record that tells what it takes."""


_EXPECTED = {
    "max_p95_ms": "be a number of at least 0",
    "max_mb": "be a number of at least 0",
    "min_macro_f1": "lie in [0, 1]",
    "max_loss": "lie in [0, 1]",
}


class Recommendation(Frozen):
    """The answer for one scheme."""

    scheme: str
    limits: Limits
    max_loss: float
    scenario: Way
    ranked_by: Ranking
    """The value of an option that was ranked by; ``size_mb`` where times cannot be."""
    times_unused_because: str | None
    """Why times were not ranked by; None where they were."""
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
    """The chosen cell over its seeds, or the cell that `Option.seeds_of` names; None where neither has
    several."""

    def option(self, cell: str) -> Option:
        """Return a judged cell."""
        return next(option for option in self.options if option.cell == cell)


def recommend(
    records: Sequence[Record],
    *,
    max_p95_ms: float | None = None,
    max_mb: float | None = None,
    min_macro_f1: float | None = None,
    max_loss: float = 0.01,
    scenario: str = "batch",
    scheme: str | None = None,
) -> list[Recommendation]:
    """Choose a cell per scheme.

    Parameters
    ----------
    records : sequence of Record
    max_p95_ms : float, optional
        Milliseconds that a batch, or under ``single`` a text, may take in 95 of 100 cases.
    max_mb : float, optional
        Megabytes (10^6 bytes) that it may take on disk.
    min_macro_f1 : float, optional
        Test Macro-F1 that it must reach.
    max_loss : float, default 0.01
        Test Macro-F1, in points, that a cheaper cell may lose against the best that keeps the limits.
    scenario : {"batch", "single", "offline"}, default "batch"
        How texts come: 32 at a time, one at a time (both ranked by p95), or all at once (ranked by time
        per text).
    scheme : str, optional
        Only this one.

    Returns
    -------
    list of Recommendation
        One per scheme with a scored cell, in order of name.

    Raises
    ------
    RecordError
        If an option is out of range, nothing was scored, cells of one scheme were scored on different
        data, seeds of one cell under different recipes, or a limit on times is asked of records whose
        times cannot be compared.
    """
    if scenario not in WAYS:
        raise RecordError(
            f"--scenario must be one of {', '.join(WAYS)}: got {shown(repr(scenario))}"
        )
    way = cast("Way", scenario)
    asked = _question(
        max_p95_ms=max_p95_ms, max_mb=max_mb, min_macro_f1=min_macro_f1, max_loss=max_loss
    )
    if way == "offline" and asked.max_p95_ms is not None:
        raise RecordError(
            "--max-p95-ms: texts that come all at once have no p95: ask for batch or single, or leave "
            "the limit out"
        )
    view = View(records)
    if scheme is not None and scheme not in view.schemes:
        raise RecordError(
            f"--scheme {shown(scheme)}: no such scheme in the records: they have "
            f"{', '.join(view.schemes)}"
        )
    schemes = [view.of_scheme(name) for name in ((scheme,) if scheme else view.schemes)]
    found = [_recommend(cells, asked, way) for cells in schemes if cells.scored]
    if not found:
        raise RecordError("no cell was scored: there is nothing to recommend")
    return found


def _question(**options: object) -> Question:
    try:
        return Question.model_validate(options, strict=True)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise RecordError(
            f"--{name.replace('_', '-')} must {_EXPECTED[name]}: got {shown(repr(options[name]), 60)}"
        ) from None


def _recommend(view: View, asked: Question, way: Way) -> Recommendation:
    scored = view.shown.scored
    if differing := comparable_set(scored, "scores"):
        raise RecordError(
            f"scheme {scored[0].cell.scheme}: cells cannot be compared: {'; '.join(differing)}: pass "
            "records of one data set"
        )
    ranked_by, why = _ranking(scored, way)
    if asked.max_p95_ms is not None and why:
        raise RecordError(
            f"--max-p95-ms cannot be judged: {why}: pass records of one quiet run, or leave the limit out"
        )
    not_judged = {r.cell.id: r.unscored_reason or "not scored" for r in view.shown if not r.scores}
    not_judged |= {r.cell.id: "not timed" for r in scored if not why and not times_of(r, WAYS[way])}
    found = [
        _option(r, view, asked, None if why else WAYS[way])
        for r in scored
        if r.cell.id not in not_judged
    ]
    undominated = front(found, ranked_by)
    options = sorted(
        (o.model_copy(update={"on_front": o.cell in undominated}) for o in found),
        key=lambda o: cost(o, ranked_by),
    )
    chosen, best = winner(options, asked, ranked_by)
    return Recommendation(
        scheme=scored[0].cell.scheme,
        limits=Limits(**{name: getattr(asked, name) for name in Limits.model_fields}),
        max_loss=asked.max_loss,
        scenario=way,
        ranked_by=ranked_by,
        times_unused_because=why or None,
        chosen=chosen.cell if chosen else None,
        best=best.cell if best else None,
        options=tuple(options),
        changes=tuple(changes(options, asked, ranked_by)) if chosen else (),
        relaxations=() if chosen else tuple(relaxations(options, asked, ranked_by)),
        not_judged=dict(sorted(not_judged.items())),
        seeds=_seeds(chosen, view) if chosen else None,
    )


def _ranking(scored: Sequence[Record], way: Way) -> tuple[Ranking, str]:
    """Return what options are ranked by, and why not by time; empty if by time."""
    scenario = WAYS[way]
    timed = [record for record in scored if times_of(record, scenario)]
    if not timed:
        return "size_mb", f"no cell was timed under {scenario}"
    if differing := comparable_set(timed, "times", scenario):
        return "size_mb", "; ".join(differing)
    return "ms_per_text" if way == "offline" else "p95_ms", ""


def _seeds(chosen: Option, view: View) -> SeedSummary | None:
    record = view.find(chosen.seeds_of or chosen.cell)
    assert record is not None
    summary = view.group_of(record).summary
    return summary if summary and len(summary.seeds) > 1 else None


def _option(record: Record, view: View, asked: Question, scenario: str | None) -> Option:
    assert record.scores is not None
    mean, seeds, seeds_of = _mean(view, view.group_of(record))
    times = times_of(record, scenario) if scenario else None
    memory = record.memory
    option = Option(
        cell=record.cell.id,
        macro_f1=mean,
        own_macro_f1=record.scores.test.macro_f1,
        seeds=seeds,
        seeds_of=seeds_of,
        p95_ms=times.p95_s * 1e3 if isinstance(times, Latency) else None,
        ms_per_text=1e3 / times.texts_per_s if times and not isinstance(times, Latency) else None,
        size_mb=record.size_bytes / 1e6,
        peak_rss_mb=memory.peak_rss_bytes / 1e6 if memory else None,
        start_s=memory.start_s if memory else None,
        on_front=False,
        misses=(),
    )
    return option.model_copy(update={"misses": misses(option, asked)})


def _mean(view: View, group: Group) -> tuple[float, tuple[int, ...], str | None]:
    """Return a cell's mean test Macro-F1 over seeds, the seeds, and whose they are if not its own.

    Seeds differ by more than precisions and engines of one seed do. So where a cell has fewer seeds than
    another of its encoder, its mean is estimated: the other's, plus the difference at the seeds they share.
    """
    own = _by_seed(group)
    peers = [g for g in view.groups if g.cell.encoder == group.cell.encoder]
    # FP32 and the reference engine come first among groups with as many seeds.
    leader = max(peers, key=lambda g: (len(_by_seed(g)), g.cell.precision == "fp32"))
    theirs = _by_seed(leader)
    shared = own.keys() & theirs.keys()
    if len(theirs) <= len(own) or not shared:
        summary = group.summary
        assert summary is not None
        return summary.test_macro_f1.mean, summary.seeds, None
    summary = leader.summary
    assert summary is not None
    difference = fmean(own[seed] - theirs[seed] for seed in shared)
    return summary.test_macro_f1.mean + difference, summary.seeds, leader.shown.cell.id


def _by_seed(group: Group) -> dict[int, float]:
    return {r.cell.seed: r.scores.test.macro_f1 for r in group.records if r.scores}

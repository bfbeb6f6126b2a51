"""The first screen: per scheme which cell to deploy, its price, and why to believe it."""

from __future__ import annotations

import re

from goemo_eval.judge.recommend import Recommendation
from goemo_eval.measure.statistics import Interval
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.document import Answer, Answers, Block, Column, Fold, table
from goemo_eval.report.findings import Findings
from goemo_eval.report.floor import FLOOR, PAID_IN, bought, floor_of, is_floor, is_worth_it
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.sections.advice import advice, told
from goemo_eval.report.seeds import over_seeds_text
from goemo_eval.report.text import DASH, escape, listed, number, spread
from goemo_eval.report.times import is_unstable, mark, short

_MOST_CHANGES = 3
_SAME = 0.0005  # what three digits do not show


def answers(found: Findings) -> list[Block]:
    """Return the boxes, what was not scored, and what lies behind the answers."""
    blocks: list[Block] = []
    if found.refusal:
        blocks.append(f"No recommendation: {escape(short(found.refusal))}.")
    boxes = [_box(found, one) for one in found.recommendations]
    blocks += [Answers(boxes)] if boxes else []
    if unscored := _not_scored(found.view):
        blocks.append(unscored)
    return blocks + [block for one in found.recommendations for block in _behind(one, found)]


def _box(found: Findings, said: Recommendation) -> Answer:
    shown, intervals = found.view.shown.of_scheme(said.scheme), found.intervals
    chosen = shown.find(said.chosen or "")
    if chosen is None:  # nothing was asked, so this takes cells without any latency
        return Answer(said.scheme, "no cell could be judged", [])
    floor, gain = floor_of(shown), intervals.floor.get(chosen.cell.id)
    rejected = floor and not is_floor(chosen) and gain and not is_worth_it(gain)
    answer = floor if floor and rejected else chosen
    headline = f"deploy **{escape(answer.cell.id)}**"
    if rejected:
        headline += f"; {escape(chosen.cell.id)} is not worth its cost"
    facts = [
        ("Scores", _scores(answer, said, intervals)),
        ("Loses to the best", _loss(answer, found, said)),
        ("Gains over the floor", _gain(answer, chosen, floor, intervals, max_loss=said.max_loss)),
        ("How fast", _speed(answer)),
        ("How large", _size(answer)),
        ("Believe it because", _reasons(found.view, answer)),
        ("Would change it", _changes(said)),
    ]
    return Answer(said.scheme, headline, facts)


def _scores(record: Record, said: Recommendation, intervals: Intervals) -> str:
    assert record.scores is not None
    text = f"test Macro-F1 **{number(record.scores.test.macro_f1)}**"
    if ends := intervals.ends(record.cell):
        text += f" (95 % {spread(*ends)})"
    option = next((o for o in said.options if o.cell == record.cell.id), None)
    if option and len(option.seeds) > 1:
        about = "" if option.seeds_of is None else "about "
        text += f"; {about}{number(option.macro_f1)} on average over {len(option.seeds)} seeds"
        if option.seeds_of is None and said.seeds:
            text += f" ({over_seeds_text(said.seeds.test_macro_f1)})"
    return text


def _loss(record: Record, found: Findings, said: Recommendation) -> str:
    best = found.best[said.scheme]
    if best.cell == record.cell:
        return "nothing: no cell scores higher"
    means = {option.cell: option.macro_f1 for option in said.options}
    certain = found.intervals.best.get(record.cell.id)
    change = certain.point if certain else 0.0
    if record.cell.id in means and best.cell.id in means:
        change = means[record.cell.id] - means[best.cell.id]
    # The interval is of the seeds that are shown, the change of the means over all of them.
    at = "" if certain is None or abs(certain.point - change) < _SAME else "at one seed "
    between = f" ({at}{spread(certain.low, certain.high, signed=True)})" if certain else ""
    return (
        f"{number(change, signed=True)}{between} against {escape(best.cell.id)}; {said.max_loss:g} may be lost to a "
        "cheaper cell"
    )


def _gain(
    record: Record,
    chosen: Record,
    floor: Record | None,
    intervals: Intervals,
    *,
    max_loss: float,
) -> str:
    if floor is None:
        return f"unknown: no cell of {FLOOR} was scored"
    if record.cell != floor.cell:
        certain = intervals.floor.get(record.cell.id)
        text = f"{_over(record, floor)}{_between(certain)} over {escape(floor.cell.id)}"
        anew = intervals.floor_over_seeds.get(record.cell.id)
        if anew is None:
            return text
        between = f"over seeds and texts {spread(anew.low, anew.high, signed=True)}"
        return f"{text}; trained anew {number(anew.point, signed=True)} ({between})"
    if record.cell == chosen.cell:
        return f"it is the floor, and no cell gains more than {max_loss:g} over it"
    certain = intervals.floor.get(chosen.cell.id)
    return (
        f"it is the floor: {escape(chosen.cell.id)} gains {_over(chosen, floor)}{_between(certain)} over it, "
        "which is not beyond chance"
    )


def _over(record: Record, floor: Record) -> str:
    assert record.scores is not None
    assert floor.scores is not None
    return number(record.scores.test.macro_f1 - floor.scores.test.macro_f1, signed=True)


def _between(interval: Interval | None) -> str:
    return f" ({spread(interval.low, interval.high, signed=True)})" if interval else ""


def _speed(record: Record) -> str:
    said = []
    if real := record.latency.get("real"):
        times = f"{number(real.p50_s * 1e3, 1)} ms per batch of {real.batch_size} (p95 {number(real.p95_s * 1e3, 1)})"
        said.append(mark(times, unstable=is_unstable(record, "real")))
    if single := record.latency.get("single"):
        times = (
            f"{number(single.p50_s * 1e3, 1)} ms for one text (p95 {number(single.p95_s * 1e3, 1)})"
        )
        said.append(mark(times, unstable=is_unstable(record, "single")))
    if record.offline:
        rate = f"{record.offline.texts_per_s:,.0f} texts/s"
        said.append(mark(rate, unstable=is_unstable(record, "offline")))
    return "; ".join(said) or "not timed"


def _size(record: Record) -> str:
    said = [f"{number(record.size_bytes / 1e6, 1)} MB on disk"]
    if record.memory:
        said.append(f"{number(record.memory.peak_rss_bytes / 1e6, 0)} MB of memory at most")
        said.append(f"first answer after {number(record.memory.start_s, 1)} s")
    return ", ".join(said)


def _reasons(view: View, record: Record) -> str:
    said = []
    if record.decisions:
        said.append(f"{record.decisions.rows:,} test texts that nothing was fitted on")
    seeds = view.group_of(record).seeds
    said.append(f"{len(seeds)} seeds" if len(seeds) > 1 else f"one seed ({seeds[0]})")
    if real := record.latency.get("real"):
        stable = "unstable" if is_unstable(record, "real") else "stable"
        said.append(f"{len(real.times_s)} {stable} times")
    found = record.environment
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    said.append(f"{escape(short(found.cpu_model))}, {threads}")
    return "; ".join(said)


def _changes(said: Recommendation) -> str:
    """Return the nearest changes of the question that lead to another cell."""
    lines = [_uncapped(escape(told(change))) for change in said.changes if change.cell]
    if said.times_unused_because:
        lines.insert(0, "times that may be compared: cheapest means smallest here")
    return "; ".join(lines[:_MOST_CHANGES]) or "no limit, and no other loss, that leaves a cell"


def _uncapped(sentence: str) -> str:
    """Return a sentence as a part of one; options are code, which is not broken at its dashes."""
    text = sentence[0].lower() + sentence[1:].removesuffix(".")
    return re.sub(r"--[a-z0-9-]+", r"`\g<0>`", text)


def _not_scored(view: View) -> str:
    """Return what the page cannot say, by reason."""
    reasons: dict[str, list[str]] = {}
    for record in view:
        if record.scores is None:
            reasons.setdefault(record.unscored_reason or "not scored", []).append(record.cell.id)
    return "\n".join(
        f"- {len(cells)} of {len(view)} cells were not scored, and are not judged "
        f"({escape(listed(cells, most=2))}): {escape(short(reason))}"
        for reason, cells in reasons.items()
    )


def _behind(said: Recommendation, found: Findings) -> list[Block]:
    """Return, folded, every change of the question that changes the answer, and the Pareto front."""
    floor = floor_of(found.view.shown.of_scheme(said.scheme))
    every = zip(said.options, bought(said, floor, found.intervals.floor), strict=True)
    rows = [(option, paid) for option, paid in every if option.on_front]
    front = [option for option, _ in rows]
    body: list[Block] = [
        "\n".join(f"- {escape(line)}" for line in advice(said)[1:]),
        (
            "`goemo-eval recommend records.json` asks again under limits of your own. No cell beats one of "
            "these in everything:"
        ),
        *table(
            Column("cell", "", [escape(o.cell) for o in front], words=True),
            Column(
                "test Macro-F1",
                "mean over seeds" if any(len(o.seeds) > 1 for o in front) else "",
                [number(o.macro_f1) for o in front],
            ),
            Column(
                "over the floor",
                f"test Macro-F1 minus {FLOOR}'s at the shown seed, paired 95 % interval",
                [spread(p.gain.low, p.gain.high, signed=True) if p.gain else DASH for _, p in rows],
            ),
            Column(
                f"points per {PAID_IN[said.ranked_by]}",
                "hundredths of Macro-F1, gained beyond chance, for each one beyond the floor's",
                [number(p.per_cost, 2, signed=True) for _, p in rows],
            ),
            Column("p95 (ms)", "per batch", [number(o.p95_ms, 1) for o in front]),
            Column("size (MB)", "on disk", [number(o.size_mb, 1) for o in front]),
            Column("memory (MB)", "at most", [number(o.peak_rss_mb, 0) for o in front]),
        ),
    ]
    return [Fold(f"{said.scheme}: what would change the answer, and the Pareto front", body)]

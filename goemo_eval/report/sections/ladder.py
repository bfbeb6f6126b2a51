"""How many layers of an encoder buy what, where it was measured with several numbers of them."""

from __future__ import annotations

import itertools

from goemo_eval.measure.statistics import Interval
from goemo_eval.records.view import Reference, View
from goemo_eval.report.document import Block, Column, table
from goemo_eval.report.floor import is_worth_it
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.ladder import ladders
from goemo_eval.report.sections.columns import gain_column, gain_text
from goemo_eval.report.seed_gains import SeedGain
from goemo_eval.report.text import encoder_name, escape, number
from goemo_eval.report.times import is_unstable, mark


def ladder(view: View, intervals: Intervals) -> list[Block]:
    """Return what more layers gain, in words and as a table; nothing where no encoder has two rungs."""
    found = ladders(view)
    if not found:
        return []
    rungs = [rung for one in found for rung in one]
    ids = [rung.shown.cell.id for rung in rungs]
    batches = [rung.shown.latency.get("real") for rung in rungs]
    times = [
        mark(number(t.p50_s * 1e3 if t else None, 1), unstable=is_unstable(r.shown, "real"))
        for r, t in zip(rungs, batches, strict=True)
    ]
    between = "test Macro-F1 minus that with the {} layers, paired 95 % interval over texts"
    return [
        "**How many layers buy what**, in FP32",
        "\n".join(f"- {_told(one, intervals)}" for one in found),
        *table(
            Column("model", "", [escape(encoder_name(r.named)) for r in rungs], words=True),
            Column("scheme", "", [escape(r.named.scheme) for r in rungs], words=True),
            Column("parameters (M)", "", [number(r.shown.parameters / 1e6, 1) for r in rungs]),
            Column("test", "at the shown seed", [_test(r) for r in rungs]),
            Column(
                "over the next fewer",
                between.format("next fewer"),
                [gain_text(intervals.fewer.get(i)) for i in ids],
            ),
            gain_column(
                "over the fewest",
                between.format("fewest"),
                ids,
                shown=intervals.fewest,
                anew=intervals.fewest_over_seeds,
            ),
            Column("ms per batch", "p50, real lengths", times),
            Column("MB", "on disk", [number(r.shown.size_bytes / 1e6, 1) for r in rungs]),
        ),
    ]


def _told(rungs: tuple[Reference, ...], intervals: Intervals) -> str:
    """Say which of them gain beyond chance over the fewest layers, and which over the next fewer."""
    lowest, *more = rungs
    scheme, least = (escape(w) for w in (lowest.named.scheme, lowest.named.encoder))
    gains = [(rung, gain) for rung in more if (gain := _over_fewest(rung, intervals))]
    above = [_gain(rung, gain) for rung, gain in gains if is_worth_it(gain)]
    level = [escape(rung.shown.cell.encoder) for rung, gain in gains if not is_worth_it(gain)]
    said = f"{', '.join(above)} beyond chance" if above else "nothing beyond chance"
    if above and level:
        said += f"; {', '.join(level)} not"
    if any(isinstance(gain, SeedGain) for _, gain in gains):
        said += ", by the means over seeds where both have several"
    steps = [
        f"{_gain(upper, gain)} over {escape(lower.shown.cell.encoder)}"
        for lower, upper in itertools.pairwise(more)
        if (gain := intervals.fewer.get(upper.shown.cell.id)) and is_worth_it(gain)
    ]
    text = f"Under {scheme}, gained over {least}: {said}."
    return (
        f"{text} Over the next fewer layers, at the shown seed: {', '.join(steps)}."
        if steps
        else text
    )


def _over_fewest(rung: Reference, intervals: Intervals) -> Interval | SeedGain | None:
    """Return the gain by the means over seeds; at the shown seed where either has but one."""
    cell = rung.shown.cell.id
    return intervals.fewest_over_seeds.get(cell) or intervals.fewest.get(cell)


def _gain(rung: Reference, gain: Interval | SeedGain) -> str:
    return f"{escape(rung.shown.cell.encoder)} {number(gain.point, signed=True)}"


def _test(rung: Reference) -> str:
    scores = rung.shown.scores
    return number(scores.test.macro_f1 if scores else None)

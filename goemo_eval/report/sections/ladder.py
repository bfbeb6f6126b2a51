"""How many layers of an encoder buy what, where it was measured with several numbers of them."""

from __future__ import annotations

import itertools

from goemo_eval.records.view import Reference, View
from goemo_eval.report.document import Block, Column, table
from goemo_eval.report.floor import is_worth_it
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.ladder import ladders
from goemo_eval.report.text import DASH, encoder_name, escape, number, spread
from goemo_eval.report.times import is_unstable, mark


def ladder(view: View, intervals: Intervals) -> list[Block]:
    """Return what each step up gains, in words and as a table; nothing where no encoder has two rungs."""
    found = ladders(view)
    if not found:
        return []
    rungs = [rung for one in found for rung in one]
    gains = [intervals.fewer.get(rung.shown.cell.id) for rung in rungs]
    batches = [rung.shown.latency.get("real") for rung in rungs]
    times = [
        mark(number(t.p50_s * 1e3 if t else None, 1), unstable=is_unstable(r.shown, "real"))
        for r, t in zip(rungs, batches, strict=True)
    ]
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
                "test Macro-F1 minus that with the next fewer layers, paired 95 % interval over texts",
                [
                    (spread(i.low, i.high, signed=True) + ("" if is_worth_it(i) else " (chance)"))
                    if i
                    else DASH
                    for i in gains
                ],
            ),
            Column("ms per batch", "p50, real lengths", times),
            Column("MB", "on disk", [number(r.shown.size_bytes / 1e6, 1) for r in rungs]),
        ),
    ]


def _told(rungs: tuple[Reference, ...], intervals: Intervals) -> str:
    """Say which steps up are beyond chance."""
    steps = [
        f"{escape(upper.shown.cell.encoder)} gains {number(gain.point, signed=True)} over "
        f"{escape(lower.shown.cell.encoder)}"
        for lower, upper in itertools.pairwise(rungs)
        if (gain := intervals.fewer.get(upper.shown.cell.id)) and is_worth_it(gain)
    ]
    said = "; ".join(steps) or "no step up gains anything"
    more = (
        " beyond chance; no other step does"
        if 0 < len(steps) < len(rungs) - 1
        else " beyond chance"
    )
    scheme, least = (escape(w) for w in (rungs[0].named.scheme, rungs[0].named.encoder))
    return f"Under {scheme}, from {least} up: {said}{more}."


def _test(rung: Reference) -> str:
    scores = rung.shown.scores
    return number(scores.test.macro_f1 if scores else None)

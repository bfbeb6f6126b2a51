"""A recommendation in sentences: the answer, its price, and what would change it."""

from __future__ import annotations

import math

from goemo_eval.judge.recommend import Change, Recommendation


def advice(found: Recommendation) -> list[str]:
    """Return a recommendation as plain sentences, the answer first."""
    if found.chosen is None:
        return ["No cell keeps the limits.", *_what_would_do(found)]
    assert found.best is not None
    chosen, best = found.option(found.chosen), found.option(found.best)
    cost = f", p95 {chosen.p95_ms:.1f} ms per batch" if chosen.p95_ms is not None else ""
    lines = [f"{chosen.cell}: test Macro-F1 {chosen.macro_f1:.3f}{cost}, {chosen.size_mb:.1f} MB."]
    if best.cell == chosen.cell:
        lines.append("No cell that keeps the limits scores higher.")
    else:
        lines.append(
            f"It loses {best.macro_f1 - chosen.macro_f1:.3f} against the best, {best.cell} "
            f"({best.macro_f1:.3f}); {found.max_loss:g} is allowed."
        )
    if seeds := seed_advice(found):
        lines.append(seeds)
    if found.ranked_by == "size_mb":
        lines.append(
            "Cheapest means smallest here: latency was not measured, or not under one set of conditions."
        )
    return lines + [told(change) for change in found.changes]


def seed_advice(found: Recommendation) -> str:
    """Return a sentence on what other seeds scored; empty where there are none."""
    if found.seeds is None:
        return ""
    seeds, f1 = found.seeds.seeds, found.seeds.test_macro_f1
    assert f1.low is not None
    assert f1.high is not None
    listed = ", ".join(map(str, seeds))
    average = f"{f1.mean:.3f} on average (95 % interval over seeds {f1.low:.3f} to {f1.high:.3f})"
    ids = {found.seeds.cell.model_copy(update={"seed": seed}).id for seed in seeds}
    if found.chosen in ids:
        return (
            f"Its seed is one of {len(seeds)}: over seeds {listed} its test Macro-F1 is {average}."
        )
    return (
        f"It was measured under one of the {len(seeds)} seeds of {found.seeds.cell.id}, whose test Macro-F1 "
        f"over seeds {listed} is {average}."
    )


def told(change: Change) -> str:
    """Return one change as a sentence; its value is rounded to where the sentence stays true."""
    option = "--" + change.what.replace("_", "-")
    least = change.what == "min_macro_f1"
    digits = 4 if change.what in ("min_macro_f1", "max_loss") else 1
    # 46.74 MB: "46.8 or more" lets it in, "below 46.7" keeps it out.
    round_away = math.ceil if change.tighter == least else math.floor
    value = f"{round_away(round(change.at * 10**digits, 6)) / 10**digits:.{digits}f}"
    if change.tighter:
        where = f"{option} {'above' if least else 'below'} {value}"
    else:
        where = f"{option} {value} or {'less' if least else 'more'}"
    return f"With {where}: {change.cell or 'no cell'}."


def _what_would_do(found: Recommendation) -> list[str]:
    if not found.relaxations:
        return ["Every cell misses two limits or more: no single one stands in the way."]
    return [told(change) for change in found.relaxations]

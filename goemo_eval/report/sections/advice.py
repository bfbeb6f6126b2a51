"""A recommendation in sentences: the answer, its price, and what would change it."""

from __future__ import annotations

import math

from goemo_eval.judge.choice import Change, Option
from goemo_eval.judge.recommend import Recommendation


def advice(found: Recommendation) -> list[str]:
    """Return a recommendation as plain sentences, the answer first."""
    if found.chosen is None:
        return ["No cell keeps the limits.", *_what_would_do(found)]
    assert found.best is not None
    chosen, best = found.option(found.chosen), found.option(found.best)
    lines = [f"{chosen.cell}: test Macro-F1 {chosen.macro_f1:.3f}{cost_text(chosen, found)}."]
    if best.cell == chosen.cell:
        lines.append("No cell that keeps the limits scores higher.")
    else:
        lines.append(
            f"It loses {best.macro_f1 - chosen.macro_f1:.3f} against the best, {best.cell} "
            f"({best.macro_f1:.3f}); {found.max_loss:g} is allowed."
        )
    if seeds := seed_advice(found):
        lines.append(seeds)
    if found.times_unused_because:
        lines.append(f"Cheapest means smallest here: {found.times_unused_because}.")
    return lines + [told(change) for change in found.changes]


def cost_text(option: Option, found: Recommendation) -> str:
    """Return what a cell costs, to follow its score."""
    text = f", {option.size_mb:.1f} MB"
    if found.ranked_by == "p95_ms" and option.p95_ms is not None:
        what = "for one text" if found.scenario == "single" else "per batch"
        text = f", p95 {option.p95_ms:.1f} ms {what}{text}"
    if found.ranked_by == "ms_per_text" and option.ms_per_text is not None:
        text = f", {1e3 / option.ms_per_text:,.0f} texts/s{text}"
    return text


def seed_advice(found: Recommendation) -> str:
    """Return a sentence on what other seeds scored; empty where there are none."""
    if found.seeds is None or found.chosen is None:
        return ""
    seeds, f1 = found.seeds.seeds, found.seeds.test_macro_f1
    listed = ", ".join(map(str, seeds))
    between = (
        f" (95 % interval over seeds {f1.low:.3f} to {f1.high:.3f})"
        if f1.low is not None and f1.high is not None
        else ""
    )
    chosen = found.option(found.chosen)
    if chosen.seeds_of is None:
        return f"Its test Macro-F1 is the mean over seeds {listed}{between}."
    return (
        f"Its test Macro-F1 is estimated: {found.seeds.cell.id} scores {f1.mean:.3f} on average over seeds "
        f"{listed}{between}, and this cell {chosen.macro_f1 - f1.mean:+.3f} to that at the seed that both have."
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

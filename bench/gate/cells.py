"""One cell: false alarms, losses found, and coverage, of the gate's interval and of others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from goemo_eval.measure.significance import detectable_drop, swap_test
from goemo_eval.measure.statistics import Method, resample

from .keeping import Drawn, Kept, share
from .tables import table
from .world import ANEW, FULL, Model, noisier, thresholds_of, true_drop, weaker

PAIRS, RESAMPLES, ALPHA, LOSS = 800, 1000, 0.05, 0.025
METHODS: tuple[Method, ...] = ("studentized", "percentile", "bca")


@dataclass(frozen=True)
class Case:
    """A baseline and a candidate."""

    title: str
    baseline: Model
    candidate: Model


_SAME, _ANEW = Model(), Model(private=ANEW)
CASES = {
    "same": Case("same model, nothing lost", _SAME, _SAME),
    "weaker": Case("same model, 0.025 lost by weaker scores", _SAME, weaker(FULL, _SAME, LOSS)),
    "noisier": Case("same model, 0.025 lost by noisier scores", _SAME, noisier(FULL, _SAME, LOSS)),
    "anew": Case("trained anew, nothing lost", _ANEW, _ANEW),
    "anew-weaker": Case("trained anew, 0.025 lost", _ANEW, weaker(FULL, _ANEW, LOSS)),
}


def draw(case: Case, rng: np.random.Generator) -> Drawn:
    """Draw one pair and return what each method says of it."""
    thresholds = thresholds_of(FULL, case.baseline)
    truth, hard = FULL.truth(rng), FULL.noise(rng)
    first = case.baseline.decide(truth, hard, FULL.noise(rng), thresholds)
    second = case.candidate.decide(truth, hard, FULL.noise(rng), thresholds)
    seed = int(rng.integers(2**31))
    drawn = resample(truth, (first, second), n_resamples=RESAMPLES, seed=seed)
    said: Drawn = {
        "changed": float((first != second).sum() / first.sum()),
        "drop": -drawn.point,
        "error": drawn.standard_error,
        "p": drawn.p_value(0.0),
        "swap_p": swap_test(truth, first, second, n_swaps=RESAMPLES, seed=seed).macro_f1,
    }
    for method in METHODS:
        for name, confidence in (("gate", 1 - 2 * ALPHA), ("95", 0.95)):
            interval = drawn.interval(confidence=confidence, method=method)
            said[f"{method} {name}"] = [-interval.high, -interval.low]
    return said


def run(kept: Kept) -> dict[str, Any]:
    """Draw the pairs of every case and summarize them."""
    return {
        name: _summary(
            case,
            kept.draw("cells", name, PAIRS, partial(draw, case), resamples=RESAMPLES, loss=LOSS),
        )
        for name, case in CASES.items()
    }


def _summary(case: Case, pairs: list[Drawn]) -> dict[str, Any]:
    true = true_drop(FULL, case.baseline, case.candidate)
    columns = {name: np.array([pair[name] for pair in pairs]) for name in pairs[0]}
    error = columns["error"].mean()
    calls: dict[str, float] = {m: float((columns[f"{m} gate"][:, 0] > 0).mean()) for m in METHODS}
    calls["swap test"] = float((columns["swap_p"] <= ALPHA).mean())
    covered = {}
    for method in METHODS:
        low, high = columns[f"{method} 95"].T
        covered[method] = float(((low <= true) & (true <= high)).mean())
    disagree = (columns["p"] <= ALPHA) != (columns["studentized gate"][:, 0] > 0)
    return {
        "title": case.title,
        "pairs": len(pairs),
        "changed": float(columns["changed"].mean()),
        "true_drop": true,
        "spread_of_drop": float(columns["drop"].std(ddof=1)),
        "mean_standard_error": float(error),
        "detectable_drop": detectable_drop(float(error), alpha=ALPHA),
        "called": calls,
        "covered_95": covered,
        "p_value_and_interval_disagree": int(disagree.sum()),
    }


def render(found: dict[str, Any]) -> str:
    """Return the section of the report."""
    cases = found.values()
    facts = [
        (
            case["title"],
            f"{100 * case['changed']:.0f} in 100",
            f"{case['true_drop']:.3f}",
            f"{case['spread_of_drop']:.4f}",
            f"{case['mean_standard_error']:.4f}",
            f"{case['detectable_drop']:.3f}",
        )
        for case in cases
    ]
    called = [
        (c["title"], *(share(c["called"][way]) for way in (*METHODS, "swap test"))) for c in cases
    ]
    covered = [(c["title"], *(share(c["covered_95"][m]) for m in METHODS)) for c in cases]
    pairs = next(iter(cases))["pairs"]
    heads = ("decisions that change", "true drop", "spread of the drop", "standard error")
    disagree = sum(case["p_value_and_interval_disagree"] for case in cases)
    return f"""## One cell

{pairs:,} pairs of models a row, on {FULL.number:,} texts and {len(FULL.shares)} labels, {RESAMPLES:,} resamples each.

{table(facts, "", *heads, "detectable drop")}

Decisions that change: labels that a text gains or loses, for each 100 that the baseline gives. Detectable drop:
the smallest one that the gate would call in 80 of 100 cases, by the standard error.

Called a regression at `--max-drop 0 --alpha {ALPHA:g}`: a false alarm where nothing was lost, and what the gate is for
elsewhere. The gate uses `studentized`; its p-value and its interval disagreed in {disagree} of all pairs.

{table(called, "", *METHODS, "swap test")}

True drop inside the 95 % interval:

{table(covered, "", *METHODS)}

The swap test is exact where nothing was lost, but it knows no budget above zero.
"""

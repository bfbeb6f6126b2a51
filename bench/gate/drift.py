"""Losses that each keep the budget: how far they get with and without an anchor."""

from __future__ import annotations

from typing import Any

import numpy as np

from goemo_eval.measure.significance import holm_levels

from .judged import p_value
from .keeping import Drawn, Kept, share
from .tables import table
from .world import FULL, Model, thresholds_of, weaker

PROJECTS, STEPS, RESAMPLES, ALPHA = 200, 9, 1000, 0.05
STEP, BUDGET = 0.009, 0.01


def draw(rng: np.random.Generator) -> Drawn:
    """Draw a project that loses `STEP` at every commit, and accepts every commit as its new baseline."""
    first = Model()
    thresholds = thresholds_of(FULL, first)
    truth, hard = FULL.truth(rng), FULL.noise(rng)
    states = [first] + [weaker(FULL, first, STEP * n) for n in range(1, STEPS + 1)]
    decided = [state.decide(truth, hard, FULL.noise(rng), thresholds) for state in states]
    alone, anchored = [], []
    for n in range(1, STEPS + 1):
        seed = int(rng.integers(2**31))
        p_last, p_anchor = (
            p_value(
                truth, old, decided[n], budget=BUDGET, least=ALPHA, n_resamples=RESAMPLES, seed=seed
            )[1]
            for old in (decided[n - 1], decided[0])
        )
        alone.append(p_last <= ALPHA)
        both = np.array([p_last] if n == 1 else [p_last, p_anchor])  # at first they are one
        anchored.append(bool((both <= holm_levels(both, ALPHA)).any()))
    return {"alone": [bool(a) for a in alone], "anchored": anchored}


def run(kept: Kept) -> dict[str, Any]:
    """Draw the projects and summarize them."""
    projects = kept.draw("drift", "steps", PROJECTS, draw, resamples=RESAMPLES, step=STEP)
    return {
        "projects": len(projects),
        "called_by": {
            way: np.maximum.accumulate([project[way] for project in projects], axis=1)
            .mean(axis=0)
            .tolist()
            for way in ("alone", "anchored")
        },
    }


def render(found: dict[str, Any]) -> str:
    """Return the section of the report."""
    called = found["called_by"]
    rows = [
        (str(n), f"{STEP * n:.3f}", share(called["alone"][n - 1]), share(called["anchored"][n - 1]))
        for n in range(1, STEPS + 1)
    ]
    return f"""## Small losses that add up

{found["projects"]} projects that lose {STEP:g} at every commit, with `--max-drop {BUDGET:g}`, and accept each as the new baseline. Projects in which any
commit so far was called a regression:

{table(rows, "commit", "lost in all", "the last baseline alone", "with the anchor")}
"""

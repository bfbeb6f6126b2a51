"""Several seeds a side: how often the mean of three proves a recipe worse that is not, and what it can tell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from goemo_eval.measure.f1 import f1_from_counts
from goemo_eval.measure.resampling import text_sums
from goemo_eval.measure.two_level import two_level_bootstrap

from .keeping import Drawn, Kept, share
from .tables import table
from .world import ANEW, SEPARATION, SMALL, Bools, Model, thresholds_of, true_drop

RECIPES, RESAMPLES, ALPHA = 300, 500, 0.05
SEEDS = (2, 3, 5, 10)
LUCK = 0.05
"""Standard deviation of a run's separation over seeds."""
INT8 = 0.05


@dataclass(frozen=True)
class Case:
    """Two recipes of the same quality, and what their runs share."""

    title: str
    luck: float
    paired: bool


CASES = {
    "anew": Case("another recipe, its seeds equally good", 0.0, paired=False),
    "anew-luck": Case("another recipe, its seeds not equally good", LUCK, paired=False),
    "int8-luck": Case("the same runs at another precision", LUCK, paired=True),
}
WAYS = ("the gate", "seeds and texts drawn, percentiles", "texts alone", "seeds alone (t)")
_MODEL = Model(private=ANEW)


def draw(case: Case, seeds: int, rng: np.random.Generator) -> Drawn:
    """Draw two recipes of one quality, and return which ways call the second worse."""
    thresholds = thresholds_of(SMALL, _MODEL)
    truth, hard = SMALL.truth(rng), SMALL.noise(rng)
    sides: list[list[Bools]] = []
    runs: list[tuple[Model, Any]] = []
    for side in range(2):
        if side == 0 or not case.paired:
            luck = case.luck * rng.standard_normal(seeds)
            runs = [(Model(ANEW, SEPARATION + one), SMALL.noise(rng)) for one in luck]
        decided = []
        for model, own in runs:
            mixed = np.sqrt(1 - INT8**2) * own + INT8 * SMALL.noise(rng)
            decided.append(model.decide(truth, hard, mixed.astype(np.float32), thresholds))
        sides.append(decided)
    options = {"n_resamples": RESAMPLES, "seed": int(rng.integers(2**31))}
    found = two_level_bootstrap(truth, *sides, paired=True, **options)  # type: ignore[arg-type]
    low, high = found.interval(1 - 2 * ALPHA)
    plain = _plain(truth, sides, rng)
    drops = plain.pop("drops")
    error = drops.std(ddof=1) / np.sqrt(seeds)
    from scipy.special import stdtr

    return {
        "called": [
            high < 0,
            *plain["called"],
            bool(stdtr(seeds - 1, -drops.mean() / error) <= ALPHA) if error else False,
        ],
        "covered": bool(low <= 0 <= high),
        "detectable": found.detectable(alpha=ALPHA),
        "needed": found.seeds_needed(0.02, alpha=ALPHA),
    }


def _plain(truth: Bools, sides: list[list[Bools]], rng: np.random.Generator) -> dict[str, Any]:
    """Draw S seeds of S, then texts, and take percentiles; and the same for the texts alone."""
    seeds = len(sides[0])
    rows = text_sums(truth, [*sides[0], *sides[1]])
    shape = rows.shape[1:]
    flat = rows.reshape(len(rows), -1)
    weights = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLES)
    sums = (weights.astype(np.float32) @ flat).reshape(-1, *shape)
    total = rows.sum(axis=0, dtype=np.float64)
    scores = f1_from_counts(sums[:, :, 0], sums[:, :, 1], 0).mean(axis=-1)
    points = f1_from_counts(total[:, 0], total[:, 1], 0).mean(axis=-1)
    values = scores[:, :seeds] - scores[:, seeds:]  # (B, S): drops
    drawn = rng.integers(0, seeds, (RESAMPLES, seeds))
    both = np.take_along_axis(values, drawn, axis=1).mean(axis=1)
    return {
        "called": [
            bool(np.quantile(both, ALPHA) > 0),
            bool(np.quantile(values.mean(axis=1), ALPHA) > 0),
        ],
        "drops": points[:seeds] - points[seeds:],
    }


def run(kept: Kept) -> dict[str, Any]:
    """Draw the recipes of every case and number of seeds, and summarize them."""
    found = {}
    for name, case in CASES.items():
        for seeds in SEEDS:
            drawn = kept.draw(
                "seeds",
                f"{name}-{seeds}",
                RECIPES,
                partial(draw, case, seeds),
                resamples=RESAMPLES,
                luck=LUCK,
            )
            needed = [one["needed"] for one in drawn if one["needed"] is not None]
            found[f"{name}-{seeds}"] = {
                "title": case.title,
                "seeds": seeds,
                "recipes": len(drawn),
                "called": np.mean([one["called"] for one in drawn], axis=0).tolist(),
                "covered_90": float(np.mean([one["covered"] for one in drawn])),
                "detectable": float(np.median([one["detectable"] for one in drawn])),
                "needed": float(np.median(needed)) if len(needed) > len(drawn) / 2 else None,
            }
    return found


def render(found: dict[str, Any]) -> str:
    """Return the section of the report."""
    alarms = [
        (c["title"], str(c["seeds"]), *map(share, c["called"]), share(c["covered_90"]))
        for c in found.values()
    ]
    told = [
        (
            c["title"],
            str(c["seeds"]),
            f"{c['detectable']:.3f}",
            "—" if c["needed"] is None else f"{c['needed']:.0f}",
        )
        for c in found.values()
    ]
    recipes = next(iter(found.values()))["recipes"]
    spread = true_drop(SMALL, _MODEL, Model(ANEW, SEPARATION - LUCK))
    return f"""## Several seeds

{recipes} pairs of recipes a row that are equally good, on {SMALL.number:,} texts; where seeds differ in quality, their Macro-F1 varies by {spread:.3f}.
The second recipe called worse, at `--alpha {ALPHA:g}`, and the gate's 90 % interval over the true difference:

{table(alarms, "", "seeds", *WAYS, "covered")}

What the gate says that so many seeds can tell (the median), and how many it takes for a drop of 0.02:

{table(told, "", "seeds", "smallest drop told", "seeds for 0.02")}

With three seeds only large drops can be told, as W. Du found (When +1% is not enough, arXiv:2511.19794). Where seeds differ in quality, intervals that know
of texts alone cry wolf; drawing as many seeds as there are is a little short with two or three. The gate's interval is close to what it
promises from three seeds on, not with two; where runs differ by little more than their texts it is wider than need be.
"""

"""What `goemo-eval power` promises from a baseline alone, against what the gate then sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import norm

from goemo_eval.measure.forecast import difference_variance, exchange
from goemo_eval.measure.significance import detectable_drop

from .judged import p_value
from .keeping import Drawn, Kept, share
from .tables import table
from .world import ANEW, FULL, Model, thresholds_of, weaker

PAIRS, RESAMPLES, ALPHA = 400, 1000, 0.05


@dataclass(frozen=True)
class Case:
    """A kind of change, in a family of so many cells."""

    title: str
    model: Model
    cells: int


CASES = {
    "same": Case("same model, one cell", Model(), 1),
    "anew": Case("trained anew, one cell", Model(private=ANEW), 1),
    "anew-12": Case("trained anew, one of twelve cells", Model(private=ANEW), 12),
}


def forecast(case: Case, rng: np.random.Generator) -> Drawn:
    """Forecast from a baseline's decisions and from how many of them change."""
    thresholds = thresholds_of(FULL, case.model)
    truth, hard = FULL.truth(rng), FULL.noise(rng)
    first, second = (case.model.decide(truth, hard, FULL.noise(rng), thresholds) for _ in range(2))
    most = exchange(truth, first, one_class=False)
    ratio = (first != second).sum() / most.flips
    measured, labels = difference_variance(truth, first, second)
    return {
        "forecast": float(np.sqrt(most.macro_f1 * ratio)),
        "measured": float(np.sqrt(measured)),
        "labels": (most.per_label * ratio).tolist(),
        "labels_measured": labels.tolist(),
    }


def lose(case: Case, loss: float, rng: np.random.Generator) -> Drawn:
    """Draw a candidate that loses so much, and return whether the gate calls it."""
    thresholds = thresholds_of(FULL, case.model)
    truth, hard = FULL.truth(rng), FULL.noise(rng)
    first = case.model.decide(truth, hard, FULL.noise(rng), thresholds)
    loser = weaker(FULL, case.model, loss)
    second = loser.decide(truth, hard, FULL.noise(rng), thresholds)
    level = ALPHA / case.cells
    seed = int(rng.integers(2**31))
    _, p = p_value(truth, first, second, budget=0.0, least=level, n_resamples=RESAMPLES, seed=seed)
    return {"called": bool(p <= level)}


def run(kept: Kept) -> dict[str, Any]:
    """Forecast, then put to the test what was forecast."""
    found = {}
    for name, case in CASES.items():
        said = kept.draw("power", name, PAIRS // 4, partial(forecast, case))
        error = float(np.mean([one["forecast"] for one in said]))
        loss = round(detectable_drop(error, alpha=ALPHA / case.cells), 4)
        tried = kept.draw(
            "power",
            f"{name}-lost",
            PAIRS,
            partial(lose, case, loss),
            loss=loss,
            resamples=RESAMPLES,
        )
        labels, measured = (
            np.sqrt(np.mean([one[key] for one in said], axis=0))
            for key in ("labels", "labels_measured")
        )
        found[name] = {
            "title": case.title,
            "forecast": error,
            "measured": float(np.mean([one["measured"] for one in said])),
            "loss": loss,
            "called": float(np.mean([one["called"] for one in tried])),
            "tried": len(tried),
            "labels": [float(v) for v in np.quantile(labels / measured, [0.0, 0.5, 1.0])],
        }
    return found


def render(found: dict[str, Any]) -> str:
    """Return the section of the report."""
    rows = [
        (
            c["title"],
            f"{c['forecast']:.4f}",
            f"{c['measured']:.4f}",
            f"{c['labels'][0]:.2f} to {c['labels'][2]:.2f}",
            f"{c['loss']:.3f}",
            share(c["called"]),
        )
        for c in found.values()
    ]
    tried = next(iter(found.values()))["tried"]
    sure = norm.ppf(0.975) * np.sqrt(0.16 / tried)
    return f"""## What `goemo-eval power` promises

From the decisions of a baseline and how many of them change, the standard error of a difference is forecast, and with it the smallest drop
that is called in 80 of 100 cases. Then {tried} candidates lose just that (the share called is known to about {100 * sure:.0f} points).

{table(rows, "", "standard error forecast", "measured", "labels: forecast over measured", "drop forecast", "called when lost")}
"""

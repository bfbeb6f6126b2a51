"""Many cells in one run: any false alarm, and what correcting for their number costs in power."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from goemo_eval.measure.significance import holm

from .judged import p_value, reach
from .keeping import Drawn, Kept, share
from .tables import table
from .world import ANEW, FULL, Bools, Model, thresholds_of, weaker

RUNS, RUNS_OF_LOSS, RESAMPLES, ALPHA = 1000, 250, 2000, 0.05
ENCODERS, ENGINES = 2, 3
CELLS = 2 * ENCODERS * ENGINES
ENGINE_NOISE, INT8_NOISE = 0.005, 0.05
LOSS = 0.03


@dataclass(frozen=True)
class Case:
    """What a run's twelve cells share, and which of them lose."""

    title: str
    losing: tuple[int, ...]
    correlated: bool


CASES = {
    "null": Case("twelve correlated cells, nothing lost", (), correlated=True),
    "apart": Case("twelve cells that share nothing, nothing lost", (), correlated=False),
    "one": Case(f"twelve correlated cells, one lost {LOSS:g}", (5,), correlated=True),
    "half": Case(
        f"twelve correlated cells, one encoder's six lost {LOSS:g}",
        tuple(range(6)),
        correlated=True,
    ),
}
_MODEL = Model(private=ANEW)


def draw(case: Case, rng: np.random.Generator) -> Drawn:
    """Draw a run: twelve baselines, trained anew into twelve candidates; return the p-values."""
    thresholds, loser = thresholds_of(FULL, _MODEL), weaker(FULL, _MODEL, LOSS)
    truth, hard = FULL.truth(rng), FULL.noise(rng)
    found = []
    for encoder in range(ENCODERS):
        trained = [FULL.noise(rng) for _ in range(2)]
        for variant in range(2 * ENGINES):
            cell = encoder * 2 * ENGINES + variant
            candidate = loser if cell in case.losing else _MODEL
            if not case.correlated:
                truth, hard = FULL.truth(rng), FULL.noise(rng)
                trained = [FULL.noise(rng) for _ in range(2)]
            extra = INT8_NOISE if variant >= ENGINES else ENGINE_NOISE
            pair: list[Bools] = []
            for model, own in zip((_MODEL, candidate), trained, strict=True):
                # The noise of engine and precision; together with the model's own it varies as before.
                mixed = np.sqrt(1 - extra**2) * own + extra * FULL.noise(rng)
                pair.append(model.decide(truth, hard, mixed.astype(np.float32), thresholds))
            _, p = p_value(
                truth,
                *pair,
                budget=0.0,
                least=ALPHA,
                n_resamples=RESAMPLES,
                seed=int(rng.integers(2**31)),
            )
            found.append(p)
    return {"p": found}


def run(kept: Kept) -> dict[str, Any]:
    """Draw the runs of every case and summarize them."""
    found = {}
    for name, case in CASES.items():
        number = RUNS_OF_LOSS if case.losing else RUNS
        lost = {"loss": LOSS} if case.losing else {}
        runs = kept.draw("family", name, number, partial(draw, case), resamples=RESAMPLES, **lost)
        p_values = np.array([one["p"] for one in runs])  # (runs, cells)
        corrected = np.array([holm(p) for p in p_values])
        quiet = [cell for cell in range(CELLS) if cell not in case.losing]
        found[name] = {
            "title": case.title,
            "runs": len(runs),
            "losing": len(case.losing),
            "any_false_alarm": {
                "alpha per cell": float((p_values[:, quiet] <= ALPHA).any(axis=1).mean()),
                "the family (Holm)": float((corrected[:, quiet] <= ALPHA).any(axis=1).mean()),
            },
            "losing_cell_called": {
                "alpha per cell": float((p_values[:, case.losing] <= ALPHA).mean()),
                "the family (Holm)": float((corrected[:, case.losing] <= ALPHA).mean()),
            }
            if case.losing
            else None,
        }
    return found


def render(found: dict[str, Any]) -> str:
    """Return the section of the report."""
    ways = ("alpha per cell", "the family (Holm)")
    alarms = [
        (c["title"], f"{c['runs']:,}", *(share(c["any_false_alarm"][w]) for w in ways))
        for c in found.values()
    ]
    power = [
        (c["title"], f"{c['runs']:,}", *(share(c["losing_cell_called"][w]) for w in ways))
        for c in found.values()
        if c["losing_cell_called"]
    ]
    dearer = reach(ALPHA / CELLS) / reach(ALPHA)
    return f"""## Twelve cells in a run

Runs of two encoders on three engines at two precisions, each encoder trained anew from the baseline
(35 in 100 decisions change), `--max-drop 0 --alpha {ALPHA:g}`. Runs with any false alarm:

{table(alarms, "", "runs", *ways)}

A losing cell called a regression:

{table(power, "", "runs", *ways)}

The gate judges the family unless `--alpha-per-cell` asks otherwise. For a cell that loses alone, the smallest drop that is called in
80 of 100 cases is {100 * (dearer - 1):.0f} % larger than without the correction: {reach(ALPHA / CELLS):.2f} standard errors, not {reach(ALPHA):.2f}.
"""

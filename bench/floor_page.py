"""The page of the floor's search."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from tabulate import tabulate

_STEPS = ("decision values", "validation")
_JUDGED = (
    "Macro-F1. Each row changes one thing of the defaults. `raw` by thresholds that are fitted on other "
    "folds of validation than they decide; `unseen`: the training rows, by machines fitted on the "
    "other half of them."
)
_GAINS = {
    "character n-grams beside words": "words and pairs, no characters",
    "words beside character n-grams": "characters only",
    "pairs of words beside single ones": "single words and characters",
    "marks, and words of one letter": "words of two letters or more, no marks",
    "65,536 features, not 32,768": "32,768 features at most",
    "65,536 features, not 8,192": "8,192 features at most",
    "a vocabulary, not as many columns by hash": "hashed to 65,536 columns",
    "features scaled by evidence": "evidence 0",
    "a support vector machine, not logistic regression": "logistic, C 1",
    "positives that weigh as they are": "positives weigh more, power 0.25",
}
"""What the defaults do -> the trial without it."""
_GAINED = (
    "Macro-F1 of the defaults less that of the trial without; three seeds of the defaults differ by"
)
_TIMED = (
    "Thresholds from validation. Times are processor seconds on one thread: loading; the whole test "
    "split from text to scores, the first time; then finding its features, and the product."
)


def page(result: Mapping[str, Any]) -> str:
    """Return the result as markdown."""
    at = result["trials"]["defaults"]
    software = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    fits = ", ".join(
        f"{scheme} {found['fit_cpu_s']:g} s of one processor ({found['fit_wall_s']:g} s by the clock"
        + (f", while {found['load']['reason']})" if found["load"]["reason"] else ")")
        for scheme, found in result["test"].items()
    )
    parts = [
        "# The floor: what its options bring",
        f"`{result['command']}`",
        f"{result['cpu']}; {software}. Defaults: {json.dumps(at['raw']['options'])}.",
        "## The defaults on test, scored once",
        _TIMED,
        test_table(result["test"]),
        f"Fitted: {fits}.",
        "## What the defaults gain",
        f"{_GAINED} {', '.join(f'{spread:.4f}' for spread in seed_spread(result['trials']))}.",
        gains_table(result["trials"]),
        "From decision values to log-odds (Platt, per label), and the prior shift, on validation:",
        steps_table(at),
        "## All trials",
        _JUDGED,
        trials_table(result["trials"]),
    ]
    return "\n\n".join(parts) + "\n"


def table(rows: list[list[Any]], head: list[str]) -> str:
    """Return rows as a table of markdown, numbers as they are written."""
    return str(tabulate(rows, head, tablefmt="pipe", disable_numparse=True))


JUDGED = (
    ("raw", "validation per-label"),
    ("raw", "unseen per-label"),
    ("simplified", "validation shifted"),
    ("simplified", "unseen shifted"),
)
JUDGED_HEAD = ["raw, validation", "raw, unseen", "simplified, validation", "simplified, unseen"]


def judged(trial: Mapping[str, Any]) -> list[float]:
    """Return the four scores that a trial is judged by."""
    return [trial[scheme]["scores"][key] for scheme, key in JUDGED]


def trials_table(found: Mapping[str, Any]) -> str:
    """Return the scores of all trials."""
    rows = [
        [
            name,
            f"{by['raw']['features']:,}",
            *(f"{score:.4f}" for score in judged(by)),
            f"{by['raw']['scores']['validation global']:.4f}",
            by["raw"]["fit_cpu_s"],
        ]
        for name, by in found.items()
    ]
    return table(rows, ["", "features", *JUDGED_HEAD, "raw, one threshold", "fit, CPU s"])


def gains_table(found: Mapping[str, Any]) -> str:
    """Return what each part of the defaults gains."""
    defaults = np.array(judged(found["defaults"]))
    rows = [
        [what, *(f"{gain:+.4f}" for gain in defaults - judged(found[without]))]
        for what, without in _GAINS.items()
    ]
    return table(rows, ["", *JUDGED_HEAD])


def seed_spread(found: Mapping[str, Any]) -> list[float]:
    """Return the range of each score over the seeds of the defaults."""
    scores = [judged(trial) for name, trial in found.items() if name.startswith("defaults")]
    return [float(spread) for spread in np.ptp(scores, axis=0)]


def steps_table(at: Mapping[str, Any]) -> str:
    """Return what calibration and prior shift bring, on validation."""
    raw, simplified = at["raw"]["scores"], at["simplified"]["scores"]
    rows = [
        ["raw, threshold 0.5", *(f"{raw[f'{step} fixed']:.4f}" for step in _STEPS), ""],
        ["raw, one threshold", *(f"{raw[f'{step} global']:.4f}" for step in _STEPS), ""],
        [
            "simplified",
            *(
                f"{simplified[f'validation {step}']:.4f}"
                for step in ("decision values", "log-odds", "shifted")
            ),
        ],
    ]
    return table(rows, ["", "decision values", "log-odds", "with the shift"])


def test_table(found: Mapping[str, Any]) -> str:
    """Return scores, sizes and times of the four cells."""
    rows = [
        [
            scheme,
            precision,
            ", ".join(f"{name} {value:.4f}" for name, value in cell["test"].items()),
            f"{cell['test_ece']:.4f}",
            *(cell[key] for key in ("size_mb", "load_cpu_s", "split_cold_cpu_s")),
            *(cell[key] for key in ("prepare_cpu_s", "run_cpu_s")),
        ]
        for scheme, by in found.items()
        for precision, cell in by["cells"].items()
    ]
    head = ["scheme", "precision", "test Macro-F1", "ECE", "MB", "load, CPU s"]
    return table(rows, [*head, "split, cold", "features", "product"])

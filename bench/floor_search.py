"""What each option of the floor brings: fitted on training, judged on validation, the test scored once.

    python -m bench.floor_search --data DIR --out reports/floor

Every row changes one thing of the library's defaults. Judged are validation, and the training rows
by machines that have not seen them: eight times as many rows, of machines that saw half as many. An
interrupted search goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.floor_page import page
from bench.floor_trials import SEED, Trial, own_features, trials
from goemo_eval.cpu import cpu
from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.data.task import Task, task_of
from goemo_eval.engines.artifact import Variant
from goemo_eval.engines.base import Predictor, logits
from goemo_eval.engines.linear import converter, load
from goemo_eval.files import read_json, write_atomic
from goemo_eval.frozen import DEFAULT_PRECISIONS
from goemo_eval.measure.calibration import calibrate
from goemo_eval.measure.environment import versions
from goemo_eval.measure.machine_load import Watch
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.measure.scoring import fit_thresholds, score_logits
from goemo_eval.measure.threshold_choice import cross_validate
from goemo_eval.measure.thresholds import sigmoid, softmax
from goemo_eval.models.linear import Fit, columns_of, fit_linear, fit_rows, halves_of

SCHEMES = ("raw", "simplified")


def macro_f1(targets: npt.NDArray[Any], scores: npt.NDArray[Any], labels: tuple[str, ...]) -> float:
    """Return Macro-F1 of the class with the largest score."""
    return float(score_predictions(targets, scores.argmax(axis=1), labels=labels).macro_f1)


def judge_multilabel(task: Task, fit: Fit, found: npt.NDArray[Any]) -> dict[str, float]:
    """Judge by thresholds that are fitted on other folds than they are scored on."""
    validation = cross_validate(
        sigmoid(found),
        task.targets["validation"],
        strategies=("fixed", "global", "per-label"),
    )
    plain = cross_validate(
        sigmoid((found - fit.offset) / fit.slope),
        task.targets["validation"],
        strategies=("fixed", "global"),
    )
    unseen = cross_validate(
        sigmoid(fit.unseen * fit.slope + fit.offset),
        task.targets["train"],
        strategies=("global", "per-label"),
        repeats=1,
    )
    return {
        **{f"validation {name}": score for name, score in validation.items()},
        **{f"decision values {name}": score for name, score in plain.items()},
        **{f"unseen {name}": score for name, score in unseen.items()},
    }


def judge_multiclass(task: Task, fit: Fit, found: npt.NDArray[Any]) -> dict[str, float]:
    """Judge the largest score: of decision values, of log-odds, and with the prior shift."""
    labels, targets = task.scheme.labels, task.targets
    share = columns_of(targets["train"], len(labels)).mean(axis=0)
    moved = (fit.prior_shift or 0.0) * np.log(np.maximum(share, 1 / len(targets["train"])))
    odds = found - moved
    own = fit.unseen * fit.slope + fit.offset
    return {
        "validation decision values": macro_f1(
            targets["validation"], (odds - fit.offset) / fit.slope, labels
        ),
        "validation log-odds": macro_f1(targets["validation"], odds, labels),
        "validation shifted": macro_f1(targets["validation"], found, labels),
        "unseen decision values": macro_f1(targets["train"], fit.unseen, labels),
        "unseen log-odds": macro_f1(targets["train"], own, labels),
        "unseen shifted": macro_f1(targets["train"], own + moved, labels),
        "shift": fit.prior_shift or 0.0,
    }


def run(trial: Trial, task: Task) -> dict[str, Any]:
    """Fit one trial under one scheme, and judge it."""
    start = time.process_time()
    train, validation = (trial.features or own_features)(task, trial.options)
    featured = time.process_time()
    multiclass = task.scheme.kind == "multiclass"
    fit = fit_rows(
        train,
        columns_of(task.targets["train"], len(task.scheme.labels)),
        halves=halves_of(task, seed=trial.seed),
        multiclass=multiclass,
        options=trial.options,
        seed=trial.seed,
        machine=trial.machine,
    )
    end = time.process_time()
    found = validation @ fit.linear.weights + fit.linear.bias
    judge = judge_multiclass if multiclass else judge_multilabel
    return {
        "options": trial.options.model_dump(),
        "seed": trial.seed,
        "features": train.shape[1],
        "scores": judge(task, fit, found),
        "features_cpu_s": round(featured - start, 1),
        "fit_cpu_s": round(end - featured, 1),
    }


def deploy(task: Task) -> dict[str, Any]:
    """Fit the defaults by the library's own call, convert, time, and score the test split."""
    with tempfile.TemporaryDirectory(prefix="goemo-eval-") as scratch, Watch() as watch:
        wall, start = time.perf_counter(), time.process_time()
        checkpoint = fit_linear(task, out=Path(scratch) / "checkpoint", seed=SEED)
        fitted = {
            "fit_cpu_s": round(time.process_time() - start, 1),
            "fit_wall_s": round(time.perf_counter() - wall, 1),
            "prior_shift": checkpoint.prior_shift,
        }
        cells = {}
        for precision in DEFAULT_PRECISIONS:
            out = Path(scratch) / precision
            out.mkdir()
            variant = Variant.model_validate({"engine": "linear", "precision": precision})
            artifact = converter(checkpoint, threads=1).write(variant, out)
            start = time.process_time()
            predictor = load(artifact, threads=1)
            loaded = time.process_time() - start
            cells[precision] = {
                "size_mb": round(artifact.size_bytes / 1e6, 2),
                "load_cpu_s": round(loaded, 3),
                **times(predictor, task.texts["test"]),
                **score(task, predictor),
            }
    return {**fitted, "load": watch.load.model_dump(), "cells": cells}


def times(predictor: Predictor, texts: tuple[str, ...]) -> dict[str, float]:
    """Return processor seconds of a split, text in and scores out, and of its two parts."""
    cold_start = time.process_time()
    logits(predictor, texts)
    cold = time.process_time() - cold_start
    parts = []
    for _ in range(5):
        start = time.process_time()
        batches = predictor.prepare(texts)
        ready = time.process_time()
        predictor.run(batches)
        parts.append((ready - start, time.process_time() - ready))
    prepare, product = np.median(parts, axis=0)
    return {
        "split_cold_cpu_s": round(cold, 3),
        "prepare_cpu_s": round(float(prepare), 3),
        "run_cpu_s": round(float(product), 3),
    }


def score(task: Task, predictor: Predictor) -> dict[str, Any]:
    """Score the test split, with thresholds from validation."""
    found = {split: logits(predictor, task.texts[split]) for split in ("validation", "test")}
    multilabel = task.scheme.kind == "multilabel"
    probabilities = (sigmoid if multilabel else softmax)(found["test"])
    scores = {}
    for strategy in ("fixed", "global", "per-label") if multilabel else ("largest",):
        thresholds = None
        if multilabel:
            thresholds = fit_thresholds(
                found["validation"],
                task.targets["validation"],
                strategy=strategy,
                fitted_on=task.sha256["validation"],
            )
        scored = score_logits(
            found["test"],
            task.targets["test"],
            labels=task.scheme.labels,
            split_sha256=task.sha256["test"],
            thresholds=thresholds,
        )
        scores[strategy] = round(scored.macro_f1, 4)
    return {"test": scores, "test_ece": calibrate(probabilities, task.targets["test"]).ece}


def main() -> None:
    """Search, score, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    dataset = load_dataset(options.data)
    tasks = {
        name: task_of(dataset, get_scheme(name, dataset.labels, fallback=dataset.fallback))
        for name in SCHEMES
    }
    file = options.out / "floor.json"
    kept: dict[str, Any] = {}
    facts = {"train_sha256": tasks["raw"].sha256["train"], "versions": versions()}
    if file.is_file():
        kept = read_json(file)
        kept = kept if all(kept[name] == value for name, value in facts.items()) else {}
    result: dict[str, Any] = {
        "command": "python -m bench.floor_search --data DIR --out reports/floor",
        "cpu": cpu()[0],
        **facts,
        "trials": {},
        "test": kept.get("test", {}),
    }
    for trial in trials():
        own = kept.get("trials", {}).get(trial.name, {})
        for scheme, task in tasks.items():
            if own.get(scheme, {}).get("options") != trial.options.model_dump():
                own[scheme] = run(trial, task)
            result["trials"][trial.name] = own
            write_atomic(file, (json.dumps(result, indent=1) + "\n").encode())
    defaults = result["trials"]["defaults"]
    same = kept.get("trials", {}).get("defaults") == defaults
    # The test split was scored once: with the same defaults, the page is only written anew.
    if not (same and result["test"]):
        result["test"] = {scheme: deploy(task) for scheme, task in tasks.items()}
    write_atomic(file, (json.dumps(result, indent=1) + "\n").encode())
    write_atomic(options.out / "floor.md", page(result).encode())
    sys.stdout.write(f"{options.out / 'floor.md'}\n")


if __name__ == "__main__":
    main()

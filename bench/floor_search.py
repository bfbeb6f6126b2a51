"""What each option of the floor brings: fitted on training, judged on validation, the test scored once.

    python bench/floor_search.py --data DIR --out reports/floor

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from goemo_eval.cpu import cpu
from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.data.task import Task, task_of
from goemo_eval.engines.artifact import PRECISIONS, Variant
from goemo_eval.engines.base import Predictor, logits
from goemo_eval.engines.linear import converter, load
from goemo_eval.files import read_json, write_atomic
from goemo_eval.measure.calibration import calibrate
from goemo_eval.measure.environment import versions
from goemo_eval.measure.machine_load import Watch
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.measure.scoring import fit_thresholds, score_logits
from goemo_eval.measure.threshold_choice import cross_validate
from goemo_eval.measure.thresholds import sigmoid, softmax
from goemo_eval.models.linear import (
    Fit,
    LinearOptions,
    Machine,
    MachineFit,
    as_matrix,
    columns_of,
    fit_linear,
    fit_rows,
    halves_of,
)
from goemo_eval.models.ngrams import WORD, Vectorizer, learn_vocabulary

SCHEMES = ("raw", "simplified")
SEED = 0
Truth = npt.NDArray[np.bool_]
Matrices = tuple[Any, Any]
"""Features of training and validation, in CSR form."""


@dataclass(frozen=True)
class Trial:
    """One change of the defaults."""

    name: str
    options: LinearOptions = field(default_factory=LinearOptions)
    machine: MachineFit | None = None
    features: Callable[[Task, LinearOptions], Matrices] | None = None
    seed: int = SEED


def own_features(task: Task, options: LinearOptions) -> Matrices:
    """Return the library's features."""
    vocabulary = learn_vocabulary(task.texts["train"], options.ngrams)
    vectorizer = Vectorizer(vocabulary)
    train, validation = (
        as_matrix(vectorizer.features(task.texts[split]), columns=len(vocabulary))
        for split in ("train", "validation")
    )
    return train, validation


def _side_by_side(task: Task, pair: Callable[[], list[Any]]) -> Matrices:
    from scipy.sparse import hstack

    fitted = [(v, v.fit_transform(task.texts["train"])) for v in pair()]
    validation = [v.transform(task.texts["validation"]) for v, _ in fitted]
    return hstack([train for _, train in fitted]).tocsr(), hstack(validation).tocsr()


def usual_words(task: Task, options: LinearOptions) -> Matrices:
    """Return features with scikit-learn's own notion of a word: two letters or more, no marks."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = options.least_texts
    return _side_by_side(
        task,
        lambda: [
            TfidfVectorizer(sublinear_tf=True, min_df=least, ngram_range=(1, 2)),
            TfidfVectorizer(
                sublinear_tf=True, min_df=least, ngram_range=(2, 5), analyzer="char_wb"
            ),
        ],
    )


def hashed(bits: int) -> Callable[[Task, LinearOptions], Matrices]:
    """Return features in ``2**bits`` columns, words and characters half each, by hash."""

    def features(task: Task, _: LinearOptions) -> Matrices:
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
        from sklearn.pipeline import make_pipeline

        def block(**rest: Any) -> Any:
            counted = HashingVectorizer(
                n_features=2 ** (bits - 1), alternate_sign=False, norm=None, **rest
            )
            return make_pipeline(counted, TfidfTransformer(sublinear_tf=True))

        return _side_by_side(
            task,
            lambda: [
                block(ngram_range=(1, 2), token_pattern=WORD),
                block(ngram_range=(2, 5), analyzer="char_wb"),
            ],
        )

    return features


def logistic(cost: float, *, weighted: bool = False) -> MachineFit:
    """Return logistic regression in place of the support vector machine, features as they are."""

    def fit(rows: Any, truth: Truth, _: LinearOptions, seed: int) -> Machine:
        from sklearn.linear_model import LogisticRegression

        solver = LogisticRegression(
            C=cost,
            solver="liblinear",
            dual=True,
            tol=0.01,
            random_state=seed,
            class_weight="balanced" if weighted else None,
            max_iter=2000,
        )
        solver.fit(rows, truth)
        return Machine(solver.coef_[0], float(solver.intercept_[0]), converged=True)

    return fit


def weighted(exponent: float) -> MachineFit:
    """Return a support vector machine whose positives weigh (negatives over positives) to a power."""

    def fit(rows: Any, truth: Truth, options: LinearOptions, seed: int) -> Machine:
        from scipy.sparse import csr_matrix
        from sklearn.svm import LinearSVC

        from goemo_eval.models.linear import evidence

        scale = evidence(rows, truth, options.evidence)
        own = csr_matrix((rows.data * scale[rows.indices], rows.indices, rows.indptr), rows.shape)
        weight = {True: ((~truth).sum() / truth.sum()) ** exponent, False: 1.0}
        solver = LinearSVC(
            C=options.cost,
            dual=True,
            tol=0.01,
            max_iter=2000,
            random_state=seed,
            class_weight=weight,
        )
        solver.fit(own, truth)
        return Machine(solver.coef_[0] * scale, float(solver.intercept_[0]), converged=True)

    return fit


def trials() -> list[Trial]:
    """Return what is tried."""

    def changed(name: str, **options: Any) -> Trial:
        return Trial(name, LinearOptions(**options))

    return [
        Trial("defaults"),
        Trial("defaults, seed 1", seed=1),
        Trial("defaults, seed 2", seed=2),
        changed("single words only", words=1, longest=0),
        changed("words and pairs, no characters", longest=0),
        changed("characters only", words=0),
        changed("single words and characters", words=1),
        changed("runs of up to 3 words", words=3),
        Trial("words of two letters or more, no marks", features=usual_words),
        changed("characters 2-4", longest=4),
        changed("characters 3-5", shortest=3),
        changed("characters 1-5", shortest=1),
        changed("characters 2-6", longest=6),
        changed("features in 5 texts or more", least_texts=5),
        *(
            changed(f"{size:,} features at most", most_features=size)
            for size in (4096, 8192, 16384, 32768, 131072)
        ),
        Trial("hashed to 65,536 columns", features=hashed(16)),
        Trial("hashed to 262,144 columns", features=hashed(18)),
        *(changed(f"C {cost:g}", cost=cost) for cost in (0.03, 0.05, 0.2, 0.4)),
        *(changed(f"evidence {power:g}", evidence=power) for power in (0, 0.25, 0.75, 1)),
        Trial("positives weigh more, power 0.25", machine=weighted(0.25)),
        Trial("positives weigh more, power 0.5", machine=weighted(0.5)),
        Trial("logistic, C 1", machine=logistic(1.0)),
        Trial("logistic, C 4", machine=logistic(4.0)),
        Trial("logistic, C 1, balanced", machine=logistic(1.0, weighted=True)),
    ]


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
        for precision in PRECISIONS:
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


_STEPS = ("decision values", "validation")
_JUDGED = (
    "Macro-F1. Each row changes one thing of the defaults. `raw` by thresholds that are fitted on other "
    "folds of validation than they decide; `unseen`: the training rows, by machines fitted on the "
    "other half of them."
)
_TIMED = (
    "Thresholds from validation. Times are processor seconds on one thread: loading; the whole test "
    "split from text to scores, the first time; then finding its features, and the product."
)


def page(result: Mapping[str, Any]) -> str:
    """Return the result as markdown."""
    raw = [
        [
            name,
            f"{by['raw']['features']:,}",
            *(
                f"{by['raw']['scores'][key]:.4f}"
                for key in ("validation per-label", "unseen per-label", "validation global")
            ),
            *(
                f"{by['simplified']['scores'][key]:.4f}"
                for key in ("validation shifted", "unseen shifted")
            ),
            by["raw"]["fit_cpu_s"],
        ]
        for name, by in result["trials"].items()
    ]
    head = ["", "features", "raw: per label", "unseen", "global"]
    head += ["simplified", "unseen", "fit, CPU s"]
    at = result["trials"]["defaults"]
    steps = [
        ["raw, 0.5"] + [f"{at['raw']['scores'][f'{step} fixed']:.4f}" for step in _STEPS] + [""],
        ["raw, one global threshold"]
        + [f"{at['raw']['scores'][f'{step} global']:.4f}" for step in _STEPS]
        + [""],
        ["simplified"]
        + [
            f"{at['simplified']['scores'][f'validation {step}']:.4f}"
            for step in ("decision values", "log-odds", "shifted")
        ],
    ]
    cells = [
        [
            scheme,
            precision,
            ", ".join(f"{name} {value:.4f}" for name, value in cell["test"].items()),
            f"{cell['test_ece']:.4f}",
            *(cell[key] for key in ("size_mb", "load_cpu_s", "split_cold_cpu_s")),
            *(cell[key] for key in ("prepare_cpu_s", "run_cpu_s")),
        ]
        for scheme, found in result["test"].items()
        for precision, cell in found["cells"].items()
    ]
    cell_head = ["scheme", "precision", "test Macro-F1", "ECE", "MB", "load, CPU s"]
    cell_head += ["split, cold", "features", "product"]
    fits = ", ".join(
        f"{scheme} {found['fit_wall_s']:g} s ({found['fit_cpu_s']:g} s of one processor)"
        for scheme, found in result["test"].items()
    )
    return "\n".join(
        [
            "# The floor: what its options bring",
            "",
            f"`{result['command']}`",
            "",
            f"{result['cpu']}; "
            + ", ".join(f"{name} {version}" for name, version in result["versions"].items())
            + f". Defaults: {json.dumps(at['raw']['options'])}.",
            "",
            _JUDGED,
            "",
            str(tabulate(raw, head, tablefmt="pipe", disable_numparse=True)),
            "",
            "From decision values to log-odds (Platt, per label), and the prior shift, on validation:",
            "",
            str(
                tabulate(
                    steps,
                    ["", "decision values", "log-odds", "with the shift"],
                    tablefmt="pipe",
                    disable_numparse=True,
                )
            ),
            "",
            "## The defaults on test, scored once",
            "",
            _TIMED,
            "",
            str(tabulate(cells, cell_head, tablefmt="pipe", disable_numparse=True)),
            "",
            f"Fitted: {fits}.",
            "",
        ]
    )


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
    found: dict[str, Any] = {}
    if file.is_file():
        kept = read_json(file)
        same = (
            kept["versions"] == versions() and kept["train_sha256"] == tasks["raw"].sha256["train"]
        )
        found = kept["trials"] if same else {}
    result: dict[str, Any] = {
        "command": "python bench/floor_search.py --data DIR --out reports/floor",
        "train_sha256": tasks["raw"].sha256["train"],
        "cpu": cpu()[0],
        "versions": versions(),
        "trials": {},
    }
    for trial in trials():
        own = found.get(trial.name, {})
        for scheme, task in tasks.items():
            if own.get(scheme, {}).get("options") != trial.options.model_dump():
                own[scheme] = run(trial, task)
            result["trials"][trial.name] = own
            write_atomic(file, (json.dumps(result, indent=1) + "\n").encode())
    result["test"] = {scheme: deploy(task) for scheme, task in tasks.items()}
    write_atomic(file, (json.dumps(result, indent=1) + "\n").encode())
    write_atomic(options.out / "floor.md", page(result).encode())
    sys.stdout.write(f"{options.out / 'floor.md'}\n")


if __name__ == "__main__":
    main()

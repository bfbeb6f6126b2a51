"""What is done in a process of its own: fine-tuning, conversion, repair, prediction.

Each function takes paths and plain values and leaves files; `goemo_eval.pipeline.fitting` and
`goemo_eval.pipeline.steps` call them.
What is heavy is imported where it is used: `predict_artifact` runs in processes whose memory is
measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from goemo_eval.data.dataset import Split
    from goemo_eval.data.schemes import Scheme
    from goemo_eval.data.task import Task
    from goemo_eval.engines.artifact import Variant
    from goemo_eval.measure.thresholds import Thresholds
    from goemo_eval.models.checkpoint import Checkpoint
    from goemo_eval.models.distillation import Teacher
    from goemo_eval.models.encoders import Encoder
    from goemo_eval.models.recipes import Recipe
    from goemo_eval.models.weights import Weights

PROCESS, REPAIR, LOGITS = "process.json", "repair.json", "logits.npy"
RANKING_TEXTS = 64


def check_checkpoint(checkpoint: Checkpoint) -> None:
    """Refuse a brought checkpoint that does not load whole, before there is work to lose."""
    from goemo_eval.models.pretrained import load_pretrained

    if checkpoint.model == "transformers":
        load_pretrained(checkpoint)


def fit_checkpoint(
    encoder: Encoder,
    scheme: Scheme,
    splits: Mapping[str, Split],
    *,
    recipe: Recipe,
    weights: Weights,
    seed: int,
    threads: int,
    out: Path,
    partial: Path,
    teacher: Teacher | None = None,
) -> None:
    """Fine-tune an encoder into `out`; an interrupted run's state in `partial` is taken up."""
    from goemo_eval.measure.scoring import validation_score
    from goemo_eval.models.training import fine_tune
    from goemo_eval.models.validation import Validation

    watched = None
    if recipe.needs_validation:
        watched = Validation(splits["validation"], validation_score)
    fine_tune(
        encoder,
        scheme,
        splits["train"],
        recipe=recipe,
        weights=weights,
        out=out,
        partial=partial,
        seed=seed,
        threads=threads,
        validation=watched,
        teacher=teacher,
    )


def fit_floor(task: Task, *, seed: int, out: Path) -> None:
    """Fit TF-IDF features and a linear model a label into `out`."""
    from goemo_eval.models.linear import fit_linear

    fit_linear(task, out=out, seed=seed)


def teach_by_floor(task: Task, *, out: Path) -> None:
    """Write the floor's cross-fitted logits on a task's training texts to ``out/logits.npy``."""
    from goemo_eval.models.cross_fitting import unseen_logits

    np.save(out / LOGITS, unseen_logits(task))


def teach_by_checkpoint(checkpoint: Path, texts: Sequence[str], *, threads: int, out: Path) -> None:
    """Write a checkpoint's logits on texts, in torch and in FP32, to ``out/logits.npy``."""
    from goemo_eval.engines.classifier import load_classifier

    np.save(out / LOGITS, load_classifier(checkpoint, threads=threads).logits(texts))


def mix_checkpoints(
    encoder: Checkpoint,
    floor: Checkpoint,
    *,
    name: str,
    texts: Sequence[str],
    targets: npt.NDArray[Any] | None,
    threads: int,
    out: Path,
) -> None:
    """Write an encoder with the floor beside it into `out`, its weight chosen on texts and their targets."""
    from goemo_eval.engines.classifier import load_classifier
    from goemo_eval.models.mixture import write_mixture
    from goemo_eval.pipeline.mixing import UNFITTED, choose_weight

    weight = UNFITTED
    if targets is not None:
        own, theirs = (
            load_classifier(checkpoint.path, engine, threads=threads).logits(texts)
            for checkpoint, engine in ((encoder, "torch"), (floor, "linear"))
        )
        weight = choose_weight(own, theirs, targets)
    write_mixture(encoder, floor, name=name, weight=weight, out=out)


def write_stand_in(
    encoder: Encoder,
    scheme: Scheme,
    *,
    weights: Weights,
    seed: int,
    max_length: int,
    out: Path,
) -> None:
    """Write a checkpoint that was never trained: to be timed and sized, not scored."""
    from goemo_eval.models.writing import write_untrained

    write_untrained(encoder, scheme, weights=weights, out=out, max_length=max_length, seed=seed)


def convert_checkpoint(
    checkpoint: Checkpoint,
    variant: Variant,
    *,
    calibration: Sequence[str],
    threads: int,
    out: Path,
    fp32: Path | None,
) -> None:
    """Convert a checkpoint into an artifact in `out`, beginning with its FP32 artifact where that is given."""
    from goemo_eval.engines.registry import convert

    convert(checkpoint, variant, out, calibration=calibration, threads=threads, fp32=fp32)


def repair_variant(
    checkpoint: Checkpoint,
    engine: str,
    *,
    texts: Sequence[str],
    targets: npt.NDArray[Any],
    labels: Sequence[str],
    thresholds: Thresholds | None,
    least: float,
    calibration: Sequence[str],
    threads: int,
    out: Path,
    scratch: Path,
) -> None:
    """Find what an INT8 cell must smooth and keep in FP32, and write it to ``out/repair.json``."""
    from dataclasses import asdict

    from goemo_eval.measure.scoring import score_logits
    from goemo_eval.pipeline.repair import repair

    def macro_f1(logits: npt.NDArray[np.float32]) -> float:
        scores = score_logits(
            logits,
            targets,
            labels=labels,
            split_sha256="validation",
            thresholds=thresholds,
            in_sample=True,  # validation is what choices are made on
        )
        return scores.macro_f1

    found = repair(
        checkpoint,
        engine,
        texts=texts,
        macro_f1=macro_f1,
        least=least,
        calibration=calibration,
        threads=threads,
        scratch=scratch,
    )
    (out / REPAIR).write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")


def predict_artifact(
    artifact: Path,
    texts: Mapping[str, Sequence[str]],
    *,
    one_at_a_time: Sequence[str],
    threads: int,
    out: Path,
    began: float,
) -> None:
    """Score texts with an artifact, and say what the process took.

    Parameters
    ----------
    artifact : Path
    texts : mapping of str to sequence of str
        By split.
    one_at_a_time : sequence of str
        Splits whose texts are scored one by one as well.
    threads : int
    out : Path
        Gets ``SPLIT.npy`` and ``SPLIT-single.npy``, float32 of shape (N, K), and ``process.json``.
    began : float
        When the process was started, by `time.monotonic`.
    """
    from goemo_eval.engines.base import logits
    from goemo_eval.engines.registry import load
    from goemo_eval.measure.memory import peak_rss_bytes

    predictor = load(artifact, threads=threads)
    first = next(iter(texts.values()))[0]
    predictor.run(predictor.prepare([first]))
    start_s = time.monotonic() - began
    for split, rows in texts.items():
        np.save(out / f"{split}.npy", logits(predictor, rows))
    peak = peak_rss_bytes()
    for split in one_at_a_time:
        alone = [
            predictor.run(predictor.prepare([text], shape="single"))[0] for text in texts[split]
        ]
        np.save(out / f"{split}-single.npy", np.concatenate(alone).astype(np.float32))
    facts = {
        "start_s": start_s,
        "peak_rss_bytes": peak,
        "texts": sum(map(len, texts.values())),
        "runtime": vars(predictor.runtime),
    }
    (out / PROCESS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

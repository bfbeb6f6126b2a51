"""Teachers of a student: their logits on the training texts, kept under keys of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from goemo_eval.errors import CheckpointError
from goemo_eval.measure.environment import versions
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint
from goemo_eval.models.cross_fitting import PARTS
from goemo_eval.models.distillation import Teacher, mean_teacher
from goemo_eval.models.linear import ENCODER as FLOOR
from goemo_eval.models.linear import LinearOptions
from goemo_eval.pipeline.children import in_fork
from goemo_eval.pipeline.keys import TeachKey, machine
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.store import Store
from goemo_eval.pipeline.work import LOGITS, teach_by_checkpoint, teach_by_floor


@dataclass(frozen=True)
class Lesson:
    """What one teacher says of the training texts, computed or not.

    Attributes
    ----------
    key : TeachKey
    make : callable
        ``directory -> None``: computes it.
    note : str
        What a user should be told of the teacher.
    """

    key: TeachKey
    make: Callable[[Path], None]
    note: str


def lessons_of(plan: Plan, scheme: str) -> tuple[Lesson, ...]:
    """Return a plan's teachers under a scheme, in the order of their keys; nothing is computed.

    Raises
    ------
    CheckpointError
        If a teacher is altered, does not fit the scheme, was never trained, or has learned from
        the splits that the student is to be scored on.
    """
    found = [_by_checkpoint(plan, scheme, path) for path in plan.teachers.get(scheme, ())]
    if plan.floor_teaches:
        found.append(_by_floor(plan, scheme))
    return tuple({each.key.digest: each for each in sorted(found, key=_digest)}.values())


def learned(store: Store, lessons: Sequence[Lesson]) -> Teacher | None:
    """Return the mean of the teachers, whose logits are computed where the store lacks them; None without any."""
    if not lessons:
        return None
    kept = [store.get_or(lesson.key, lesson.make).content / LOGITS for lesson in lessons]
    logits = [np.load(path, allow_pickle=False) for path in kept]
    return mean_teacher(logits, notes=[lesson.note for lesson in lessons])


def _digest(lesson: Lesson) -> str:
    return lesson.key.digest


def _by_floor(plan: Plan, scheme: str) -> Lesson:
    task = plan.task(scheme)
    key = TeachKey(
        teacher=f"{FLOOR}-{scheme}",
        scheme=task.scheme.facts(),
        train_sha256=task.sha256["train"],
        floor=LinearOptions().training_facts() | {"parts": PARTS},
        versions=versions(("goemo-eval", "scikit-learn", "numpy", "scipy")),
    )

    def make(out: Path) -> None:
        in_fork(teach_by_floor, task, out=out)

    return Lesson(key, make, f"taught by {FLOOR}, cross-fitted in {PARTS} parts")


def _by_checkpoint(plan: Plan, scheme: str, path: Path) -> Lesson:
    task = plan.task(scheme)
    checkpoint = read_checkpoint(path)
    checkpoint.check_fits(task.scheme)
    name = f"{checkpoint.encoder or path.name}-{scheme}"
    key = TeachKey(
        teacher="".join(c if c.isalnum() or c in "-_.@" else "_" for c in name)[:80],
        scheme=task.scheme.facts(),
        train_sha256=task.sha256["train"],
        checkpoint_sha256=checkpoint.content_sha256,
        max_length=checkpoint.max_length,
        threads=plan.threads,
        versions=versions(("goemo-eval", "torch", "transformers", "tokenizers")),
        **machine(),
    )

    def make(out: Path) -> None:
        in_fork(teach_by_checkpoint, path, task.texts["train"], threads=plan.threads, out=out)

    note = f"taught by {name}, sha256 {checkpoint.content_sha256[:12]}{_seen(checkpoint, plan)}"
    return Lesson(key, make, note[:500])


def _seen(checkpoint: Checkpoint, plan: Plan) -> str:
    """Say what a teacher has learned from, if that is not the training split; refuse what cannot teach."""
    path, splits = checkpoint.path, plan.dataset.splits
    if checkpoint.model == "linear":
        raise CheckpointError(
            f"--teacher {path}: a linear model knows its training texts by heart: pass --teacher {FLOOR}, "
            "which is cross-fitted"
        )
    if checkpoint.floor_weight is not None:
        raise CheckpointError(
            f"--teacher {path}: the floor beside the encoder knows its training texts by heart: pass the "
            f"encoder alone, and --teacher {FLOOR}"
        )
    if checkpoint.weights == "random":
        raise CheckpointError(f"--teacher {path}: was never trained: pass a fine-tuned checkpoint")
    if checkpoint.train_sha256 is None:
        return ": if it has learned from texts of validation or test, scores are too high"
    for name in ("validation", "test"):
        if checkpoint.train_sha256 == splits[name].sha256:
            raise CheckpointError(
                f"--teacher {path}: was trained on the {name} split, which the student is scored on: pass "
                "a checkpoint that was trained on the training split"
            )
    if checkpoint.train_sha256 != splits["train"].sha256:
        return ", which was trained on another split: if that holds texts of validation or test, scores are too high"
    return ""

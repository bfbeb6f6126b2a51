"""The step ``fit``: a cell's checkpoint, brought, fine-tuned, mixed with the floor, or a stand-in."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goemo_eval.cpu import isa_limit
from goemo_eval.data.schemes import Scheme
from goemo_eval.engines.registry import ENGINES, LINEAR
from goemo_eval.errors import CheckpointError
from goemo_eval.frozen import MIXED
from goemo_eval.measure.environment import versions
from goemo_eval.measure.scenarios import texts_sha256
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint
from goemo_eval.models.encoders import Encoder
from goemo_eval.models.layers import base_of
from goemo_eval.models.linear import ENCODER as FLOOR
from goemo_eval.models.linear import LinearOptions
from goemo_eval.models.mixture import encoder_of, is_mixed
from goemo_eval.models.recipes import effective_compute
from goemo_eval.models.weights import find_weights
from goemo_eval.pipeline.children import in_fork
from goemo_eval.pipeline.keys import DistilKey, FitKey, MixKey, OwnKey, machine
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.store import Entry, Store
from goemo_eval.pipeline.teaching import learned, lessons_of
from goemo_eval.pipeline.work import (
    check_checkpoint,
    fit_checkpoint,
    fit_floor,
    mix_checkpoints,
    write_stand_in,
)
from goemo_eval.records.schema import Cell

FITTED_BY = ("goemo-eval", "scikit-learn", "numpy", "scipy")
TRAINED_BY = ("goemo-eval", "torch", "transformers", "accelerate", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """A plan and the store that its results are kept in."""

    plan: Plan
    store: Store


@dataclass(frozen=True)
class Fitted:
    """A checkpoint to measure, and why it cannot be scored, if it cannot."""

    checkpoint: Checkpoint
    unscored_reason: str | None


@functools.lru_cache(maxsize=256)
def fit(run: Run, cell: Cell) -> Fitted:
    """Return a cell's checkpoint: brought, fine-tuned now or before, or a stand-in.

    Raises
    ------
    CheckpointError
        If a checkpoint is altered or does not fit the scheme, or an encoder is unknown.
    CellError
        If fine-tuning died.
    """
    plan, scheme = run.plan, run.plan.scheme(cell.scheme)
    brought = plan.checkpoints.get((cell.encoder, cell.scheme))
    if brought is not None:
        checkpoint = read_checkpoint(brought, max_length=plan.max_length)
        checkpoint.check_fits(scheme)
        _check_name(cell, checkpoint)
        in_fork(check_checkpoint, checkpoint)
        return Fitted(checkpoint, None)
    if is_mixed(cell.encoder):
        return _mixed(run, cell)
    directory = plan.weights_of(cell.encoder)
    encoder = plan.encoder(cell.encoder)
    if encoder.model_type == LINEAR:
        return Fitted(_read_kept(_fit_floor(run, cell)), None)
    weights = find_weights(encoder, directory)
    recipe = plan.recipe_of(cell.encoder, cell.scheme)
    splits = plan.dataset.splits
    common: dict[str, Any] = {
        "encoder": encoder.name,
        "scheme": scheme.facts(),
        "seed": cell.seed,
        "weights_sha256": weights.sha256,
        "max_length": recipe.max_length,
        "versions": versions(TRAINED_BY),
        "isa_limit": isa_limit(),
    }
    reason = None
    if weights.kind == "random":
        reason = f"no pretrained weights: {weights.reason}"
    lessons = lessons_of(plan, cell.scheme) if recipe.teacher_weight else ()
    key_of = functools.partial(DistilKey, teachers=tuple(lesson.key for lesson in lessons))
    key = (key_of if lessons else FitKey)(
        trained=True,
        recipe=recipe.training_facts(),
        compute=effective_compute(recipe),
        train_sha256=splits["train"].sha256,
        # The rows that choose an epoch or a bias are part of what made the weights.
        validation_sha256=splits["validation"].sha256 if recipe.needs_validation else None,
        threads=plan.threads,
        **common,
    )
    if reason is None and plan.train == "never" and run.store.find(key) is None:
        reason = "not fine-tuned yet, and --train never"

    def train(out: Path) -> None:
        teacher = learned(run.store, lessons)
        with run.store.partial(key) as partial:
            in_fork(
                fit_checkpoint,
                encoder,
                scheme,
                splits,
                recipe=recipe,
                weights=weights,
                seed=cell.seed,
                threads=plan.threads,
                out=out,
                partial=partial,
                teacher=teacher,
            )

    headed = _headed(plan, scheme)

    def stand_in(out: Path) -> None:
        in_fork(
            write_stand_in,
            encoder,
            headed,
            weights=weights,
            seed=cell.seed,
            max_length=recipe.max_length,
            out=out,
        )

    if reason is None:
        entry = run.store.get_or(key, train)
    else:
        facts = common | {"scheme": headed.facts()}
        entry = run.store.get_or(_stand_in_key(plan, encoder, facts), stand_in)
    return Fitted(_read_kept(entry), reason)


def _headed(plan: Plan, scheme: Scheme) -> Scheme:
    """Return the scheme under whose name a stand-in is written: ``raw`` where that has the same labels.

    Nothing else of a scheme decides a model that learned nothing: such schemes share it, and what is made of it.
    """
    raw = plan.scheme("raw")
    return raw if raw.labels == scheme.labels else scheme


def _stand_in_key(plan: Plan, encoder: Encoder, common: Mapping[str, Any]) -> FitKey:
    """Return the key of random weights: of an encoder of one's own, what it looks like is part of it."""
    if base_of(encoder.name) not in plan.encoders:
        return FitKey(trained=False, **common)
    looks = encoder.model_dump(mode="json", include={"model_type", "config"})
    return OwnKey(trained=False, architecture=looks, **common)


def _check_name(cell: Cell, checkpoint: Checkpoint) -> None:
    """Refuse a name that says otherwise than a brought checkpoint whether the floor is beside it."""
    has_floor = checkpoint.floor_weight is not None
    if has_floor != is_mixed(cell.encoder):
        alone = encoder_of(cell.encoder)
        named = f"{alone}{MIXED}-{cell.scheme}" if has_floor else f"{alone}-{cell.scheme}"
        raise CheckpointError(
            f"{checkpoint.path}: has {'the' if has_floor else 'no'} floor beside it: bring it as --checkpoint "
            f"{named}=DIR"
        )


def _mixed(run: Run, cell: Cell) -> Fitted:
    """Return an encoder's checkpoint with the floor's beside it; each is fitted as if it were alone."""
    plan, task = run.plan, run.plan.task(cell.scheme)
    alone = fit(run, cell.model_copy(update={"encoder": encoder_of(cell.encoder)}))
    scored = alone.unscored_reason is None
    scheme = cell.scheme if scored else alone.checkpoint.scheme  # a stand-in may be another's
    floor = fit(run, cell.model_copy(update={"encoder": FLOOR, "engine": LINEAR, "scheme": scheme}))
    key = MixKey(
        encoder=cell.encoder,
        scheme=scheme,
        encoder_sha256=alone.checkpoint.content_sha256,
        floor_sha256=floor.checkpoint.content_sha256,
        validation_sha256=splits_sha256(run, cell, "validation") if scored else None,
        threads=plan.threads,
        versions=versions((*TRAINED_BY, *ENGINES["torch"].run_by, *FITTED_BY)),
        **machine(),
    )

    def mix(out: Path) -> None:
        in_fork(
            mix_checkpoints,
            alone.checkpoint,
            floor.checkpoint,
            name=cell.encoder,
            texts=task.texts["validation"],
            targets=task.targets["validation"] if scored else None,
            threads=plan.threads,
            out=out,
        )

    return Fitted(_read_kept(run.store.get_or(key, mix)), alone.unscored_reason)


def _read_kept(entry: Entry) -> Checkpoint:
    """Read a checkpoint of the store: one that lost its manifest is no checkpoint of ours."""
    return read_checkpoint(entry.content, manifest="required")


def _fit_floor(run: Run, cell: Cell) -> Entry:
    """Fit the floor, whatever the policy of training: it takes less time than a look at an encoder."""
    plan, task = run.plan, run.plan.task(cell.scheme)
    key = FitKey(
        encoder=cell.encoder,
        trained=True,
        scheme=task.scheme.facts(),
        seed=cell.seed,
        weights_sha256=None,
        max_length=0,
        recipe=LinearOptions().training_facts(),
        train_sha256=plan.dataset.splits["train"].sha256,
        versions=versions(FITTED_BY),
        isa_limit=None,
    )

    def make(out: Path) -> None:
        in_fork(fit_floor, task, seed=cell.seed, out=out)

    return run.store.get_or(key, make)


def splits_sha256(run: Run, cell: Cell, *names: str) -> str:
    """Return the hash of the texts and targets of some splits, under a cell's scheme."""
    task = run.plan.task(cell.scheme)
    digest = hashlib.sha256()
    for name in names:
        targets = np.ascontiguousarray(task.targets[name])
        digest.update(f"{name} {targets.dtype} {targets.shape} ".encode())
        digest.update(targets.tobytes() + texts_sha256(task.texts[name]).encode())
    return digest.hexdigest()

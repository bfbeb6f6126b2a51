"""Where a cell's checkpoint comes from: brought, kept in the store, fine-tuned, or a stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from goemo_eval.data.schemes import Scheme
from goemo_eval.data.splits import Split
from goemo_eval.errors import CheckpointError
from goemo_eval.measure.scoring import validation_score
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint
from goemo_eval.models.encoders import Weights, find_weights, get_encoder
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.models.validation import Validation
from goemo_eval.models.writing import write_untrained
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.store import checkpoint_dir


@dataclass(frozen=True)
class Obtained:
    """A checkpoint to measure, and why it cannot be scored, if it cannot."""

    checkpoint: Checkpoint
    unscored_reason: str | None


def obtain(
    plan: Plan,
    encoder_name: str,
    scheme: Scheme,
    splits: Mapping[str, Split],
    *,
    seed: int,
    scratch: Path,
) -> Obtained:
    """Find a cell's checkpoint, fine-tune it, or build an untrained stand-in.

    Parameters
    ----------
    plan : Plan
    encoder_name : str
    scheme : Scheme
    splits : mapping of str to Split
        Train and validation.
    seed : int
    scratch : Path
        Where an untrained stand-in is written.

    Raises
    ------
    CheckpointError
        If a checkpoint is altered or does not fit the scheme, or an encoder is unknown.
    """
    brought = plan.checkpoints.get((encoder_name, scheme.name))
    if brought is not None:
        return Obtained(_fitting(read_checkpoint(brought), scheme), None)
    directory = plan.weights.get(encoder_name)
    encoder = get_encoder(encoder_name, directory)
    weights = find_weights(encoder, directory)
    recipe = plan.recipe.for_cell(encoder_name, scheme.name)
    kept = _kept(plan, encoder_name, scheme, splits, seed=seed, weights=weights)
    if weights.kind == "random":
        reason = f"no pretrained weights: {weights.reason}"
    elif kept.exists():
        return Obtained(_fitting(read_checkpoint(kept), scheme), None)
    elif plan.train == "never":
        reason = "not fine-tuned yet, and --train never"
    else:
        checkpoint = fine_tune(
            encoder,
            scheme,
            splits["train"],
            recipe=recipe,
            weights=weights,
            out=kept,
            seed=seed,
            threads=plan.threads,
            validation=validation_of(recipe, splits),
        )
        return Obtained(checkpoint, None)
    untrained = write_untrained(
        encoder,
        scheme,
        weights=weights,
        out=scratch / f"{encoder_name}-{scheme.name}-{seed}",
        max_length=recipe.max_length,
        seed=seed,
    )
    return Obtained(untrained, reason)


def kept_dir(
    plan: Plan, encoder_name: str, scheme: Scheme, splits: Mapping[str, Split], *, seed: int
) -> Path:
    """Return where the store keeps the checkpoint of a cell, or would keep it."""
    directory = plan.weights.get(encoder_name)
    weights = find_weights(get_encoder(encoder_name, directory), directory)
    return _kept(plan, encoder_name, scheme, splits, seed=seed, weights=weights)


def validation_of(recipe: Recipe, splits: Mapping[str, Split]) -> Validation | None:
    """Return what scores the epochs of a recipe that asks for it; None for any other."""
    if not recipe.needs_validation:
        return None
    return Validation(splits["validation"], validation_score)


def _kept(
    plan: Plan,
    encoder_name: str,
    scheme: Scheme,
    splits: Mapping[str, Split],
    *,
    seed: int,
    weights: Weights,
) -> Path:
    recipe = plan.recipe.for_cell(encoder_name, scheme.name)
    return checkpoint_dir(
        plan.store,
        encoder=encoder_name,
        scheme=scheme.name,
        dominance=scheme.dominance,
        recipe=recipe.training_facts(),
        seed=seed,
        base_sha256=weights.sha256,
        train_sha256=splits["train"].sha256,
        # The rows that choose an epoch or a bias are part of what made the weights.
        validation_sha256=splits["validation"].sha256 if recipe.needs_validation else None,
    )


def _fitting(checkpoint: Checkpoint, scheme: Scheme) -> Checkpoint:
    """Return a checkpoint after checking that it was made for the scheme."""
    if checkpoint.labels != scheme.labels:
        raise CheckpointError(
            f"{checkpoint.path}: has the labels {', '.join(checkpoint.labels[:3])}... "
            f"({len(checkpoint.labels)}), but scheme {scheme.name} has "
            f"{', '.join(scheme.labels[:3])}... ({len(scheme.labels)}): pass a checkpoint of this scheme"
        )
    if checkpoint.scheme not in ("", scheme.name):
        raise CheckpointError(
            f"{checkpoint.path}: was trained for scheme {checkpoint.scheme}, not {scheme.name}"
        )
    if checkpoint.scheme and checkpoint.dominance != scheme.dominance:
        raise CheckpointError(
            f"{checkpoint.path}: was trained under dominance rule {checkpoint.dominance}, "
            f"not {scheme.dominance}: pass --dominance {checkpoint.dominance}"
        )
    return checkpoint

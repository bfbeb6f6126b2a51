"""Checkpoints on disk: a model, its tokenizer and a manifest, in a directory that the caller owns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goemo_eval.errors import CheckpointError
from goemo_eval.models.checkpoint import Checkpoint, check_length, write_manifest
from goemo_eval.models.directory import read_directory
from goemo_eval.models.encoders import Encoder
from goemo_eval.models.manifest import Compute, Manifest
from goemo_eval.models.probing import check_forward, embedding_rows
from goemo_eval.models.quiet import quiet_transformers
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.tokenizer import check_vocabulary
from goemo_eval.models.weights import Weights, build_model, load_tokenizer

if TYPE_CHECKING:
    from goemo_eval.data.schemes import Scheme


def write_untrained(
    encoder: Encoder,
    scheme: Scheme,
    *,
    weights: Weights,
    out: Path,
    max_length: int,
    seed: int = 0,
) -> Checkpoint:
    """Write a checkpoint that was never trained: to be timed and sized, not scored.

    Parameters
    ----------
    encoder : Encoder
    scheme : Scheme
    weights : Weights
        Random, or pretrained (the head is random then).
    out : Path
        Directory; empty, or not there yet.
    max_length : int
    seed : int, default 0

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        If `out` holds something, or weights, tokenizer and length do not belong together.
    """
    import torch

    check_empty(out)
    torch.manual_seed(seed)
    model, tokenizer = start(encoder, scheme, weights, max_length=max_length)
    return write_checkpoint(
        model,
        tokenizer,
        out,
        encoder=encoder,
        scheme=scheme,
        weights=weights,
        max_length=max_length,
        seed=seed,
    )


def start(
    encoder: Encoder, scheme: Scheme, weights: Weights, *, max_length: int
) -> tuple[Any, Any]:
    """Build a model with a fresh head and load its tokenizer, and try that they belong together.

    Returns
    -------
    model : transformers.PreTrainedModel
        In evaluation mode; drawn from torch's generator where it is random.
    tokenizer : transformers.PreTrainedTokenizerBase

    Raises
    ------
    CheckpointError
        Before any training: see `goemo_eval.models.probing`.
    """
    path = weights.path or Path(encoder.name)
    if weights.path is not None:
        check_length(read_directory(weights.path), max_length)
    with quiet_transformers():
        tokenizer = load_tokenizer(weights)
        model = build_model(encoder, weights, scheme.labels, kind=scheme.kind)
    if weights.path is not None:
        check_vocabulary(tokenizer, embedding_rows(model), path=path)
    check_forward(model, tokenizer, path=path, max_length=max_length, n_labels=len(scheme.labels))
    return model, tokenizer


def check_empty(out: Path) -> None:
    """Refuse a directory that holds something already.

    Raises
    ------
    CheckpointError
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out}: exists already and is not empty: choose another directory")


def write_checkpoint(
    model: Any,
    tokenizer: Any,
    out: Path,
    *,
    encoder: Encoder,
    scheme: Scheme,
    weights: Weights,
    max_length: int,
    seed: int,
    recipe: Recipe | None = None,
    train_sha256: str | None = None,
    prior_shift: float | None = None,
    compute: Compute = "fp32",
    notes: Sequence[str] = (),
) -> Checkpoint:
    """Write model and tokenizer, and at last the manifest, without which it is no checkpoint."""
    out.mkdir(parents=True, exist_ok=True)
    with quiet_transformers():
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)
    return write_manifest(
        out,
        Manifest(
            model="transformers",
            encoder=encoder.name,
            scheme=scheme.name,
            kind=scheme.kind,
            labels=list(scheme.labels),
            dominance=scheme.dominance,
            max_length=max_length,
            weights=weights.kind,
            base_sha256=weights.sha256,
            recipe=recipe.values() if recipe else None,
            seed=seed,
            train_sha256=train_sha256,
            prior_shift=prior_shift,
            compute=compute,
            notes=[*weights.notes, *notes],
        ),
    )

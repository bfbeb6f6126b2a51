"""Checkpoints on disk: a model, its tokenizer and a manifest, complete or not there at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from goemo_eval.data.schemes import Scheme
from goemo_eval.models.checkpoint import (
    Checkpoint,
    read_checkpoint,
    sha256_of_file,
    write_manifest,
)
from goemo_eval.models.encoders import Encoder, Weights, build_model, load_tokenizer
from goemo_eval.models.quiet import quiet_transformers
from goemo_eval.models.recipes import Recipe


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
    max_length : int
    seed : int, default 0

    Returns
    -------
    Checkpoint
    """
    import torch

    torch.manual_seed(seed)
    with quiet_transformers():
        model = build_model(encoder, weights, scheme.labels, kind=scheme.kind)
        tokenizer = load_tokenizer(weights)
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
) -> Checkpoint:
    """Write model, tokenizer and manifest to a temporary directory, then rename it to `out`."""
    building = out.with_name(out.name + ".building")
    if building.exists():
        shutil.rmtree(building)
    building.mkdir(parents=True)
    with quiet_transformers():
        model.save_pretrained(building)
        tokenizer.save_pretrained(building)
    write_manifest(
        Checkpoint(
            path=building,
            encoder=encoder.name,
            scheme=scheme.name,
            labels=scheme.labels,
            dominance=scheme.dominance,
            max_length=max_length,
            weights=weights.kind,
            sha256=sha256_of_file(building / "model.safetensors"),
            base_sha256=weights.sha256,
            recipe=recipe.values() if recipe else None,
            seed=seed,
            train_sha256=train_sha256,
            prior_shift=prior_shift,
        )
    )
    building.rename(out)
    return read_checkpoint(out)

"""Small forward passes that tell before the work what would otherwise fail, or be wrong, after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from goemo_eval.errors import CheckpointError
from goemo_eval.models.directory import CONFIG
from goemo_eval.models.said import said

_SHORT = "hello"
_LONGER = "hello world, this is a text that is longer than the other one"
_MOST_TOKENS = 1024
"""Beyond which a pass takes long, and positions are not rows of a table."""
_TOLERANCE = 1e-3


def embedding_rows(module: Any) -> int:
    """Return how many token ids a model has a vector for.

    Raises
    ------
    CheckpointError
        If it reads something else than token ids.
    """
    try:
        return int(module.get_input_embeddings().weight.shape[0])
    except (AttributeError, NotImplementedError, TypeError):
        raise CheckpointError(
            f"{type(module).__name__} has no table of token embeddings: take a model that reads token ids"
        ) from None


def needs_types(module: Any, tokenizer: Any) -> bool:
    """Say whether a model must be given its tokenizer's token types: where they are not all zero."""
    from inspect import signature

    if "token_type_ids" not in tokenizer.model_input_names:
        return False
    if "token_type_ids" not in signature(module.forward).parameters:
        return False
    types = tokenizer(_SHORT, return_token_type_ids=True)["token_type_ids"]
    return bool(tokenizer.pad_token_type_id) or any(types)


def encode(
    module: Any, tokenizer: Any, texts: list[str], *, max_length: int | None = None
) -> dict[str, Any]:
    """Return a padded batch of texts as a model takes it: int64 tensors of shape (B, T) by name.

    Ids beyond the embedding table, which only the stand-in tokenizer of random weights gives, are
    folded into it.
    """
    found = tokenizer(
        texts,
        padding=True,
        truncation=max_length is not None,
        max_length=max_length,
        return_tensors="pt",
        return_attention_mask=True,
    )
    inputs = {name: found[name] for name in ("input_ids", "attention_mask")}
    inputs["input_ids"] = inputs["input_ids"] % embedding_rows(module)
    if needs_types(module, tokenizer):
        inputs["token_type_ids"] = found["token_type_ids"]
    return inputs


def check_forward(
    module: Any, tokenizer: Any, *, path: Path, max_length: int, n_labels: int
) -> str | None:
    """Try a model on a text alone, on two that share a batch, and on one of the greatest length.

    Parameters
    ----------
    module : transformers.PreTrainedModel
        In evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
    path : Path
        For messages.
    max_length : int
        Tokens to which texts are cut.
    n_labels : int

    Returns
    -------
    str or None
        What a user should be told: that padding changes this model's logits.

    Raises
    ------
    CheckpointError
        If it fails on one of them, gives another number of logits, or padding changes them because
        config and tokenizer disagree on it.
    """
    alone = _logits(module, tokenizer, [_SHORT], path, "score a text")
    if alone.shape != (1, n_labels):
        raise CheckpointError(
            f"{path}: gives {tuple(alone.shape)[-1]} logits for {n_labels} labels: set id2label to the head "
            "that was trained"
        )
    pair = _logits(
        module,
        tokenizer,
        [_SHORT, _LONGER],
        path,
        f"score texts that share a batch; set pad_token_id in {CONFIG} to the tokenizer's",
    )
    length = min(max_length, _MOST_TOKENS)
    _logits(
        module,
        tokenizer,
        [" ".join([_SHORT] * length)],
        path,
        f"score a text of {length} tokens; set max_length to what it has positions for",
        max_length=length,
    )
    moved = float((pair[0] - alone[0]).abs().max())
    if moved <= _TOLERANCE * (1 + float(alone.abs().max())):
        return None
    pads = getattr(module.config, "pad_token_id", None)
    if pads != tokenizer.pad_token_id:
        raise CheckpointError(
            f"{path}: pad_token_id is {pads} in {CONFIG} and {tokenizer.pad_token_id} in the tokenizer, and "
            "padding changes the logits: set both to the one that it was trained with"
        )
    return f"padding moves this model's logits (by {moved:.2g} on a short text): what shares a batch matters"


def _logits(
    module: Any,
    tokenizer: Any,
    texts: list[str],
    path: Path,
    what: str,
    *,
    max_length: int | None = None,
) -> Any:
    import torch

    try:
        with torch.inference_mode():
            inputs = encode(module, tokenizer, texts, max_length=max_length)
            logits = module(**inputs).logits
    except CheckpointError:
        raise
    except Exception as error:  # an index, a shape, an argument: whatever the architecture meets
        raise CheckpointError(f"{path}: the model cannot {what} ({said(error)})") from None
    if not torch.isfinite(logits).all():
        raise CheckpointError(
            f"{path}: the model's logits are not finite: its training diverged; take another checkpoint"
        )
    return logits

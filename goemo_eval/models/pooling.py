"""What a head reads of an encoder: its own summary, or the mean over a text's tokens.

An encoder's own summary is its first token, through whatever layer its head puts there. A
sentence encoder such as all-MiniLM was trained to put a text's meaning into the mean instead,
and its first token was never asked for anything.
"""

from __future__ import annotations

from typing import Any

from goemo_eval.errors import CheckpointError
from goemo_eval.models.loading import POOLING
from goemo_eval.models.probing import embedding_rows
from goemo_eval.models.said import said


def use_mean_pooling(model: Any) -> Any:
    """Let a classification model read the mean of its encoder's last layer, padding left out.

    The encoder hands on the mean in place of its first token and of its pooler's output, so any
    architecture will do that gives one vector a token and whose head reads the first, and exporters trace
    it with the rest. The pooler has nothing left to do and goes, with its parameters. The model's
    config remembers it, and `restore_pooling` reads it.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        With a sequence classification head, in evaluation mode; changed in place.

    Returns
    -------
    transformers.PreTrainedModel
        The same one.

    Raises
    ------
    CheckpointError
        If the encoder's vectors are not those of the tokens (BART, T5, Funnel), or the head does not
        read the mean.
    """
    encoder = model.base_model
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    encoder.register_forward_hook(_mean_of_tokens, with_kwargs=True)
    setattr(model.config, POOLING, "mean")
    _check_pooled(model)
    return model


def restore_pooling(model: Any) -> Any:
    """Apply the pooling that a loaded model's config names, if it names one."""
    return use_mean_pooling(model) if getattr(model.config, POOLING, None) == "mean" else model


def _mean_of_tokens(encoder: Any, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
    del encoder, args
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    hidden = output.last_hidden_state  # (B, T, H)
    mask = kwargs["attention_mask"].unsqueeze(-1).to(hidden.dtype)  # (B, T, 1)
    mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    return BaseModelOutputWithPooling(last_hidden_state=mean.unsqueeze(1), pooler_output=mean)


def _check_pooled(model: Any) -> None:
    """Try on a few ids whether there is a vector a token, and whether the head reads their mean."""
    import torch

    name, encoder = type(model).__name__, model.base_model
    mend = "set pooling to encoder in the recipe"
    if encoder is model or model.config.is_encoder_decoder:
        raise CheckpointError(f"{name} gives no vector a token that could be averaged: {mend}")
    tokens, seen = 11, {}

    def look(module: Any, args: Any, output: Any) -> None:
        del module, args
        seen["hidden"] = getattr(output, "last_hidden_state", None)

    ids = torch.arange(1, tokens + 1) % embedding_rows(model)
    first = encoder.register_forward_hook(look, prepend=True)
    try:
        with torch.inference_mode():
            model(input_ids=ids[None], attention_mask=torch.ones_like(ids)[None])
    except Exception as error:  # a head that asks for other tokens than the one that is left
        raise CheckpointError(
            f"{name} cannot read the mean of its tokens ({said(error)}): {mend}"
        ) from None
    finally:
        first.remove()
    if seen["hidden"] is None or seen["hidden"].shape[:2] != (1, tokens):
        raise CheckpointError(f"{name} gives no vector a token that could be averaged: {mend}")

"""What a head reads of an encoder: its own summary, or the mean over a text's tokens.

An encoder's own summary is its first token, through whatever layer its head puts there. A
sentence encoder such as all-MiniLM was trained to put a text's meaning into the mean instead,
and its first token was never asked for anything.
"""

from __future__ import annotations

from typing import Any

_KEY = "goemo_pooling"


def use_mean_pooling(model: Any) -> Any:
    """Let a classification model read the mean of its encoder's last layer, padding left out.

    The encoder hands on the mean in place of its first token and of its pooler's output, so any
    architecture of transformers will do, and exporters trace it with the rest. The pooler has
    nothing left to do and goes, with its parameters. The model's config remembers it, and
    `restore_pooling` reads it.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        With a sequence classification head; changed in place.

    Returns
    -------
    transformers.PreTrainedModel
        The same one.
    """
    encoder = model.base_model
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    encoder.register_forward_hook(_mean_of_tokens, with_kwargs=True)
    setattr(model.config, _KEY, "mean")
    return model


def restore_pooling(model: Any) -> Any:
    """Apply the pooling that a loaded model's config names, if it names one."""
    return use_mean_pooling(model) if getattr(model.config, _KEY, None) == "mean" else model


def _mean_of_tokens(encoder: Any, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
    del encoder, args
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    hidden = output.last_hidden_state  # (B, T, H)
    mask = kwargs["attention_mask"].unsqueeze(-1).to(hidden.dtype)  # (B, T, 1)
    mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    return BaseModelOutputWithPooling(last_hidden_state=mean.unsqueeze(1), pooler_output=mean)

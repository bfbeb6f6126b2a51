"""A classification head: where it starts, what it reads, and where its bias ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import CheckpointError
from goemo_eval.models.pooling import use_mean_pooling
from goemo_eval.models.recipes import Recipe


def fit_head(
    model: Any, recipe: Recipe, counts: npt.NDArray[np.integer[Any]], *, n_rows: int, kind: str
) -> None:
    """Give a model the pooling and the head's bias that a recipe asks for.

    The parameters are those of `start_at_prior`; the model is changed in place.

    Raises
    ------
    CheckpointError
        If the model's tokens cannot be pooled, or its head has no bias.
    """
    if recipe.prior_shift != "none" and kind == "multiclass":
        _bias(model, "prior_shift", "none")  # known before the training, not after it
    if recipe.pooling == "mean":
        use_mean_pooling(model)
    if recipe.head_bias == "prior":
        start_at_prior(model, counts, n_rows=n_rows, kind=kind)


def start_at_prior(
    model: Any, counts: npt.NDArray[np.integer[Any]], *, n_rows: int, kind: str
) -> None:
    """Set the bias of a model's last layer so that it predicts each label's share at the start.

    Of a multilabel scheme that is the log-odds of the share, as in Lin, Goyal, Girshick, He and
    Dollar, "Focal Loss for Dense Object Detection", ICCV 2017, section 4.1; of a multiclass
    scheme its logarithm.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        With a sequence classification head of K outputs; changed in place.
    counts : ndarray of int, shape (K,)
        Training rows that carry each label; a label without any counts as one, and one that every
        row carries as missing from one.
    n_rows : int
    kind : {"multilabel", "multiclass"}
    """
    import torch

    share = np.clip(counts, 1, max(n_rows - 1, 1)) / max(n_rows, 2)
    bias = np.log(share) - (np.log1p(-share) if kind == "multilabel" else 0.0)
    with torch.no_grad():
        _bias(model, "head_bias", "zero").copy_(torch.from_numpy(bias))


SHIFTS = np.linspace(-1, 1, 21).round(1)
"""Multiples of the log shares that `shift_prior` tries: 1 adds the training shares as a prior, -1
takes them out."""


def shift_prior(
    model: Any,
    logits: npt.NDArray[Any],
    targets: npt.NDArray[Any],
    counts: npt.NDArray[np.integer[Any]],
    *,
    score: Callable[[npt.NDArray[Any], npt.NDArray[Any]], float],
) -> float:
    """Move the bias of a multiclass model's last layer along the classes' log shares.

    Post-hoc logit adjustment: Menon, Jayasumana, Rawat, Jain, Veit and Kumar, "Long-Tail Learning
    via Logit Adjustment", ICLR 2021, section 4.1, with the multiple fitted and of either sign: a loss
    that weights rare classes may have gone too far as well as not far enough.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Changed in place.
    logits : ndarray of float, shape (N, K)
        The model's, on the validation split.
    targets : ndarray of int, shape (N,)
    counts : ndarray of int, shape (K,)
        Training rows of each class; a class without any counts as one.
    score : callable
        ``(logits, targets) -> float``, the higher the better.

    Returns
    -------
    float
        The multiple of `SHIFTS` with the best score, the smallest of equals.
    """
    import torch

    log_share = np.log(np.maximum(counts, 1) / np.maximum(counts, 1).sum())
    scores = {tau: score(logits + tau * log_share, targets) for tau in SHIFTS}
    tau = float(max(sorted(SHIFTS, key=abs), key=lambda each: scores[each]))
    with torch.no_grad():
        _bias(model, "prior_shift", "none").add_(torch.from_numpy(tau * log_share))
    return tau


def output_layer(model: Any) -> Any:
    """Return the linear layer that a model's logits come from.

    It stands outside the encoder, wherever the class lists it: last of the head's layers with one
    output for each label.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    import torch

    inside = set(model.base_model.modules()) if model.base_model is not model else set()
    found = [
        layer
        for layer in model.modules()
        if isinstance(layer, torch.nn.Linear)
        and layer not in inside
        and layer.out_features == model.config.num_labels
    ]
    if not found:
        raise CheckpointError(
            f"{type(model).__name__} has no linear layer of {model.config.num_labels} outputs outside its "
            "encoder: set head_bias to zero and prior_shift to none in the recipe"
        )
    return found[-1]


def _bias(model: Any, option: str, off: str) -> Any:
    """Return the bias of a model's output layer, which a recipe's option is about to change."""
    bias = output_layer(model).bias
    if bias is None:
        raise CheckpointError(
            f"the head of {type(model).__name__} has no bias, which {option} would change: set it to {off} "
            "in the recipe"
        )
    return bias

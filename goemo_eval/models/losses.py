"""Losses of fine-tuning, and weights that let rare labels count.

Frozen binary cross-entropy and cross-entropy are the model's own; this module is called where a
recipe asks for something else. Every loss is a mean over the batch (and over the labels of a
multilabel scheme), so that one learning rate suits them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from goemo_eval.models.recipes import Recipe

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[["Tensor", "Tensor"], "Tensor"]


def label_weights(
    counts: npt.NDArray[np.integer[Any]], weighting: str, *, beta: float = 0.999
) -> npt.NDArray[np.float64]:
    """Return a weight per label that grows as the label gets rarer.

    Parameters
    ----------
    counts : ndarray of int, shape (K,)
        Training rows that carry each label; a label without any counts as one.
    weighting : {"none", "inverse", "inverse-sqrt", "class-balanced"}
        With n rows of a label, in proportion to 1, ``1 / n``, ``1 / sqrt(n)``, or
        ``(1 - beta) / (1 - beta ** n)``, the inverse effective number of Cui, Jia, Lin, Song and
        Belongie, "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019.
    beta : float, default 0.999
        In ``[0, 1)``.

    Returns
    -------
    ndarray of float64, shape (K,)
        Scaled so that the mean over all positives is 1: a weighting moves the loss from label to
        label and leaves its size alone.

    Examples
    --------
    >>> label_weights(np.array([1, 3]), "inverse").tolist()
    [2.0, 0.6666666666666666]
    """
    n = np.maximum(np.asarray(counts), 1).astype(np.float64)
    raw = {
        "none": np.ones_like(n),
        "inverse": 1 / n,
        "inverse-sqrt": n**-0.5,
        "class-balanced": (1 - beta) / (1 - beta**n),
    }[weighting]
    weights: npt.NDArray[np.float64] = raw * n.sum() / (raw * n).sum()
    return weights


def binary_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    positive_gamma: float = 0.0,
    negative_gamma: float = 0.0,
    negative_clip: float = 0.0,
    positive_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the mean of a weighted, focused binary cross-entropy.

    Per text and label, with ``p = sigmoid(logit)``, ``q = max(p - negative_clip, 0)`` and target t::

        -w t (1 - p) ** positive_gamma log(p)  -  (1 - t) q ** negative_gamma log(1 - q)

    Both gammas 0: binary cross-entropy. Both equal, no clip: the focal loss of Lin, Goyal,
    Girshick, He and Dollar, "Focal Loss for Dense Object Detection", ICCV 2017 (its alpha is w).
    Unequal: the asymmetric loss of Ridnik, Ben-Baruch, Zamir, Noy, Friedman, Protter and
    Zelnik-Manor, "Asymmetric Loss for Multi-Label Classification", ICCV 2021.

    Parameters
    ----------
    logits : tensor of float, shape (B, K)
    targets : tensor of float, shape (B, K)
        In ``[0, 1]``.
    positive_gamma, negative_gamma : float, default 0
        0 or more.
    negative_clip : float, default 0
        In ``[0, 1)``.
    positive_weights : tensor of float, shape (K,), optional
        w; 1 by default.
    label_smoothing : float, default 0
        Moves targets to ``t (1 - s) + s / 2``.

    Returns
    -------
    tensor of float, scalar
    """
    import torch
    from torch.nn.functional import logsigmoid

    logits = logits.float()  # log and power want more digits than bfloat16 has
    targets = targets * (1 - label_smoothing) + label_smoothing / 2
    weights = 1.0 if positive_weights is None else positive_weights
    positive = -weights * targets * logsigmoid(logits)
    if positive_gamma:
        positive = positive * torch.sigmoid(-logits) ** positive_gamma
    if negative_clip:
        q = (torch.sigmoid(logits) - negative_clip).clamp(min=0)
        negative = -(1 - targets) * torch.log1p(-q)
    else:
        q = torch.sigmoid(logits)
        negative = -(1 - targets) * logsigmoid(-logits)
    if negative_gamma:
        negative = negative * q**negative_gamma
    return (positive + negative).mean()


def softmax_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 0.0,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the mean of a weighted, focused cross-entropy.

    Per text, with ``p = softmax(logits)`` and target distribution t::

        -sum over k of  w_k t_k (1 - p_k) ** gamma log(p_k)

    gamma 0: cross-entropy; else the focal loss (see `binary_loss`) in its softmax form.

    Parameters
    ----------
    logits : tensor of float, shape (B, K)
    targets : tensor of int64, shape (B,)
    gamma : float, default 0
        0 or more.
    class_weights : tensor of float, shape (K,), optional
        w; 1 by default.
    label_smoothing : float, default 0
        t is ``1 - s + s / K`` at the target and ``s / K`` elsewhere.

    Returns
    -------
    tensor of float, scalar
    """
    from torch.nn.functional import log_softmax, one_hot

    log_p = log_softmax(logits.float(), dim=-1)
    n_labels = logits.shape[-1]
    t = one_hot(targets, n_labels) * (1 - label_smoothing) + label_smoothing / n_labels
    terms = -t * log_p
    if class_weights is not None:
        terms = terms * class_weights
    if gamma:
        terms = terms * (1 - log_p.exp()) ** gamma
    return terms.sum(dim=-1).mean()


def loss_of(recipe: Recipe, *, kind: str, counts: npt.NDArray[np.integer[Any]]) -> Loss | None:
    """Return the loss that a recipe asks for.

    Parameters
    ----------
    recipe : Recipe
    kind : {"multilabel", "multiclass"}
        A multiclass scheme knows no negatives: its asymmetric loss is the focal one with
        `positive_gamma`, as the authors of that loss have it.
    counts : ndarray of int, shape (K,)
        Training rows per label.

    Returns
    -------
    callable or None
        ``(logits, targets) -> scalar``; None where the model's own loss is meant.
    """
    import torch

    plain = recipe.loss == "bce" and recipe.label_weighting == "none" and not recipe.label_smoothing
    if plain:
        return None
    weights = None
    if recipe.label_weighting != "none":
        values = label_weights(counts, recipe.label_weighting, beta=recipe.balance_beta)
        weights = torch.tensor(values, dtype=torch.float32)
    up, down, clip = {
        "bce": (0.0, 0.0, 0.0),
        "focal": (recipe.focal_gamma, recipe.focal_gamma, 0.0),
        "asymmetric": (recipe.positive_gamma, recipe.negative_gamma, recipe.negative_clip),
    }[recipe.loss]

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        here = None if weights is None else weights.to(logits.device)
        if kind == "multiclass":
            return softmax_loss(
                logits,
                targets,
                gamma=up,
                class_weights=here,
                label_smoothing=recipe.label_smoothing,
            )
        return binary_loss(
            logits,
            targets,
            positive_gamma=up,
            negative_gamma=down,
            negative_clip=clip,
            positive_weights=here,
            label_smoothing=recipe.label_smoothing,
        )

    return loss

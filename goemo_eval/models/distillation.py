"""Learning from a teacher's logits on the training texts, beside their true targets.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, 2015; of
several teachers the logits are averaged. They stand behind a row's true targets, as further
columns of them: what carries targets from the rows to the loss carries both.

A teacher has seen the texts that it speaks of. The floor teaches cross-fitted, see
`goemo_eval.models.cross_fitting`. A fine-tuned encoder teaches as it is, as in the paper, since cross-fitting it would
take a fine-tuning for each part; it is surer of these texts than of others (MiniLM on GoEmotions: a loss of
0.053 here, of 0.085 on validation), and a temperature above 1 softens what it remembers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from goemo_eval.models.losses import Loss
from goemo_eval.models.recipes import Recipe

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Teacher:
    """What one teacher, or the mean of several, says of the training texts.

    Attributes
    ----------
    logits : ndarray of float32, shape (N, K)
        Of the texts that the scheme keeps, in their order.
    notes : tuple of str
        What a user should be told of the teachers, in a line each.
    """

    logits: npt.NDArray[np.float32]
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of shape and values."""
        values = np.ascontiguousarray(self.logits)
        return hashlib.sha256(f"{values.shape} ".encode() + values.tobytes()).hexdigest()


def mean_teacher(
    logits: Sequence[npt.NDArray[np.float32]], *, notes: Sequence[str] = ()
) -> Teacher:
    """Return several teachers as one, by the mean of their logits."""
    mean = np.stack([*logits]).astype(np.float64).mean(axis=0).astype(np.float32)
    return Teacher(np.asarray(mean), tuple(notes))


def distillation_loss(
    logits: Tensor, teacher_logits: Tensor, *, kind: str, temperature: float = 1.0
) -> Tensor:
    """Return how far a student is from its teacher, with both softened by a temperature.

    The cross-entropy against the teacher's softened distribution, times the squared temperature, so
    that its gradients keep their size beside those of the true targets (section 2 of the paper). Of
    a multilabel scheme each label is a distribution of its own, over yes and no.

    Parameters
    ----------
    logits, teacher_logits : tensor of float, shape (B, K)
    kind : {"multilabel", "multiclass"}
    temperature : float, default 1
        Above 0.

    Returns
    -------
    tensor of float, scalar
        Mean over the batch (and over the labels of a multilabel scheme). Least, though not 0, where
        both give the same probabilities.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    own, aim = logits.float() / temperature, teacher_logits.float() / temperature
    if kind == "multiclass":
        loss = cross_entropy(own, torch.softmax(aim, dim=-1))
    else:
        loss = binary_cross_entropy_with_logits(own, torch.sigmoid(aim))
    return loss * temperature**2


def taught_loss(recipe: Recipe, plain: Loss | None, *, kind: str) -> Loss:
    """Return a recipe's loss on true targets mixed with the distance from the teacher.

    ``(1 - w) * plain + w * distillation_loss``, where w is the recipe's `teacher_weight`.

    Parameters
    ----------
    recipe : Recipe
    plain : callable or None
        Of `goemo_eval.models.losses.loss_of`; None: plain cross-entropy, binary where the scheme is
        multilabel.
    kind : {"multilabel", "multiclass"}

    Returns
    -------
    callable
        ``(logits, targets) -> scalar``, of targets as `with_teacher` gives them. Rows that no
        teacher saw, those of validation, are given the plain loss.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    usual = cross_entropy if kind == "multiclass" else binary_cross_entropy_with_logits

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        true, teacher_logits = apart(targets, n_labels=logits.shape[-1], kind=kind)
        hard = plain(logits, true) if plain is not None else usual(logits.float(), true)
        if teacher_logits is None:
            return hard
        soft = distillation_loss(
            logits, teacher_logits, kind=kind, temperature=recipe.teacher_temperature
        )
        return (1 - recipe.teacher_weight) * hard + recipe.teacher_weight * soft

    return loss


def with_teacher(
    rows: list[dict[str, Any]], logits: npt.NDArray[np.float32]
) -> list[dict[str, Any]]:
    """Return training rows whose targets are followed by a teacher's logits.

    Parameters
    ----------
    rows : list of dict, length N
        Of `goemo_eval.models.batches.training_rows`.
    logits : ndarray of float32, shape (N, K)
    """
    return [
        row | {"labels": [*np.atleast_1d(row["labels"]).tolist(), *said]}
        for row, said in zip(rows, logits.tolist(), strict=True)
    ]


def apart(targets: Tensor, *, n_labels: int, kind: str) -> tuple[Tensor, Tensor | None]:
    """Take a batch's true targets and its teacher's logits apart; None where there is no teacher.

    Parameters
    ----------
    targets : tensor, shape (B, K), (B,), or that of `with_teacher`
    n_labels : int
        K.
    kind : {"multilabel", "multiclass"}

    Returns
    -------
    targets : tensor
        Floats of shape (B, K); int64 of shape (B,) under a multiclass scheme.
    logits : tensor of float, shape (B, K), or None
    """
    own = n_labels if kind == "multilabel" else 1
    if targets.ndim == 1 or targets.shape[1] == own:
        return targets, None
    true, logits = targets[:, :own], targets[:, own:]
    return (true if kind == "multilabel" else true[:, 0].long()), logits

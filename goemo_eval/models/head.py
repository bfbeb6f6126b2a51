"""Where a fresh classification head starts, and what it reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.pooling import use_mean_pooling
from goemo_eval.models.recipes import Recipe


def fit_head(
    model: Any, recipe: Recipe, counts: npt.NDArray[np.integer[Any]], *, n_rows: int, kind: str
) -> None:
    """Give a model the pooling and the head's bias that a recipe asks for.

    The parameters are those of `start_at_prior`; the model is changed in place.
    """
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
    last = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.bias.copy_(torch.from_numpy(bias))

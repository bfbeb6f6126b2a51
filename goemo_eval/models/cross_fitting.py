"""The floor as a teacher: its logits on its own training texts, by machines that have not seen them.

A linear model of many n-grams knows its training texts almost by heart: what it says of them is
surer than what it says of any other, and teaches little beyond the targets.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from goemo_eval.data.stratify import split_rows
from goemo_eval.data.task import Task
from goemo_eval.models.linear import LinearOptions, as_matrix, columns_of, fit_rows
from goemo_eval.models.ngrams import Vectorizer, learn_vocabulary

PARTS = 5
"""Of the training rows: each is decided by machines that were fitted on the other four."""


def unseen_logits(task: Task, *, parts: int = PARTS, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return the floor's logits on its training texts, cross-fitted.

    A text that stands several times is in one part. The vocabulary is that of all texts: it is
    chosen without a look at labels.

    Parameters
    ----------
    task : Task
    parts : int, default 5
        2 or more.
    seed : int, default 0
        Of the parts, and of the order in which the solver sees rows.

    Returns
    -------
    ndarray of float32, shape (N, K)
        On the scale of the floor's own logits.
    """
    options = LinearOptions()
    texts = task.texts["train"]
    columns = columns_of(task.targets["train"], len(task.scheme.labels))
    vocabulary = learn_vocabulary(texts, options.ngrams)
    rows = as_matrix(Vectorizer(vocabulary).features(texts), columns=len(vocabulary))
    dealt = split_rows(texts, columns, shares=(1 / parts,) * parts, seed=seed)
    found = fit_rows(
        rows,
        columns,
        halves=[part for part in dealt if len(part)],
        multiclass=task.scheme.kind == "multiclass",
        options=options,
        seed=seed,
    )
    logits = found.unseen * found.slope + found.offset
    if found.prior_shift is not None:
        log_share = np.log(np.maximum(columns.sum(axis=0), 1) / len(columns))
        logits = logits + found.prior_shift * log_share
    return logits.astype(np.float32)

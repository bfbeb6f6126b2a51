"""What people use instead: transformers' pipeline, scikit-learn's scores, a Trainer that pads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.base import BATCH_SIZE


class Pipeline:
    """`transformers.pipeline` as its documentation sets it up for many labels.

    Parameters
    ----------
    checkpoint : Path
    threads : int
    """

    def __init__(self, checkpoint: Path, *, threads: int) -> None:
        import torch
        from transformers import pipeline

        from goemo_eval.models.checkpoint import read_checkpoint
        from goemo_eval.models.pretrained import load_pretrained
        from goemo_eval.models.quiet import quiet_transformers

        torch.set_num_threads(threads)
        pretrained = load_pretrained(read_checkpoint(checkpoint))
        self.labels = pretrained.checkpoint.labels
        with quiet_transformers():
            self._pipeline: Any = pipeline(
                "text-classification",
                model=pretrained.module,
                tokenizer=pretrained.tokenizer,
                device="cpu",
                top_k=None,
                function_to_apply="sigmoid",
            )
        self._options = {"truncation": True, "max_length": pretrained.checkpoint.max_length}

    def scores(self, texts: Sequence[str]) -> list[Any]:
        """Return every label's probability of each text, in batches of 32."""
        found: list[Any] = self._pipeline(list(texts), batch_size=BATCH_SIZE, **self._options)
        return found

    def scores_of_one(self, text: str) -> Any:
        """Return every label's probability of one text."""
        return self._pipeline(text, **self._options)

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the logits, shape (N, K), to be compared with ours."""
        rows = self._pipeline(
            list(texts), batch_size=BATCH_SIZE, function_to_apply="none", **self._options
        )
        names = self._pipeline.model.config.id2label
        order = {name: k for k, name in names.items()}
        out = np.empty((len(rows), len(order)), dtype=np.float32)
        for i, row in enumerate(rows):
            for entry in row:
                out[i, order[entry["label"]]] = entry["score"]
        return out


def thresholds_by_grid(
    probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return each label's best threshold of 0.01, 0.02, ..., 0.99, by scikit-learn's F1."""
    from sklearn.metrics import f1_score

    grid = np.arange(1, 100) / 100
    best = np.empty(targets.shape[1])
    for k in range(targets.shape[1]):
        scores = [
            f1_score(targets[:, k], probabilities[:, k] >= t, zero_division=0.0) for t in grid
        ]
        best[k] = grid[int(np.argmax(scores))]
    return best


def bootstrap_by_loop(
    targets: npt.NDArray[np.bool_],
    baseline: npt.NDArray[np.bool_],
    candidate: npt.NDArray[np.bool_],
    *,
    draws: int,
) -> npt.NDArray[np.float64]:
    """Return differences of Macro-F1 on resampled rows, by scikit-learn, one draw after another."""
    from sklearn.metrics import f1_score

    rng, out = np.random.default_rng(0), np.empty(draws)
    for i in range(draws):
        rows = rng.integers(0, len(targets), len(targets))
        scores = [
            f1_score(targets[rows], found[rows], average="macro", zero_division=0.0)
            for found in (baseline, candidate)
        ]
        out[i] = scores[1] - scores[0]
    return out

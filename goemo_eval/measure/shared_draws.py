"""Intervals of many predictions of the same texts from one set of resamples.

What `statistics.score_interval` and `statistics.paired_bootstrap` say of Macro-F1, for tables of
cells: the texts are drawn once, and a cell that stands in several comparisons is scored once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from goemo_eval.errors import ScoreError
from goemo_eval.measure.resampling import (
    Bools,
    Floats,
    check_draws,
    chunks,
    draw,
    text_sums,
    value_and_gradient,
)
from goemo_eval.measure.statistics import Interval, Resamples


class Drawn(NamedTuple):
    """Macro-F1 of one set of predictions on the texts and on their resamples."""

    point: float
    influence: Floats
    """Shape (N,): how much the value grows with each text's weight."""
    values: Floats
    """Shape (B,)."""
    pulls: Floats
    """Shape (B, N): `influence` in each resample."""


class SharedDraws:
    """Resamples of N texts, the same for everything that is asked of them.

    Parameters
    ----------
    n_texts : int
    n_resamples : int
        At least 100. They are held at once, as N x B float32: a few hundred, for tables.
    seed : int, default 0
    """

    def __init__(self, n_texts: int, *, n_resamples: int, seed: int = 0) -> None:
        check_draws(n_resamples, seed)
        self.seed = seed
        rng, every_text = np.random.default_rng(seed), np.arange(n_texts)
        self.weights = np.concatenate(
            [draw(rng, number, every_text, n_texts) for number in chunks(n_resamples)]
        )

    def score(self, truth: Bools, guess: Bools) -> Drawn:
        """Score predictions, booleans of shape (N, K), on every resample.

        Raises
        ------
        ScoreError
            If the rows are not N, or truth and predictions differ in shape.
        """
        if truth.shape != guess.shape or len(truth) != self.weights.shape[1]:
            raise ScoreError(
                f"targets {truth.shape} and predictions {guess.shape}: expected "
                f"{self.weights.shape[1]} rows and equal shapes"
            )
        rows = text_sums(truth, [guess])  # (N, 1, 2, K)
        flat = rows.reshape(len(rows), -1)
        point, gradient = value_and_gradient(rows.sum(axis=0, dtype=np.float64), "macro_f1")
        sums = (self.weights @ flat).reshape(-1, *rows.shape[1:])
        values, slopes = value_and_gradient(sums, "macro_f1")
        return Drawn(
            point=float(point[0]),
            influence=flat @ gradient.ravel(),
            values=values[:, 0],
            pulls=slopes.reshape(len(sums), -1).astype(np.float32) @ flat.T,
        )

    def interval(self, drawn: Drawn, baseline: Drawn | None = None) -> Interval:
        """Return the studentized 95 % interval of a score, or of what it is above a baseline's."""
        point, influence, values, pulls = drawn
        if baseline:
            point, influence = point - baseline.point, influence - baseline.influence
            values, pulls = values - baseline.values, pulls - baseline.pulls
        squares = np.square(pulls)
        squares *= self.weights
        errors = np.sqrt(squares.sum(axis=1))
        return Resamples(
            point=point,
            standard_error=float(np.sqrt(influence @ influence)),
            values=values,
            errors=errors,
            floor=-1.0 if baseline else 0.0,
            seed=self.seed,
        ).interval()

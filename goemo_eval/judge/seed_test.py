"""Whether a drop is larger than what another seed alone would do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from goemo_eval.judge.verdict import SeedVerdict
from goemo_eval.records.schema import Record


def judge_seeds(pairs: Sequence[tuple[Record, Record]], *, alpha: float) -> tuple[SeedVerdict, ...]:
    """Judge every cell that was run with at least two seeds on both sides.

    Parameters
    ----------
    pairs : sequence of (Record, Record)
        Scored baseline and candidate of one cell and seed.
    alpha : float
        Chance of calling a drop larger than reseeding when it is not.
    """

    def family(pair: tuple[Record, Record]) -> str:
        return pair[0].cell.model_copy(update={"seed": 0}).id

    verdicts = []
    for cell, members in groupby(sorted(pairs, key=family), key=family):
        scores = np.array(
            [[r.scores.test.macro_f1 for r in pair if r.scores] for pair in members]
        )  # (seeds, 2)
        if len(scores) > 1:
            verdicts.append(_judge(cell, scores, alpha))
    return tuple(verdicts)


def _judge(cell: str, scores: np.ndarray, alpha: float) -> SeedVerdict:
    from scipy.special import stdtr

    seeds = len(scores)
    before, after = scores.mean(axis=0)
    drops = scores[:, 0] - scores[:, 1]
    error = drops.std(ddof=1) / np.sqrt(seeds)
    if error > 0:
        p_value = float(stdtr(seeds - 1, -drops.mean() / error))
    else:  # every seed lost the same
        p_value = 0.0 if drops.mean() > 0 else 1.0
    return SeedVerdict(
        cell=cell,
        seeds=seeds,
        baseline=before,
        candidate=after,
        drop=drops.mean(),
        reseeding=float(np.sqrt(scores.var(axis=0, ddof=1).mean())),
        p_value=p_value,
        larger_than_reseeding=p_value <= alpha,
    )

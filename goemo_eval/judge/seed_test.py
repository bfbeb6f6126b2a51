"""Whether a recipe is worse, over several seeds: by the seeds on these texts, and whatever the texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from goemo_eval.judge.rules import Rules
from goemo_eval.judge.verdict import SeedVerdict
from goemo_eval.measure.resampling import Bools, Floats
from goemo_eval.measure.two_level import two_level_bootstrap
from goemo_eval.records.comparable import comparable
from goemo_eval.records.schema import Record
from goemo_eval.records.verified import verified_decisions

_MOST_RESAMPLES = 2000  # of a standard error; more say no more
_WANTED_DROP = 0.01  # where the budget is zero


def judge_seeds(
    baseline: Iterable[Record], candidate: Iterable[Record], rules: Rules
) -> tuple[SeedVerdict, ...]:
    """Judge every cell that was run with at least two seeds on both sides.

    Seeds that both sides have are pairs, if there are two of them or more; otherwise the sides are taken apart,
    with all their seeds.

    Parameters
    ----------
    baseline, candidate : iterable of Record
        Of any cells; unscored ones are left out, and what cannot be compared is.
    rules : Rules
        Its alpha is the chance of calling a drop that is none.
    """
    before, after = _by_cell(baseline), _by_cell(candidate)
    verdicts = []
    for cell in sorted(before.keys() & after.keys()):
        old, new = before[cell], after[cell]
        common = sorted(old.keys() & new.keys())
        paired = len(common) > 1
        if paired:
            old, new = ({seed: side[seed] for seed in common} for side in (old, new))
        if min(len(old), len(new)) > 1 and _all_comparable([*old.values(), *new.values()]):
            verdicts.append(_judge(cell, list(old.values()), list(new.values()), paired, rules))
    return tuple(verdicts)


def _by_cell(records: Iterable[Record]) -> dict[str, dict[int, Record]]:
    """Return the records that can be judged, by cell without seed and by seed."""
    found: dict[str, dict[int, Record]] = {}
    for record in sorted(records, key=lambda record: record.cell.seed):
        if record.scores and record.decisions:
            cell = record.cell.model_copy(update={"seed": 0}).id
            found.setdefault(cell, {})[record.cell.seed] = record
    return found


def _all_comparable(records: Sequence[Record]) -> bool:
    return not any(comparable(records[0], record, "scores") for record in records[1:])


def _judge(
    cell: str, old: Sequence[Record], new: Sequence[Record], paired: bool, rules: Rules
) -> SeedVerdict:
    alpha = rules.run_alpha
    truth, before = _decisions(old)
    _, after = _decisions(new)
    found = two_level_bootstrap(
        truth,
        before,
        after,
        paired=paired,
        n_resamples=min(rules.n_resamples, _MOST_RESAMPLES),
        seed=rules.seed,
    )
    low, high = found.interval(1 - 2 * alpha)
    scores = [
        np.array([record.scores.test.macro_f1 for record in side if record.scores])
        for side in (old, new)
    ]
    p_value = _p_value(*scores, paired=paired)
    wanted = rules.max_drop or _WANTED_DROP
    return SeedVerdict(
        cell=cell,
        seeds=min(len(old), len(new)),
        paired=paired,
        baseline=scores[0].mean(),
        candidate=scores[1].mean(),
        drop=scores[0].mean() - scores[1].mean(),
        reseeding=float(np.sqrt(np.mean([side.var(ddof=1) for side in scores]))),
        p_value=p_value,
        larger_than_reseeding=p_value <= alpha,
        least_drop=-high,
        most_drop=-low,
        worse=-high > 0,
        detectable_drop=found.detectable(alpha=alpha),
        wanted_drop=wanted,
        seeds_needed=found.seeds_needed(wanted, alpha=alpha),
    )


def _decisions(records: Sequence[Record]) -> tuple[Bools, list[Bools]]:
    found = [verified_decisions(record) for record in records]
    return found[0][0], [guess for _, guess in found]


def _p_value(before: Floats, after: Floats, *, paired: bool) -> float:
    """Return the one-sided p-value of a t-test that the mean dropped: paired, or Welch's."""
    sides: list[npt.NDArray[np.floating]] = [before - after] if paired else [before, after]
    drop = float(before.mean() - after.mean())
    parts = np.array([side.var(ddof=1) / len(side) for side in sides])
    if not parts.any():  # every seed lost the same
        return 0.0 if drop > 0 else 1.0
    freedom = parts.sum() ** 2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, sides, strict=True)
    )
    from scipy.special import stdtr

    return float(stdtr(freedom, -drop / np.sqrt(parts.sum())))

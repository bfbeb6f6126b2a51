"""One cell before and after: whether they may be compared, and what the drop says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from goemo_eval.judge.rules import Rules
from goemo_eval.judge.verdict import CellVerdict, LabelVerdict, Status
from goemo_eval.judge.words import how_sure
from goemo_eval.measure.f1 import f1_per_label
from goemo_eval.measure.resampling import Bools
from goemo_eval.measure.significance import detectable_drop, holm, swap_test
from goemo_eval.measure.statistics import Resamples, resample
from goemo_eval.records.comparable import comparable
from goemo_eval.records.schema import Record
from goemo_eval.records.verified import verified_decisions

Against = Literal["baseline", "anchor"]
# Scores travel as decimal text: a drop that equals the budget must not exceed it by its last bit.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sets of decisions that may be compared, on the same resampled texts."""

    cell: str
    labels: tuple[str, ...]
    against: Against
    truth: Bools
    first: Bools
    second: Bools
    resamples: Resamples
    """Of candidate minus baseline."""
    records: tuple[Record, Record] | None = None
    """That the decisions are from: baseline and candidate."""

    def p_value(self, rules: Rules) -> float:
        """Return how sure it is that the true drop exceeds the budget; see `Resamples.p_value`."""
        return self.resamples.p_value(-rules.budget(self.against) - _ROUNDING)

    def repeats(self, other: Comparison) -> bool:
        """Say whether another comparison of the candidate was with the very same decisions."""
        return bool((self.first == other.first).all())


def compare_cell(
    old: Record, new: Record | None, against: Against, rules: Rules
) -> Comparison | CellVerdict:
    """Return what can be compared of a cell, or the verdict that it cannot.

    Raises
    ------
    RecordError
        If a record's scores do not follow from its decisions.
    """
    differing = _obstacles(old, new, against)
    if new is not None and not differing:
        truth, first = verified_decisions(old)
        _, second = verified_decisions(new)
        if not (differing := comparable(old, new, "scores")):
            drawn = resample(truth, (first, second), n_resamples=rules.n_resamples, seed=rules.seed)
            cell, labels = old.cell.id, old.labels
            return Comparison(cell, labels, against, truth, first, second, drawn, (old, new))
    return CellVerdict(
        cell=old.cell.id,
        against=against,
        status="not-comparable",
        reason="; ".join(differing),
        differing=tuple(differing),
    )


def _obstacles(old: Record, new: Record | None, against: Against) -> list[str]:
    """Say what can be seen of two records without a look at their decisions."""
    if new is None:
        return ["missing from the candidate: run it too"]
    bare = [record.model_copy(update={"decisions": None}) for record in (old, new)]
    if differing := comparable(bare[0], bare[1], "scores"):
        return differing
    if new.scores is None:
        return [f"not scored in the candidate: {new.unscored_reason}"]
    sides = ((against, old), ("candidate", new))
    return [f"the {side} keeps no decisions: run it again" for side, r in sides if not r.decisions]


def judge_drop(comparison: Comparison, level: float, together: int, rules: Rules) -> CellVerdict:
    """Judge a drop of Macro-F1 at the level that Holm's method leaves it.

    Parameters
    ----------
    comparison : Comparison
    level : float
        Chance of a false alarm that this cell may take.
    together : int
        Comparisons that share the run's alpha.
    rules : Rules
    """
    drawn = comparison.resamples
    before, after = (
        float(f1_per_label(comparison.truth, guess).mean())
        for guess in (comparison.first, comparison.second)
    )
    seen = _Seen(
        drop=before - after,
        # Each end by itself holds with one minus its level.
        least=-drawn.interval(confidence=1 - 2 * level).high,
        most=-drawn.interval(confidence=1 - 2 * rules.run_alpha).low,
        budget=rules.budget(comparison.against),
    )
    status = _status(seen, rules.mode)
    error = drawn.interval().standard_error
    return CellVerdict(
        cell=comparison.cell,
        against=comparison.against,
        status=status,
        reason=_reason(status, seen, together, rules),
        baseline=before,
        candidate=after,
        drop=seen.drop,
        least_drop=seen.least,
        most_drop=seen.most,
        p_value=comparison.p_value(rules),
        alpha=level,
        # Of a cell that alone loses: the first that Holm's method judges.
        detectable_drop=seen.budget + detectable_drop(error, alpha=rules.run_alpha / together)
        if error
        else None,
        flips=int((comparison.first != comparison.second).sum()),
    )


class _Seen(NamedTuple):
    drop: float
    least: float
    most: float
    budget: float


def _status(seen: _Seen, mode: str) -> Status:
    allowed = seen.budget + _ROUNDING
    if seen.least > allowed:
        return "regression"
    kept = seen.most <= allowed if mode == "noninferiority" else seen.drop <= allowed
    return "pass" if kept else "inconclusive"


def _reason(status: Status, seen: _Seen, together: int, rules: Rules) -> str:
    sure, all_sure = (how_sure(rules.alpha, n, rules.horizon) for n in (1, together))
    least, most, limit = f"{seen.least:z.4f}", f"{seen.most:z.4f}", f"the budget of {seen.budget:g}"
    if status == "regression":
        return f"the drop is at least {least} ({all_sure}), above {limit}"
    if status == "inconclusive":
        each = f"{sure} of each end" if together == 1 else f"{all_sure}, and {sure} of the latter"
        return (
            f"the drop measured {seen.drop:.4f}, but may be anything from {least} to {most} ({each}): "
            f"{limit} lies between"
        )
    if rules.mode == "noninferiority" or seen.most <= seen.budget + _ROUNDING:
        return f"the drop is at most {most} ({sure}), within {limit}"
    return f"no loss beyond {limit} is proven; the drop may still be up to {most} ({sure})"


def judge_labels(comparison: Comparison, rules: Rules) -> tuple[LabelVerdict, ...]:
    """Judge every label's F1, corrected for the number of labels; empty if that was not asked for."""
    if rules.max_label_drop is None:
        return ()
    truth, first, second = comparison.truth, comparison.first, comparison.second
    test = swap_test(truth, first, second, n_swaps=rules.n_resamples, seed=rules.seed)
    allowed = rules.max_label_drop + _ROUNDING
    verdicts = []
    scores = f1_per_label(truth, first), f1_per_label(truth, second), holm(test.per_label)
    for label, before, after, p_value in zip(comparison.labels, *scores, strict=True):
        lost = before - after > allowed and p_value <= rules.run_alpha
        verdicts.append(
            LabelVerdict(
                label=label,
                baseline=before,
                candidate=after,
                drop=before - after,
                p_value=p_value,
                status="regression" if lost else "pass",
            )
        )
    return tuple(verdicts)

"""The gate: whether a candidate lost more Macro-F1 than is allowed, as far as a test split can tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError
from tqdm import tqdm

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen
from goemo_eval.judge.latency_gate import judge_slowdown, judge_speedup
from goemo_eval.judge.seed_test import judge_seeds
from goemo_eval.judge.verdict import (
    CellVerdict,
    LabelVerdict,
    LatencyVerdict,
    Status,
    Verdict,
)
from goemo_eval.measure.metrics import Unit
from goemo_eval.measure.significance import detectable_drop, holm, swap_test
from goemo_eval.measure.statistics import paired_bootstrap
from goemo_eval.records.schema import Record
from goemo_eval.records.verified import verified_decisions

# The worst first: a proven loss says more than a cell that could not be compared.
_WORST_FIRST: tuple[Status, ...] = ("regression", "not-comparable", "inconclusive", "pass")
# Scores travel as decimal text: a drop that equals the budget must not exceed it by its last bit.
_ROUNDING = 1e-9

Bools = npt.NDArray[np.bool_]


class Rules(Frozen):
    """What is allowed, and how sure the gate must be; see `gate`."""

    max_drop: Unit
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    mode: Literal["superiority", "noninferiority"]
    max_label_drop: Unit | None
    max_slowdown: Annotated[float, Field(gt=0)] | None
    min_speedup: Annotated[float, Field(gt=0)] | None
    n_resamples: Annotated[int, Field(ge=100)]
    seed: Annotated[int, Field(ge=0)]


_EXPECTED = {
    "max_drop": "lie in [0, 1]",
    "alpha": "lie between 0 and 0.5",
    "mode": "be superiority or noninferiority",
    "max_label_drop": "lie in [0, 1]",
    "max_slowdown": "be above 0",
    "min_speedup": "be above 0",
    "n_resamples": "be at least 100",
    "seed": "be at least 0",
}


def gate(
    baseline: Sequence[Record],
    candidate: Sequence[Record],
    *,
    max_drop: float = 0.01,
    alpha: float = 0.05,
    mode: str = "superiority",
    max_label_drop: float | None = None,
    max_slowdown: float | None = None,
    min_speedup: float | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> Verdict:
    """Compare the test Macro-F1 of every scored baseline cell with the candidate's.

    The drop that was measured comes with two bounds: the true drop is at least `least_drop`, and at most
    `most_drop`, each with a confidence of ``1 - alpha``. They are the ends of a paired
    bootstrap interval over the texts (`paired_bootstrap`). A test split that came out a little
    differently moves the measured drop within them, so a drop inside says little.

    Parameters
    ----------
    baseline, candidate : sequence of Record
    max_drop : float, default 0.01
        The budget: how much Macro-F1 may be lost, in ``[0, 1]``.
    alpha : float, default 0.05
        How often, per cell, the gate may call a loss where the true drop just keeps the
        budget; in ``(0, 0.5)``.
    mode : {"superiority", "noninferiority"}
        Who must prove what. ``superiority`` asks for proof of harm: ``regression`` if even
        `least_drop` exceeds the budget, ``inconclusive`` if the measured drop exceeds it but
        `least_drop` does not, else ``pass``. ``noninferiority`` asks for proof of no harm:
        ``pass`` only if even `most_drop` keeps the budget, ``regression`` as above, else
        ``inconclusive``.
    max_label_drop : float, optional
        Also judge every label: a ``regression`` if its F1 lost more than this and the loss is
        not chance (`swap_test`, at `alpha` over all labels together by Holm's correction).
    max_slowdown : float, optional
        Also judge the median seconds per batch of 32, candidate over baseline, where both were
        measured on the same kind of machine.
    min_speedup : float, optional
        Also judge how much faster the candidate's INT8 cells are than their FP32 twins, which
        were timed in turns.
    n_resamples : int, default 10,000
    seed : int, default 0

    Returns
    -------
    Verdict
        The status of the worst cell: regression, not-comparable, inconclusive, pass.
        Cells are not comparable where test split, scheme, label order or dominance rule differ,
        or the candidate lacks the cell or its score.

    Raises
    ------
    RecordError
        If an option is out of range, no baseline cell was scored, or a record's scores do not
        follow from its decisions.
    """
    rules = _rules(
        max_drop=max_drop,
        alpha=alpha,
        mode=mode,
        max_label_drop=max_label_drop,
        max_slowdown=max_slowdown,
        min_speedup=min_speedup,
        n_resamples=n_resamples,
        seed=seed,
    )
    after = {record.cell.id: record for record in candidate}
    before = {record.cell.id: record for record in baseline if record.scores}
    if not before:
        raise RecordError("the baseline has no scored cell: nothing to compare")
    # disable=None: silent when stderr is no terminal
    cells = [
        _judge_cell(before[cell], after.get(cell), rules)
        for cell in tqdm(sorted(before), desc="gate", leave=False, disable=None)
    ]
    return Verdict(
        status=next(s for s in _WORST_FIRST if any(cell.status == s for cell in cells)),
        mode=rules.mode,
        max_drop=max_drop,
        alpha=alpha,
        cells=tuple(cells),
        only_in_candidate=tuple(
            sorted(r.cell.id for r in candidate if r.scores and r.cell.id not in before)
        ),
        seeds=judge_seeds(
            [(before[c.cell], after[c.cell]) for c in cells if c.drop is not None], alpha=alpha
        ),
    )


def differences(old: Record, new: Record) -> list[str]:
    """Say which fields keep two records of one cell from being compared; empty if none does."""
    pairs = {
        "test split sha256": (_test_sha(old), _test_sha(new)),
        "scheme kind": (old.kind, new.kind),
        "label order": (old.labels, new.labels),
        "dominance rule": (old.dominance, new.dominance),
    }
    return [
        f"{name} differs ({_short(a)} and {_short(b)})" for name, (a, b) in pairs.items() if a != b
    ]


def _rules(**options: object) -> Rules:
    try:
        return Rules.model_validate(options)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise RecordError(f"{name} must {_EXPECTED[name]}: got {options[name]}") from None


def _judge_cell(old: Record, new: Record | None, rules: Rules) -> CellVerdict:
    cell = old.cell.id
    if new is None:
        return _not_comparable(cell, ["missing from the candidate: run it too"])
    if differing := differences(old, new):
        return _not_comparable(cell, differing)
    if new.scores is None:
        return _not_comparable(cell, [f"not scored in the candidate: {new.unscored_reason}"])
    missing = [
        f"the {side} keeps no decisions: run it again"
        for side, record in (("baseline", old), ("candidate", new))
        if record.decisions is None
    ]
    if missing:
        return _not_comparable(cell, missing)
    truth, first = verified_decisions(old)
    other_truth, second = verified_decisions(new)
    if not np.array_equal(truth, other_truth):
        return _not_comparable(cell, ["truth of the test split differs"])
    judged = _judge_drop(cell, truth, first, second, rules)
    return _worsened(
        judged,
        labels=_judge_labels(old.labels, truth, first, second, rules),
        latency=_judge_latency(old, new, rules),
    )


def _not_comparable(cell: str, differing: list[str]) -> CellVerdict:
    return CellVerdict(
        cell=cell, status="not-comparable", reason="; ".join(differing), differing=tuple(differing)
    )


def _judge_drop(cell: str, truth: Bools, first: Bools, second: Bools, rules: Rules) -> CellVerdict:
    interval = paired_bootstrap(
        truth,
        first,
        second,
        # Each end by itself holds with 1 - alpha.
        confidence=1 - 2 * rules.alpha,
        n_resamples=rules.n_resamples,
        seed=rules.seed,
    )
    before, after = (_macro_f1(truth, guess) for guess in (first, second))
    drop, least, most = before - after, -interval.high, -interval.low
    status = _status(drop, least, most, rules)
    return CellVerdict(
        cell=cell,
        status=status,
        reason=_reason(status, drop, least, most, rules),
        baseline=before,
        candidate=after,
        drop=drop,
        least_drop=least,
        most_drop=most,
        detectable_drop=rules.max_drop + detectable_drop(interval.standard_error, alpha=rules.alpha)
        if interval.standard_error
        else None,
        flips=int((first != second).sum()),
    )


def _status(drop: float, least: float, most: float, rules: Rules) -> Status:
    budget = rules.max_drop + _ROUNDING
    if least > budget:
        return "regression"
    kept = most <= budget if rules.mode == "noninferiority" else drop <= budget
    return "pass" if kept else "inconclusive"


def _reason(status: Status, drop: float, least: float, most: float, rules: Rules) -> str:
    sure, budget = f"{1 - rules.alpha:.0%}", f"{rules.max_drop:g}"
    if status == "regression":
        return f"the drop is at least {least:.4f} ({sure} sure), above the budget of {budget}"
    if status == "inconclusive":
        return (
            f"the drop measured {drop:.4f}, but may be anything from {least:.4f} to {most:.4f} "
            f"({sure} sure of each end): the budget of {budget} lies between"
        )
    if rules.mode == "noninferiority" or most <= rules.max_drop + _ROUNDING:
        return f"the drop is at most {most:.4f} ({sure} sure), within the budget of {budget}"
    return (
        f"no loss beyond the budget of {budget} is proven; the drop may still be up to {most:.4f} "
        f"({sure} sure)"
    )


def _macro_f1(truth: Bools, guess: Bools) -> float:
    return float(_f1(truth, guess).mean())


def _f1(truth: Bools, guess: Bools) -> npt.NDArray[np.float64]:
    both = truth.sum(axis=0) + guess.sum(axis=0)
    return np.asarray(2 * (truth & guess).sum(axis=0) / np.maximum(both, 1))


def _judge_labels(
    labels: Sequence[str], truth: Bools, first: Bools, second: Bools, rules: Rules
) -> tuple[LabelVerdict, ...]:
    if rules.max_label_drop is None:
        return ()
    test = swap_test(truth, first, second, n_swaps=rules.n_resamples, seed=rules.seed)
    allowed = rules.max_label_drop + _ROUNDING
    verdicts = []
    rows = zip(labels, _f1(truth, first), _f1(truth, second), holm(test.per_label), strict=True)
    for label, before, after, p_value in rows:
        lost = before - after > allowed and p_value <= rules.alpha
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


def _judge_latency(old: Record, new: Record, rules: Rules) -> tuple[LatencyVerdict, ...]:
    verdicts = []
    if rules.max_slowdown is not None:
        verdicts.append(judge_slowdown(old, new, limit=rules.max_slowdown, alpha=rules.alpha))
    if rules.min_speedup is not None and new.cell.precision == "int8":
        verdicts.append(judge_speedup(new, limit=rules.min_speedup, alpha=rules.alpha))
    return tuple(verdicts)


def _worsened(
    judged: CellVerdict, *, labels: tuple[LabelVerdict, ...], latency: tuple[LatencyVerdict, ...]
) -> CellVerdict:
    """Return a cell's verdict with those on its labels and latencies: the worst decides."""
    statuses, reasons = [judged.status], [judged.reason]
    if lost := [v for v in labels if v.status == "regression"]:
        statuses.append("regression")
        reasons += [f"label {v.label} lost {v.drop:.4f} (p {v.p_value:.4f})" for v in lost]
    statuses += [verdict.status for verdict in latency]
    reasons += [f"{v.name}: {v.reason}" for v in latency if v.status != "pass"]
    return judged.model_copy(
        update={
            "status": next(s for s in _WORST_FIRST if s in statuses),
            "reason": "; ".join(reasons),
            "differing": tuple(d for verdict in latency for d in verdict.differing),
            "labels": labels,
            "latency": latency,
        }
    )


def _test_sha(record: Record) -> str | None:
    split = record.data.splits.get("test")
    return split.sha256 if split else None


def _short(value: object) -> str:
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 24 else text[:21] + "..."

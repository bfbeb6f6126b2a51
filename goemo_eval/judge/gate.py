"""The gate: whether a candidate lost more Macro-F1 than is allowed, as far as a test split can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import RecordError, ScoreError
from goemo_eval.judge.comparison import (
    Comparison,
    compare_cell,
    judge_drop,
    judge_labels,
)
from goemo_eval.judge.latency_gate import judge_latency
from goemo_eval.judge.pairing import pair_cells
from goemo_eval.judge.rules import Rules, make_rules
from goemo_eval.judge.seed_test import judge_seeds
from goemo_eval.judge.verdict import WORST_FIRST, CellVerdict, Status, Verdict
from goemo_eval.measure.metrics import indicator, score_predictions
from goemo_eval.measure.significance import holm_levels
from goemo_eval.measure.statistics import resample
from goemo_eval.progress import progress
from goemo_eval.records.schema import Record


def gate(
    baseline: Sequence[Record],
    candidate: Sequence[Record],
    *,
    pairs: Mapping[str, str] | None = None,
    max_drop: float = 0.01,
    alpha: float = 0.05,
    alpha_per_cell: bool = False,
    horizon: int | None = None,
    mode: str = "superiority",
    anchor: Sequence[Record] = (),
    max_drift: float | None = None,
    max_label_drop: float | None = None,
    max_slowdown: float | None = None,
    min_speedup: float | None = None,
    judged: int | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> Verdict:
    """Compare the test Macro-F1 of every scored baseline cell with the candidate's.

    The drop that was measured comes with two bounds: the true drop is at least `least_drop`, and at most
    `most_drop`. They are the ends of paired bootstrap intervals over the texts (`paired_bootstrap`). A
    test split that came out a little differently moves the measured drop within them, so a drop
    inside says little.

    Parameters
    ----------
    baseline, candidate : sequence of Record
    pairs : mapping of str to str, optional
        Judge these cells of the baseline alone, each against the candidate's cell that it names: another
        encoder, engine or precision under the same scheme. By default cells of one id are compared.
    max_drop : float, default 0.01
        The budget: how much Macro-F1 may be lost, in ``[0, 1]``.
    alpha : float, default 0.05
        How often a run may call any loss of Macro-F1 where the true drops just keep the budget; in
        ``(0, 0.5)``. The cells share it by Holm's method, each cell's p-value being the inversion of its
        interval. The labels of a cell share it among themselves, and so does each latency by itself.
    alpha_per_cell : bool, default False
        Let every cell have all of alpha: more power, and more false alarms the more cells there are.
    horizon : int, optional
        Runs of the gate that share alpha, in equal parts: for a gate that runs at every commit.
    mode : {"superiority", "noninferiority"}
        Who must prove what. ``superiority`` asks for proof of harm: ``regression`` if even
        `least_drop` exceeds the budget, ``inconclusive`` if the measured drop exceeds it but
        `least_drop` does not, else ``pass``. ``noninferiority`` asks for proof of no harm:
        ``pass`` only if even `most_drop` keeps the budget, ``regression`` as above, else
        ``inconclusive``. A run passes only if every cell does, so `most_drop` needs no correction for
        their number [1]_.
    anchor : sequence of Record, optional
        An older state that is judged as well, so that small losses cannot add up unseen. Its cells belong
        to the same family; those that decide as the baseline does are left out.
    max_drift : float, optional
        The budget against the anchor; by default `max_drop`.
    max_label_drop : float, optional
        Also judge every label: a ``regression`` if its F1 lost more than this and the loss is
        not chance (`swap_test`, at `alpha` over all labels of a cell by Holm's correction).
    max_slowdown : float, optional
        Also judge the median seconds per batch of 32, candidate over baseline, where both were
        measured on the same kind of machine.
    min_speedup : float, optional
        Also judge how much faster the candidate's INT8 and BF16 cells are than their FP32 twins, which
        were timed in turns.
    judged : int, optional
        Runs that this test split has judged before, to be told with the verdict.
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
        If an option is out of range, no baseline cell was scored, a pair does not fit, or a record's
        scores do not follow from its decisions.

    References
    ----------
    .. [1] R. L. Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24
       (1982).
    """
    rules = make_rules(
        max_drop=max_drop,
        alpha=alpha,
        alpha_per_cell=alpha_per_cell,
        horizon=horizon,
        mode=mode,
        max_drift=max_drift,
        max_label_drop=max_label_drop,
        max_slowdown=max_slowdown,
        min_speedup=min_speedup,
        judged=judged,
        n_resamples=n_resamples,
        seed=seed,
    )
    if pairs:
        if min_speedup is not None:
            raise RecordError(
                "--min-speedup looks at a candidate's own twins, and --pair at other cells: leave one out"
            )
        baseline, candidate = pair_cells(baseline, candidate, pairs)
    before = {record.cell.id: record for record in baseline if record.scores}
    if not before:
        raise RecordError("the baseline has no scored cell: nothing to compare")
    cells = _judge(before, anchor, {record.cell.id: record for record in candidate}, rules)
    return Verdict(
        status=_worst([cell.status for cell in cells]),
        mode=rules.mode,
        max_drop=max_drop,
        alpha=alpha,
        per_cell=alpha_per_cell,
        horizon=horizon,
        judged=judged,
        max_drift=rules.budget("anchor") if anchor else None,
        pairs=dict(pairs or {}),
        cells=tuple(cell for cell in cells if cell.against == "baseline"),
        anchor=tuple(cell for cell in cells if cell.against == "anchor"),
        only_in_candidate=tuple(
            sorted(r.cell.id for r in candidate if r.scores and r.cell.id not in before)
        ),
        seeds=judge_seeds(list(before.values()), candidate, rules),
    )


def gate_decisions(
    targets: npt.NDArray[Any],
    baseline: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    *,
    labels: Sequence[str],
    name: str = "candidate",
    max_drop: float = 0.01,
    alpha: float = 0.05,
    mode: str = "superiority",
    max_label_drop: float | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> CellVerdict:
    """Compare two sets of predictions of one's own on the same texts, as `gate` compares two records.

    Parameters
    ----------
    targets, baseline, candidate : ndarray of bool, shape (N, K), or ndarray of int, shape (N,)
        Truth and both predictions: a column a label, rows without a label allowed; or class ids in
        ``[0, K)``.
    labels : sequence of str, length K
    name : str, default "candidate"
        Of what is judged, in the verdict.
    max_drop, alpha, mode, max_label_drop, n_resamples, seed
        As of `gate`.

    Returns
    -------
    CellVerdict

    Raises
    ------
    ScoreError
        If the arrays are no predictions of these labels on the same texts.
    RecordError
        If an option is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random((400, 3)) < 0.3  # some rows have no label
    >>> worse = truth & (rng.random(truth.shape) < 0.5)
    >>> gate_decisions(truth, truth, worse, labels=["bug", "billing", "login"]).status
    'regression'
    """
    rules = make_rules(
        max_drop=max_drop,
        alpha=alpha,
        mode=mode,
        max_label_drop=max_label_drop,
        n_resamples=n_resamples,
        seed=seed,
    )
    if len(set(labels)) != len(labels):
        raise ScoreError("labels must be names, each once: one stands twice")
    for predictions in (baseline, candidate):
        score_predictions(targets, predictions, labels=labels)  # refuses what is none
    truth, first, second = (
        indicator(np.asarray(values), "predictions", len(labels))
        for values in (targets, baseline, candidate)
    )
    drawn = resample(truth, (first, second), n_resamples=rules.n_resamples, seed=rules.seed)
    comparison = Comparison(name, tuple(labels), "baseline", truth, first, second, drawn)
    together, levels = _share_alpha([comparison], rules)
    return _judge_comparison(comparison, next(levels), together, rules)


def _judge(
    before: dict[str, Record], anchor: Sequence[Record], after: dict[str, Record], rules: Rules
) -> list[CellVerdict]:
    """Compare first, and judge when it is known how many comparisons share alpha."""
    found = [
        compare_cell(before[cell], after.get(cell), "baseline", rules)
        for cell in progress(sorted(before), desc="gate")
    ]
    made = {one.cell: one for one in found if isinstance(one, Comparison)}
    # What the baseline no longer holds, or cannot be compared with, is not judged.
    kept = [record for record in anchor if record.scores and record.cell.id in made]
    for record in progress(kept, desc="anchor"):
        one = compare_cell(record, after[record.cell.id], "anchor", rules)
        if not (isinstance(one, Comparison) and one.repeats(made[record.cell.id])):
            found.append(one)
    comparisons = [one for one in found if isinstance(one, Comparison)]
    together, levels = _share_alpha(comparisons, rules)
    return [
        _judge_comparison(one, next(levels), together, rules)
        if isinstance(one, Comparison)
        else one
        for one in found
    ]


def _share_alpha(comparisons: Sequence[Comparison], rules: Rules) -> tuple[int, Iterator[float]]:
    """Return how many comparisons share the run's alpha, and the level of each."""
    if rules.alpha_per_cell:
        return 1, repeat(rules.run_alpha)
    p_values = [comparison.p_value(rules) for comparison in comparisons]
    return len(p_values), iter(holm_levels(p_values, rules.run_alpha).tolist())


def _judge_comparison(
    comparison: Comparison, level: float, together: int, rules: Rules
) -> CellVerdict:
    """Return a cell's verdict with those on its labels and latencies: the worst decides."""
    judged = judge_drop(comparison, level, together, rules)
    labels = judge_labels(comparison, rules)
    # An anchor's times are another machine's, or old.
    timed = comparison.records if comparison.against == "baseline" else None
    latency = judge_latency(*timed, rules) if timed else ()
    statuses, reasons = [judged.status], [judged.reason]
    if lost := [v for v in labels if v.status == "regression"]:
        statuses.append("regression")
        reasons += [f"label {v.label} lost {v.drop:.4f} (p {v.p_value:.4f})" for v in lost]
    statuses += [verdict.status for verdict in latency]
    reasons += [f"{v.name}: {v.reason}" for v in latency if v.status != "pass"]
    return judged.model_copy(
        update={
            "status": _worst(statuses),
            "reason": "; ".join(reasons),
            "differing": tuple(d for verdict in latency for d in verdict.differing),
            "labels": labels,
            "latency": latency,
        }
    )


def _worst(statuses: Sequence[Status]) -> Status:
    return next(status for status in WORST_FIRST if status in statuses)

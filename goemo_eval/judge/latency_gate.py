"""Whether a candidate became slow: ratios of latencies, with their own intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from goemo_eval.judge.rules import Rules
from goemo_eval.judge.verdict import LatencyVerdict
from goemo_eval.measure.scenarios import Latency
from goemo_eval.records.comparable import comparable
from goemo_eval.records.schema import Record

_RESAMPLES = 10_000


def judge_latency(old: Record, new: Record, rules: Rules) -> tuple[LatencyVerdict, ...]:
    """Judge what was asked for of a cell's times; empty if nothing was."""
    verdicts = []
    if rules.max_slowdown is not None:
        verdicts.append(judge_slowdown(old, new, limit=rules.max_slowdown, alpha=rules.run_alpha))
    if rules.min_speedup is not None and new.cell.precision != "fp32":
        verdicts.append(judge_speedup(new, limit=rules.min_speedup, alpha=rules.run_alpha))
    return tuple(verdicts)


def judge_slowdown(old: Record, new: Record, *, limit: float, alpha: float) -> LatencyVerdict:
    """Judge the median seconds per batch in the split's own lengths, candidate over baseline.

    The interval is a bootstrap of both runs' times. It knows how much times vary within a run, not
    how a machine changes from one run to the next: allow for that in the limit.

    Parameters
    ----------
    old, new : Record
        Of one cell.
    limit : float
        Largest ratio that is allowed, such as 1.2.
    alpha : float
        Chance of a false alarm at a true ratio of `limit`.
    """
    before, after = old.latency.get("real"), new.latency.get("real")
    if before is None or after is None:
        side = "baseline" if before is None else "candidate"
        return _not_comparable("slowdown", limit, [f"the {side} keeps no latencies"])
    if differing := comparable(old, new, "times", scenario="real"):
        return _not_comparable("slowdown", limit, differing)
    ratio = after.p50_s / before.p50_s
    rng = np.random.default_rng(0)
    ratios = _medians(after, rng) / _medians(before, rng)
    low, high = np.quantile(ratios, [alpha, 1 - alpha])
    return _judge("slowdown", limit, ratio, low, high, kept=lambda value: value <= limit)


def judge_speedup(record: Record, *, limit: float, alpha: float) -> LatencyVerdict:
    """Judge how much faster a cell of INT8 or BF16 is than its FP32 twin, which was timed in turns with it.

    What slows the machine falls on both, so this needs no baseline of the same machine. The
    interval is Student's, of the logarithms of the passes' ratios.
    """
    if record.speedup is None:
        return _not_comparable("speedup", limit, ["the candidate keeps no passes beside FP32"])
    speedup = record.speedup
    if not speedup.load.stable:
        return _not_comparable("speedup", limit, [f"times are unstable: {speedup.load.reason}"])
    logs = np.log(np.array(speedup.reference_s) / np.array(speedup.candidate_s))
    if len(logs) < 2:
        return LatencyVerdict(
            name="speedup",
            status="inconclusive",
            reason="one timed pass has no interval: give the run more time",
            limit=limit,
            ratio=speedup.ratio,
        )
    from scipy.stats import t

    error = logs.std(ddof=1) / np.sqrt(len(logs))
    width = t.ppf(1 - alpha, len(logs) - 1) * error
    low, high = np.exp([logs.mean() - width, logs.mean() + width])
    ratio = float(np.exp(logs.mean()))
    return _judge("speedup", limit, ratio, low, high, kept=lambda value: value >= limit)


def _judge(
    name: Literal["slowdown", "speedup"],
    limit: float,
    ratio: float,
    low: float,
    high: float,
    *,
    kept: Callable[[float], bool],
) -> LatencyVerdict:
    status: Literal["pass", "regression", "inconclusive"] = "pass"
    if not kept(ratio):
        status = "inconclusive" if kept(low) or kept(high) else "regression"
    return LatencyVerdict(
        name=name,
        status=status,
        reason=f"{ratio:.2f}x, from {low:.2f} to {high:.2f}; the limit is {limit:g}",
        limit=limit,
        ratio=ratio,
        low=float(low),
        high=float(high),
    )


def _not_comparable(
    name: Literal["slowdown", "speedup"], limit: float, differing: Sequence[str]
) -> LatencyVerdict:
    return LatencyVerdict(
        name=name,
        status="not-comparable",
        reason="; ".join(differing),
        limit=limit,
        differing=tuple(differing),
    )


def _medians(latency: Latency, rng: np.random.Generator) -> np.ndarray:
    times = np.array(latency.times_s)
    return np.asarray(np.median(rng.choice(times, (_RESAMPLES, len(times))), axis=1))

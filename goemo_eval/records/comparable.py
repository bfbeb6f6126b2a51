"""Whether records may be compared, by one definition for gate, recommendation, report and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from goemo_eval.errors import RecordError, unknown_name
from goemo_eval.measure.scenarios import SCENARIOS, Latency, Throughput
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record

What = Literal["scores", "times"]
OFFLINE = "offline"
TIMED = (*SCENARIOS, OFFLINE)
"""The scenarios that a record may hold times of."""
_PLURALS = ("flags", "threads", "texts", "batches")
_SHOWN = 40  # characters of a value in a message

Facts = dict[str, object]
"""Field, in words, to value. Only what stands in both of two records must agree: an engine's facts
carry its name."""


def comparable(a: Record, b: Record, what: What, *, scenario: str | None = None) -> list[str]:
    """Say which fields keep two records from being compared.

    Parameters
    ----------
    a, b : Record
    what : {"scores", "times"}
        ``scores``: test split, scheme, kind, labels in their order, dominance rule and truth must be
        the same. ``times``: processor, instruction sets, the limit on them, threads, for records of one
        engine its version and the instruction sets that it uses, and what was timed and how often;
        both must be stable.
    scenario : {"real", "padded128", "single", "offline"}, optional
        Of the times; by default every scenario that both were timed in.

    Returns
    -------
    list of str
        Empty if they may be compared.

    Raises
    ------
    RecordError
        If an option is unknown or decisions are damaged.

    Notes
    -----
    The sha256 of a test split is its identity: a data set that was only renamed is the same. Records of
    schema 2 did not keep which batches were timed: two of them count as timed alike if they hold as
    many times, and never beside a newer record.
    """
    return comparable_set([a, b], what, scenario)


def comparable_set(records: Sequence[Record], what: What, scenario: str | None = None) -> list[str]:
    """Say what keeps some records from being compared with one another; see `comparable`.

    Returns
    -------
    list of str
        One per field in which any two of them differ; empty if all may be compared.
    """
    if what not in get_args(What):
        raise RecordError(unknown_name("comparison", what, get_args(What)))
    if scenario is not None and scenario not in TIMED:
        raise RecordError(unknown_name("scenario", scenario, TIMED))
    if what == "scores":
        return _differing([_score_facts(r) for r in records]) + _other_truth(records)
    shared = [s for s in TIMED if all(times_of(r, s) for r in records)]
    if scenario is not None and scenario not in shared:
        missing = [r.cell.id for r in records if times_of(r, scenario) is None]
        return [f"no times of scenario {scenario}: {_names(missing)}"]
    if not shared:
        return ["no scenario in which all were timed"] if records else []
    asked = shared if scenario is None else [scenario]
    facts = []
    for record in records:
        facts.append(_machine_facts(record))
        for one in asked:
            facts[-1] |= _timing_facts(record, one)
    return _differing(facts) + [text for s in asked for text in _unstable(records, s)]


def times_of(record: Record, scenario: str) -> Latency | Throughput | None:
    """Return what a record holds of a scenario; None if it was not timed in it."""
    if scenario == OFFLINE:
        return record.offline
    return record.latency.get(scenario)  # type: ignore[call-overload, no-any-return]


def _score_facts(record: Record) -> Facts:
    test = record.data.splits.get("test")
    return {
        "test split sha256": test and test.sha256[:12],
        "scheme": record.cell.scheme,
        "scheme kind": record.kind,
        "label order": record.labels,
        "dominance rule": record.dominance,
    }


def _other_truth(records: Sequence[Record]) -> list[str]:
    """Compare the truth itself: two groupings may share their name and their labels."""
    kept = [r for r in records if r.decisions]
    for record in kept[1:]:
        ours, theirs = kept[0].decisions, record.decisions
        assert ours is not None
        assert theirs is not None
        # The same bits may be deflated to other bytes by another zlib.
        if ours.targets != theirs.targets and not np.array_equal(
            unpack_decisions(ours)[0], unpack_decisions(theirs)[0]
        ):
            return [f"truth of the test split differs ({kept[0].cell.id} and {record.cell.id})"]
    return []


def _machine_facts(record: Record) -> Facts:
    found, engine = record.environment, record.cell.engine
    return {
        "CPU model": found.cpu_model,
        "ISA flags": found.isa_flags,
        "ISA limit": found.isa_limit,
        "threads": found.threads,
        f"{engine}'s ISA": found.engine_isa,
        f"{engine} version": found.versions.get(engine),
    }


def _timing_facts(record: Record, scenario: str) -> Facts:
    times = times_of(record, scenario)
    assert times is not None
    if isinstance(times, Latency):
        facts: Facts = {
            f"{scenario}: timed texts": times.texts_sha256 and times.texts_sha256[:12],
            f"{scenario}: batch size": times.batch_size,
            f"{scenario}: number of times": len(times.times_s),
            f"{scenario}: threads": times.threads,
        }
        # Schema 2 did not keep which batches were timed: the number of times stands for them.
        return facts | ({f"{scenario}: batches": times.batches} if times.texts_sha256 else {})
    test = record.data.splits.get("test")
    return {
        f"{scenario}: timed texts": (test and test.sha256[:12], times.texts),
        f"{scenario}: number of passes": len(times.passes_s),
        f"{scenario}: threads": times.threads,
    }


def _differing(facts: Sequence[Facts]) -> list[str]:
    values: dict[str, list[object]] = {}
    for record in facts:
        for name, value in record.items():
            seen = values.setdefault(name, [])
            if value not in seen:
                seen.append(value)
    return [
        f"{name} {'differ' if name.endswith(_PLURALS) else 'differs'} ({_told(seen)})"
        for name, seen in values.items()
        if len(seen) > 1
    ]


def _told(values: Sequence[object]) -> str:
    """Return the first two values; of tuples, what is not in both, or where they begin to differ."""
    first, second = values[:2]
    if not (isinstance(first, tuple) and isinstance(second, tuple)):
        return f"{_short(first)} and {_short(second)}"
    only = set(map(str, first)) ^ set(map(str, second))
    if only and len(first) != len(second):
        return f"in one alone: {_short(', '.join(sorted(only)))}"
    both = zip(first, second, strict=False)
    x, y = next(((x, y) for x, y in both if x != y), (len(first), len(second)))
    return f"{_short(x)} and {_short(y)}"


def _unstable(records: Sequence[Record], scenario: str) -> list[str]:
    reasons = {}
    for record in records:
        times = times_of(record, scenario)
        if times is not None and not times.load.stable:
            reasons[record.cell.id] = times.load.reason
    if not reasons:
        return []
    said = next(iter(reasons.values()))
    return [f"{scenario}: times are unstable ({_names(list(reasons))}: {said})"]


def _names(cells: Sequence[str]) -> str:
    more = f" and {len(cells) - 2} more" if len(cells) > 2 else ""
    return ", ".join(cells[:2]) + more


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."

"""Baselines: records cut to what the gate needs, in a file that lives in git and is read in a diff."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from goemo_eval.errors import RecordError
from goemo_eval.judge.gate import differences
from goemo_eval.records.schema import SCHEMA_VERSION, Record
from goemo_eval.records.verified import verified_decisions

_LINE = 100  # what fits in so many characters stays on one line


def make_baseline(records: Iterable[Record], *, keep_latency: bool = False) -> list[Record]:
    """Return the scored records without what holds for one machine or one run.

    Parameters
    ----------
    records : iterable of Record
    keep_latency : bool, default False
        Keep the latencies, for a gate on the same kind of machine.

    Raises
    ------
    RecordError
        If no record is scored, or scores do not follow from the decisions: nothing that the gate
        would refuse becomes a baseline.
    """
    kept = []
    for record in records:
        if record.scores is None:
            continue
        verified_decisions(record)
        cut: dict[str, Any] = {
            "peak_rss_bytes": None,
            "budgets": (),
            "strategies": (),
            "scores_refitted": None,
            "calibration": None,
            "threshold_curves": None,
        }
        if not keep_latency:
            cut |= {"latency": {}, "split_latency_s": None, "speedups": ()}
        kept.append(record.model_copy(update=cut))
    if not kept:
        raise RecordError("no record is scored: a baseline needs scores")
    return kept


def dump_baseline(records: Iterable[Record]) -> str:
    """Return a baseline as a ``records.json`` with sorted keys and a line per label."""
    entries = [r.model_dump(mode="json") for r in sorted(records, key=lambda r: r.cell.id)]
    return _dump({"schema_version": SCHEMA_VERSION, "records": entries}, 0) + "\n"


def _dump(value: Any, depth: int) -> str:
    flat = json.dumps(value, sort_keys=True, allow_nan=False)
    if not isinstance(value, dict | list) or len(flat) + depth <= _LINE:
        return flat
    if isinstance(value, dict):
        opening, closing = "{", "}"
        # A label's score is one line, however long: a diff then shows the labels that changed.
        if value.keys() >= {"label", "f1"}:
            return flat
        items = [f"{json.dumps(k)}: {_dump(v, depth + 1)}" for k, v in sorted(value.items())]
    else:
        opening, closing = "[", "]"
        items = [_dump(item, depth + 1) for item in value]
    indent = "\n" + " " * (depth + 1)
    return opening + indent + f",{indent}".join(items) + "\n" + " " * depth + closing


def describe(records: Iterable[Record]) -> list[tuple[str, ...]]:
    """Return what a baseline holds: cell, Macro-F1, micro-F1, texts, test split, weights, commit."""
    return [
        (
            record.cell.id,
            f"{record.scores.test.macro_f1:.4f}",
            f"{record.scores.test.micro_f1:.4f}",
            str(record.decisions.rows if record.decisions else "—"),
            record.data.splits["test"].sha256[:12] if "test" in record.data.splits else "—",
            record.weights.sha256[:12],
            record.environment.git_commit or "—",
        )
        for record in records
        if record.scores
    ]


def compare(old: Sequence[Record], new: Sequence[Record]) -> list[str]:
    """Say in lines what changed between two baselines; empty if nothing did."""
    before, after = ({r.cell.id: r for r in records if r.scores} for records in (old, new))
    lines = []
    for cell in sorted(before.keys() | after.keys()):
        if cell not in after:
            lines.append(f"{cell}: removed")
        elif cell not in before:
            lines.append(f"{cell}: added, {_macro_f1(after[cell]):.4f} Macro-F1")
        else:
            lines += _changes(before[cell], after[cell])
    return lines


def _changes(old: Record, new: Record) -> list[str]:
    cell = old.cell.id
    if differing := differences(old, new):
        return [f"{cell}: not comparable: {'; '.join(differing)}"]
    if old.scores == new.scores and old.decisions == new.decisions:
        return []
    first, second = verified_decisions(old)[1], verified_decisions(new)[1]
    flips = int((first != second).sum()) if first.shape == second.shape else None
    a, b = _macro_f1(old), _macro_f1(new)
    differ = "other rows" if flips is None else f"{flips} decisions differ"
    lines = [f"{cell}: {a:.4f} -> {b:.4f} Macro-F1 ({b - a:+.4f}), {differ}"]
    if old.scores and new.scores:
        for was, now in zip(old.scores.test.per_label, new.scores.test.per_label, strict=True):
            if was != now:
                lines.append(
                    f"  {now.label}: F1 {was.f1:.4f} -> {now.f1:.4f}, tp {was.tp} -> {now.tp}, "
                    f"fp {was.fp} -> {now.fp}, fn {was.fn} -> {now.fn}"
                )
    return lines


def _macro_f1(record: Record) -> float:
    return record.scores.test.macro_f1 if record.scores else 0.0

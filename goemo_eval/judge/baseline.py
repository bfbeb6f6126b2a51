"""Baselines: records cut to what the gate needs, in a file that lives in git and is read in a diff.

Beside its records a baseline keeps an anchor, the older state that drift is measured from, and how many
runs of the gate its test splits have judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from goemo_eval.errors import RecordError
from goemo_eval.files import read_json
from goemo_eval.frozen import Frozen
from goemo_eval.judge.verdict import Verdict
from goemo_eval.measure.metrics import Count
from goemo_eval.records.comparable import comparable
from goemo_eval.records.files import record_to_json, records_in
from goemo_eval.records.schema import SCHEMA_VERSION, Record
from goemo_eval.records.values import check_values, shown
from goemo_eval.records.verified import verified_decisions

_LINE = 100  # what fits in so many characters stays on one line
_SECTION = "baseline"


@dataclass(frozen=True)
class Baseline:
    """What the gate compares with.

    Attributes
    ----------
    records : tuple of Record
        The last accepted state.
    anchor : tuple of Record
        An older state of the same cells, or of some; empty if there is none.
    judged : mapping of str to int, optional
        Runs of the gate by the sha256 of the test split that judged; None for records that are no
        baseline, which do not count.
    """

    records: tuple[Record, ...]
    anchor: tuple[Record, ...] = ()
    judged: Mapping[str, int] | None = field(default_factory=dict)

    @property
    def runs(self) -> int | None:
        """Runs that the records' test split has judged, the most of several; None if not counted."""
        if self.judged is None:
            return None
        return max((self.judged.get(_split(record), 0) for record in self.records), default=0)


class _Section(Frozen):
    judged: dict[Annotated[str, Field(min_length=1, max_length=128)], Count]
    anchor: list[Any]


def read_baseline(path: str | Path) -> Baseline:
    """Read a baseline, or records that are to serve as one.

    Raises
    ------
    RecordError
        As `read_records`; also if what stands beside the records is malformed, or the anchor has a
        cell that the records have not, or one that is not scored.
    """
    path = Path(path)
    return baseline_in(read_json(path, error=RecordError, allow_nan=True), path)


def baseline_in(content: Any, where: str | Path) -> Baseline:
    """Return the baseline of a file's content, as `read_json` returns it; see `read_baseline`."""
    records = records_in(content, where)
    if _SECTION not in content:
        return Baseline(tuple(records), judged=None)
    place = f"{where}: {_SECTION}"
    check_values(content[_SECTION], place)
    try:
        section = _Section.model_validate(content[_SECTION], strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = shown(".".join(map(str, first["loc"]))) or _SECTION
        raise RecordError(f"{place}: {at}: {shown(first['msg'], 300)}") from None
    anchor: list[Record] = []
    if section.anchor:
        entries = {"schema_version": content["schema_version"], "records": section.anchor}
        anchor = records_in(entries, f"{place}: anchor")
    cells = {record.cell.id for record in records}
    for record in anchor:
        if record.cell.id not in cells:
            raise RecordError(f"{place}: anchor: {record.cell.id} is no cell of the records")
        if not (record.scores and record.decisions):
            raise RecordError(f"{place}: anchor: {record.cell.id} has no scores or no decisions")
    return Baseline(tuple(records), tuple(anchor), dict(section.judged))


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
            "memory": None,
            "served": None,
            "budgets": (),
            "strategies": (),
            "scores_refitted": None,
            "calibration": None,
            "threshold_curves": None,
        }
        if not keep_latency:
            cut |= {"latency": {}, "split_latency_s": None, "offline": None, "speedups": ()}
        kept.append(record.model_copy(update=cut))
    if not kept:
        raise RecordError("no record is scored: a baseline needs scores")
    return kept


def update_baseline(
    old: Baseline | None,
    records: Iterable[Record],
    *,
    keep_anchor: bool = False,
    keep_latency: bool = False,
    judged: int | None = None,
) -> Baseline:
    """Return the baseline of a new state, with what the old one says of anchor and runs.

    Parameters
    ----------
    old : Baseline or None
        What the file held; None if there was none.
    records : iterable of Record
    keep_anchor : bool, default False
        Keep the old anchor; where a cell has none, its old record becomes it. Otherwise the new state is
        where drift is measured from, and there is no anchor.
    keep_latency : bool, default False
    judged : int, optional
        Runs of the gate since the file was written that nobody counted. By default 1, for the
        comparison that this state was accepted on, or 0 if nothing changed.

    Raises
    ------
    RecordError
        As `make_baseline`; also if the anchor cannot be compared with the new state.
    """
    kept = make_baseline(records, keep_latency=keep_latency)
    anchor = _anchor(old, kept) if old and keep_anchor else []
    before = (old.judged if old else None) or {}
    more = judged
    if more is None:
        more = int(bool(old and compare(old.records, kept)))
    splits = {split for record in kept if (split := _split(record))}
    return Baseline(
        tuple(kept), tuple(anchor), {split: before.get(split, 0) + more for split in splits}
    )


def _anchor(old: Baseline, new: Sequence[Record]) -> list[Record]:
    earlier = {r.cell.id: r for r in old.records if r.scores} | {r.cell.id: r for r in old.anchor}
    after = {record.cell.id: record for record in new}
    found = [earlier[cell] for cell in after if cell in earlier]
    kept = make_baseline(found) if found else []
    for record in kept:
        if differing := comparable(record, after[record.cell.id], "scores"):
            raise RecordError(
                f"the anchor of {record.cell.id} cannot be kept: {'; '.join(differing)}: set the baseline "
                "without --keep-anchor"
            )
    return kept


def count_run(baseline: Baseline, verdict: Verdict) -> Baseline:
    """Return the baseline with one more run for every test split that the gate judged on.

    Raises
    ------
    RecordError
        If the file is no baseline, and has nothing to count in.
    """
    if baseline.judged is None:
        raise RecordError(
            "records that are no baseline keep no count of runs: make one with goemo-eval baseline set"
        )
    judged = {cell.cell for cell in verdict.cells if cell.drop is not None}
    counts = dict(baseline.judged)
    for split in {_split(r) for r in baseline.records if r.cell.id in judged} - {""}:
        counts[split] = counts.get(split, 0) + 1
    return replace(baseline, judged=counts)


def dump_baseline(baseline: Baseline) -> str:
    """Return a baseline as a ``records.json`` with sorted keys and a line per label."""
    content = {
        _SECTION: {
            "anchor": _entries(baseline.anchor),
            "judged": dict(baseline.judged or {}),
        },
        "records": _entries(baseline.records),
        "schema_version": SCHEMA_VERSION,
    }
    return _dump(content, 0) + "\n"


def _entries(records: Iterable[Record]) -> list[dict[str, Any]]:
    return [record_to_json(record) for record in sorted(records, key=lambda r: r.cell.id)]


def _dump(value: Any, depth: int) -> str:
    flat = json.dumps(value, sort_keys=True, allow_nan=False)
    # A split's count is one line by itself, so that a diff shows it and nothing else.
    counts = isinstance(value, dict) and "anchor" in value
    if not isinstance(value, dict | list) or (len(flat) + depth <= _LINE and not counts):
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
            _split(record)[:12] or "—",
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
    if differing := comparable(old, new, "scores"):
        return [f"{cell}: not comparable: {'; '.join(differing)}"]
    if old.scores == new.scores and old.decisions == new.decisions:
        return []
    first, second = verified_decisions(old)[1], verified_decisions(new)[1]
    a, b = _macro_f1(old), _macro_f1(new)
    flips = int((first != second).sum())
    lines = [f"{cell}: {a:.4f} -> {b:.4f} Macro-F1 ({b - a:+.4f}), {flips} decisions differ"]
    if old.scores and new.scores:
        for was, now in zip(old.scores.test.per_label, new.scores.test.per_label, strict=True):
            if was != now:
                lines.append(
                    f"  {now.label}: F1 {was.f1:.4f} -> {now.f1:.4f}, tp {was.tp} -> {now.tp}, "
                    f"fp {was.fp} -> {now.fp}, fn {was.fn} -> {now.fn}"
                )
    return lines


def _split(record: Record) -> str:
    split = record.data.splits.get("test")
    return split.sha256 if split else ""


def _macro_f1(record: Record) -> float:
    return record.scores.test.macro_f1 if record.scores else 0.0

"""The gate: whether Macro-F1 fell by more than is allowed, from a baseline to a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from goemo_eval.errors import RecordError
from goemo_eval.measure.plain import Plain
from goemo_eval.results.records import Record

# Scores travel as decimal text: a drop that equals the limit must not fail for its last bit.
_ROUNDING = 1e-9


class CellVerdict(Plain):
    """One cell's test Macro-F1, before and after."""

    cell: str
    baseline: float
    candidate: float
    drop: float
    passed: bool


class Verdict(Plain):
    """What the gate says of a run."""

    status: Literal["pass", "regression"]
    max_drop: float
    cells: tuple[CellVerdict, ...]
    only_in_candidate: tuple[str, ...] = ()
    """Scored cells without a baseline: they were not judged."""


def gate(
    baseline: Sequence[Record], candidate: Sequence[Record], *, max_drop: float = 0.01
) -> Verdict:
    """Compare the test Macro-F1 of every scored baseline cell with the candidate's.

    Parameters
    ----------
    baseline, candidate : sequence of Record
    max_drop : float, default 0.01
        Largest allowed drop in Macro-F1, as a point difference, in ``[0, 1]``.

    Returns
    -------
    Verdict
        ``regression`` when any cell lost more than `max_drop`.

    Raises
    ------
    RecordError
        If `max_drop` is out of range, no baseline cell was scored, a scored cell is missing or
        unscored in the candidate, or two records of a cell are not comparable.
    """
    if not 0 <= max_drop <= 1:
        raise RecordError(f"max_drop must lie in [0, 1]: got {max_drop}")
    after = {record.cell.id: record for record in candidate}
    before = [record for record in baseline if record.scores]
    if not before:
        raise RecordError("the baseline has no scored cell: nothing to compare")
    judged = []
    for old in sorted(before, key=lambda record: record.cell.id):
        cell = old.cell.id
        new = after.get(cell)
        if new is None:
            raise RecordError(
                f"cell {cell} of the baseline is missing from the candidate: run it too"
            )
        if differing := differences(old, new):
            raise RecordError(f"cell {cell} is not comparable: {'; '.join(differing)}")
        if new.scores is None or old.scores is None:
            raise RecordError(f"cell {cell} was not scored in the candidate: {new.unscored_reason}")
        drop = old.scores.test.macro_f1 - new.scores.test.macro_f1
        judged.append(
            CellVerdict(
                cell=cell,
                baseline=old.scores.test.macro_f1,
                candidate=new.scores.test.macro_f1,
                drop=drop,
                passed=drop <= max_drop + _ROUNDING,
            )
        )
    known = {verdict.cell for verdict in judged}
    return Verdict(
        status="pass" if all(verdict.passed for verdict in judged) else "regression",
        max_drop=max_drop,
        cells=tuple(judged),
        only_in_candidate=tuple(
            sorted(r.cell.id for r in candidate if r.scores and r.cell.id not in known)
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


def _test_sha(record: Record) -> str | None:
    split = record.data.splits.get("test")
    return split.sha256 if split else None


def _short(value: object) -> str:
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 24 else text[:21] + "..."

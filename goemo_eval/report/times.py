"""Which times of a set of records may be compared, and why others may not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from goemo_eval.records.comparable import TIMED, comparable_set, times_of
from goemo_eval.records.schema import Record, Speedup
from goemo_eval.records.view import View
from goemo_eval.report.text import escape, listed, plain

UNSTABLE = "†"
"""Stands at every number that was measured while the machine was not quiet."""
MARK = f"{UNSTABLE} marks times that are unstable"
_MOST_REASON = 160  # characters


def not_ranked(records: Iterable[Record], scenario: str) -> list[str]:
    """Return why the records that were timed in a scenario cannot be ranked by it; empty if they can."""
    timed = [record for record in records if times_of(record, scenario)]
    return comparable_set(timed, "times", scenario) if timed else ["nothing was timed"]


def contenders(records: Iterable[Record], scenario: str) -> list[Record]:
    """Return the records that compete for the fastest of a scenario: those with a score, where any has one.

    A cell without pretrained weights may be timed on fewer batches: it shows what an architecture costs.
    """
    timed = [record for record in records if times_of(record, scenario)]
    return [record for record in timed if record.scores] or timed


def ranked_together(shown: View, scenario: str) -> list[tuple[str, list[Record]]]:
    """Return the records that compete with one another in a scenario, with the scheme that they are of.

    Returns
    -------
    list of (str, list of Record)
        All of them together, and no scheme, where they were timed alike; else those of each scheme, since it
        is cells of a scheme that are chosen from.
    """
    every = contenders(shown, scenario)
    if not _otherwise(every, scenario):
        return [("", every)] if every else []
    by_scheme = [(name, contenders(shown.of_scheme(name), scenario)) for name in shown.schemes]
    return [(name, found) for name, found in by_scheme if found]


def under(scheme: str) -> str:
    """Return how a scheme that `ranked_together` names stands in a sentence: with its space, or nothing."""
    return f" under {escape(scheme)}" if scheme else ""


def _otherwise(records: Sequence[Record], scenario: str) -> list[str]:
    """Return in what ways records were timed otherwise than one another, stable or not."""
    reasons = not_ranked(records, scenario) if records else []
    return [reason for reason in reasons if "times are unstable" not in reason]


def is_unstable(record: Record, scenario: str) -> bool:
    """Return whether a record's times of a scenario support no conclusion."""
    times = times_of(record, scenario)
    return times is not None and not times.load.stable


def stable_speedup(speedup: Speedup | None) -> Speedup | None:
    """Return a speedup whose passes were timed on a quiet machine, or None."""
    return speedup if speedup and speedup.load.stable else None


def mark(text: str, *, unstable: bool) -> str:
    """Return a number, marked where it supports no conclusion."""
    return text + UNSTABLE if unstable else text


def notices(view: View) -> list[str]:
    """Return what a reader must know of the times before any number: markdown, one per line."""
    shown = view.shown
    said = [*_unstable(shown), *_not_comparable(shown)]
    return ["\n".join(f"> {line}\n>" for line in said).removesuffix("\n>")] if said else []


def _unstable(shown: View) -> list[str]:
    """Name the cells with unstable times, by reason."""
    reasons: dict[str, list[str]] = {}
    for record in shown:
        loads = [times.load for s in TIMED if (times := times_of(record, s))]
        loads += [speedup.load for speedup in record.speedups]
        if reason := next((load.reason for load in loads if not load.stable), ""):
            reasons.setdefault(_kind(reason), []).append(reason)
    if not reasons:
        return []
    count = sum(map(len, reasons.values()))
    why = "; ".join(
        f"{escape(short(found[0]))}" + (f" (so in {len(found)})" if len(found) > 1 else "")
        for found in reasons.values()
    )
    return [
        (
            f"**Times are unstable** in {count} of {len(shown)} cells: {why}. They are marked {UNSTABLE} and "
            "support no ranking, no sentence and no figure."
        )
    ]


def _kind(reason: str) -> str:
    """Return a reason without its numbers, so that reasons of one kind are told once."""
    return "".join(c for c in reason if not c.isdigit())


def _not_comparable(shown: View) -> list[str]:
    """Say where cells were timed in ways that cannot be compared: within a scheme, or only across them."""
    within: dict[str, dict[str, None]] = {}
    across: list[str] = []
    for scenario in TIMED:
        found = ranked_together(shown, scenario)
        for name, records in found:
            reasons = _otherwise(records, scenario)
            within.setdefault(name, {}).update(dict.fromkeys(reasons))
        if found and found[0][0]:
            across += _otherwise(contenders(shown, scenario), scenario)
    said = [
        f"**Times cannot be compared**{under(name)}: {_told(reasons)}. No cell of it is ranked by its speed."
        for name, reasons in within.items()
        if reasons
    ]
    if across and not said:
        said = [
            f"**Times of two schemes cannot be compared**: {_told(across)}. Each ranks its own cells."
        ]
    return said


def _told(reasons: Iterable[str]) -> str:
    return listed([escape(short(reason)) for reason in dict.fromkeys(reasons)], most=3)


def short(text: str) -> str:
    """Return a reason at a length that leaves room for an answer."""
    text = plain(text)
    return text if len(text) <= _MOST_REASON else text[: _MOST_REASON - 1] + "…"

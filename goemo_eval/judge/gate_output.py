"""A verdict as text, as markdown for a job summary, and in the forms that CI services read."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tabulate import tabulate

from goemo_eval.judge.verdict import CellVerdict, Status, Verdict
from goemo_eval.judge.words import of_seeds, shared, so_far
from goemo_eval.records.schema import Record

_MARKS: dict[Status, str] = {
    "pass": "✅ pass",
    "regression": "❌ regression",
    "inconclusive": "⚠️ inconclusive",
    "not-comparable": "⛔ not comparable",
}
_LEVELS: dict[Status, str] = {
    "regression": "error",
    "not-comparable": "error",
    "inconclusive": "warning",
}
_HEAD = ("cell", "baseline", "candidate", "drop", "at least", "at most", "detectable", "flips")


def as_text(verdict: Verdict) -> str:
    """Return a verdict as a table for a terminal, with what is not a plain pass in words."""
    tables = [
        (title, [(*_numbers(cell), cell.status.upper()) for cell in cells])
        for title, cells in _tables(verdict)
    ]
    lines: list[str] = []
    for title, rows in tables:
        lines += [title] if title else []
        lines += [tabulate(rows, (*_HEAD, "verdict"), disable_numparse=True), ""]
    return "\n".join([*lines, *_remarks(verdict), *_labels(verdict), _conclusion(verdict)]) + "\n"


def as_markdown(verdict: Verdict) -> str:
    """Return a verdict as markdown, as a job summary page shows it."""
    tables: list[str] = []
    for title, cells in _tables(verdict):
        rows = [(*_numbers(cell), _MARKS[cell.status]) for cell in cells]
        tables += [title] if title else []
        tables.append(tabulate(rows, (*_HEAD, "verdict"), tablefmt="github", disable_numparse=True))
    sure = f"{100 * (1 - verdict.alpha):.4g}% confidence each"
    explained = (
        f"*at least*, *at most*: the true drop lies above, or below, with {sure}"
        f"{_corrected(verdict)}. *detectable*: the smallest true drop that would be called a regression in "
        "80 of 100 cases. *flips*: decisions that differ."
    )
    parts = [
        f"## Macro-F1 gate: {_MARKS[verdict.status]}",
        _conclusion(verdict),
        *tables,
        "\n".join(f"- {line}" for line in [*_remarks(verdict), *_labels(verdict)]),
        explained,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _tables(verdict: Verdict) -> list[tuple[str, tuple[CellVerdict, ...]]]:
    """Return the cells against the baseline and, where there is one, against the anchor."""
    if not verdict.anchor:
        return [("", verdict.cells)]
    title = f"Against the anchor, with a budget of {verdict.max_drift:g}:"
    return [("", verdict.cells), (title, verdict.anchor)]


def _corrected(verdict: Verdict) -> str:
    if verdict.together < 2:
        return shared(1, verdict.horizon)
    return f"; *at least*{shared(verdict.together, verdict.horizon)}"


def as_annotations(verdict: Verdict) -> str:
    """Return workflow commands, which a GitHub job turns into annotations; empty for a pass."""
    return "".join(
        f"::{_LEVELS[cell.status]} title={_escaped(f'{cell.name}: {cell.status}', title=True)}"
        f"::{_escaped(cell.reason)}\n"
        for cell in (*verdict.cells, *verdict.anchor)
        if cell.status != "pass"
    )


def as_scores(verdict: Verdict) -> str:
    """Return Macro-F1 per cell as github-action-benchmark's ``customBiggerIsBetter``."""
    return _entries(
        {
            "name": f"{cell.cell} test Macro-F1",
            "unit": "F1",
            "value": cell.candidate,
            "extra": f"{cell.status}: {cell.reason}",
        }
        for cell in verdict.cells
        if cell.candidate is not None
    )


def as_latencies(records: Iterable[Record]) -> str:
    """Return median latencies as github-action-benchmark's ``customSmallerIsBetter``."""
    return _entries(
        {
            "name": f"{record.cell.id} {shape}",
            "unit": "ms per batch",
            "value": latency.p50_s * 1e3,
            "range": f"{(latency.p90_s - latency.p50_s) * 1e3:.3f}",
            "extra": f"batch of {latency.batch_size}, {latency.threads} threads, "
            f"{record.environment.cpu_model}"
            f"{'' if latency.load.stable else f'; unstable: {latency.load.reason}'}",
        }
        for record in records
        for shape, latency in record.latency.items()
    )


def _entries(entries: Iterable[dict[str, str | float]]) -> str:
    return json.dumps(list(entries), indent=1) + "\n"


def _numbers(cell: CellVerdict) -> tuple[str, ...]:
    scores = (cell.baseline, cell.candidate)
    drops = (cell.drop, cell.least_drop, cell.most_drop)
    return (
        cell.cell,
        *("—" if score is None else f"{score:.4f}" for score in scores),
        *("—" if drop is None else f"{drop:+z.4f}" for drop in drops),
        "—" if cell.detectable_drop is None else f"{cell.detectable_drop:.4f}",
        "—" if cell.flips is None else str(cell.flips),
    )


def _remarks(verdict: Verdict) -> list[str]:
    judged = (*verdict.cells, *verdict.anchor)
    return [
        *(f"{new} was judged in the place of {old}" for old, new in verdict.pairs.items()),
        *(f"{c.name}: {c.status}: {c.reason}" for c in judged if c.status != "pass"),
        *(f"{c.cell}: {v.name}: {v.reason}" for c in verdict.cells for v in c.latency),
        *(of_seeds(seeds, alpha=verdict.run_alpha) for seeds in verdict.seeds),
        *(f"{cell}: no baseline, not judged" for cell in verdict.only_in_candidate),
        *([said] if (said := so_far(verdict)) else []),
    ]


def _labels(verdict: Verdict) -> list[str]:
    """Return what is said of labels, where they were judged."""
    judged = [cell for cell in (*verdict.cells, *verdict.anchor) if cell.labels]
    clean = [c for c in judged if all(label.status == "pass" for label in c.labels)]
    return [f"no label of {len(clean)} of {len(judged)} cells lost too much"] if judged else []


def _conclusion(verdict: Verdict) -> str:
    judged = (*verdict.cells, *verdict.anchor)
    counts = {s: sum(c.status == s for c in judged) for s in _MARKS}
    found = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    scope = " per cell" if verdict.per_cell else ""
    scope += shared(verdict.together, verdict.horizon)
    return (
        f"{verdict.status}: {found}; budget {verdict.max_drop:g} Macro-F1, alpha {verdict.alpha:g}{scope}, "
        f"{verdict.mode}"
    )


def _escaped(text: str, *, title: bool = False) -> str:
    """Escape what a workflow command would read as its own."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if title else text

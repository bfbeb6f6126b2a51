"""The study's statements, tested on its own tables and on records.

A statement is data (``claims.toml``): a measure, which makes numbers of rows, and a
rule, which the numbers keep or break. Both come from the fixed lists below.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import resources
from itertools import combinations
from statistics import median
from typing import Literal, NamedTuple

from goemo_eval.frozen import Frozen
from goemo_eval.records.view import View
from goemo_eval.report.document import Block, Column, Fold, table
from goemo_eval.report.sections.errors import kind_of, low_labels
from goemo_eval.report.study.published import Study
from goemo_eval.report.study.rows import Row, record_rows, study_rows
from goemo_eval.report.text import DASH, escape

_RAREST = 5
_SHOWN = 4  # of a ranking


class Claim(Frozen):
    """One statement; see the comment in ``claims.toml``."""

    id: str
    quote: str | None = None
    reading: str | None = None
    check: str | None = None
    measure: str
    rule: Literal["every", "some", "median", "highest", "lowest", "middle", "upper half"]
    low: float = float("-1e9")
    high: float = 1e9
    tolerance: float = 0.0
    who: str = ""


class Value(NamedTuple):
    """A number of one row; ranks are taken among those of one group."""

    who: str
    value: float
    group: str = ""


class Measure(NamedTuple):
    """How numbers are made of rows, how they are written, and what is missing where there are none."""

    of: Callable[[Sequence[Row]], Iterable[Value]]
    form: str
    lacks: str


class Finding(NamedTuple):
    """Whether a claim holds of a set of tables (None: cannot be judged), and the numbers or why."""

    holds: bool | None
    numbers: str


@cache
def load_claims() -> tuple[Claim, ...]:
    """Read the study's statements."""
    file = resources.files("goemo_eval.report.study") / "claims.toml"
    entries = tomllib.loads(file.read_text(encoding="utf-8"))["claims"]
    return tuple(Claim.model_validate(entry) for entry in entries)


def judge(claim: Claim, rows: Sequence[Row], *, names: Iterable[str] = ()) -> Finding:
    """Test a claim on rows.

    Parameters
    ----------
    claim : Claim
        Its measure must be one of `MEASURES`.
    rows : sequence of Row
    names : iterable of str
        Whom a ranking needs: it cannot be judged without any of them.

    Returns
    -------
    Finding
    """
    measure = MEASURES[claim.measure]
    values = list(measure.of(rows))
    if not values:
        return Finding(None, measure.lacks)
    if claim.rule in ("highest", "lowest", "middle", "upper half"):
        if missing := sorted(set(names) - {v.who for v in values}):
            return Finding(None, f"no number of {', '.join(missing)}")
        return _rank(claim, values, measure.form)
    return _bound(claim, values, measure.form)


def claims_blocks(view: View, study: Study) -> list[Block]:
    """Return every statement with its verdict on the study's own tables and on the records' cells."""
    theirs = study_rows(study)
    known = {(row.encoder, row.scheme) for row in theirs}
    ours = [row for row in record_rows(view) if (row.encoder, row.scheme) in known]
    claims = load_claims()
    own = [judge(claim, theirs) for claim in claims]
    here = [
        judge(claim, ours, names={v.who for v in MEASURES[claim.measure].of(theirs)})
        for claim in claims
    ]
    stated = [_stated(claim) for claim in claims]
    lines = []
    for where, findings in (("In the study's own tables", own), ("In this run", here)):
        count = Counter(finding.holds for finding in findings)
        lines.append(
            f"- {where} {count[True]} of {len(claims)} hold, {count[False]} do not, {count[None]} cannot be judged."
        )
    broken = [(text, f) for text, f in zip(stated, own, strict=True) if f.holds is False]
    return [
        (
            "**Published claims against this run**: what the study's text says, as rules over numbers, applied to its "
            "own tables and to these cells (of its encoders and schemes; FP32 in the reference engine, INT8 in every "
            f"one). Bounds hold to half of the last digit given.{_SEEDS if view.several_seeds else ''}"
        ),
        "\n".join(lines),
        Fold(
            f"Where the study's tables contradict its text or themselves ({len(broken)})",
            table(
                Column("statement", "", [text for text, _ in broken], words=True),
                Column(
                    "numbers",
                    "in its own tables",
                    [escape(f.numbers) for _, f in broken],
                    words=True,
                ),
            ),
        ),
        Fold(
            "Every statement in this run",
            table(
                Column("statement", "", stated, words=True),
                Column("its own tables", "", [_VERDICT[f.holds] for f in own], words=True),
                Column("this run", "", [_VERDICT[f.holds] for f in here], words=True),
                Column("numbers", "of this run", [escape(f.numbers) for f in here], words=True),
            ),
        ),
    ]


def _stated(claim: Claim) -> str:
    if claim.quote is None:
        return f"Check: {escape(claim.check or '')}"
    reading = f" (read as: {escape(claim.reading)})" if claim.reading else ""
    return f"“{escape(claim.quote)}”{reading}"


_SEEDS = " A cell with several seeds counts once: its Macro-F1 is their mean, all else one seed's."

_VERDICT = {True: "holds", False: "**does not hold**", None: f"{DASH} cannot be judged"}


def _bound(claim: Claim, values: Sequence[Value], form: str) -> Finding:
    """Test every value, some value or the median against the bounds."""
    low, high = claim.low - claim.tolerance, claim.high + claim.tolerance
    kept = [low <= v.value <= high for v in values]
    least, most = min(values, key=lambda v: v.value), max(values, key=lambda v: v.value)
    middle = median(v.value for v in values)
    if claim.rule == "median":
        holds = low <= middle <= high
    else:
        holds = all(kept) if claim.rule == "every" else any(kept)
    if len(values) == 1:
        return Finding(holds, _said(least, form))
    text = f"{sum(kept)} of {len(values)}: {_said(least, form)} to {_said(most, form)}"
    return Finding(holds, f"{text}, median {middle:{form}}" if claim.rule == "median" else text)


def _said(value: Value, form: str) -> str:
    return f"{value.value:{form}} ({value.who})" if value.who else f"{value.value:{form}}"


def _rank(claim: Claim, values: Sequence[Value], form: str) -> Finding:
    """Test where `who` stands among the values of each group."""
    kept, texts = [], []
    for group in dict.fromkeys(v.group for v in values):
        falling = sorted((v for v in values if v.group == group), key=lambda v: -v.value)
        place = next((i for i, v in enumerate(falling) if v.who == claim.who), None)
        if place is None:
            return Finding(None, f"no number of {claim.who}")
        last = len(falling) - 1
        own = falling[place].value
        kept.append(
            {
                "highest": own == falling[0].value,
                "lowest": own == falling[-1].value,
                "middle": 0 < place < last,
                "upper half": place < len(falling) / 2,
            }[claim.rule]
        )
        shown = falling[:_SHOWN] + [v for v in falling[_SHOWN:] if v.who == claim.who]
        ranks = ", ".join(f"{v.who} {v.value:{form}}" for v in shown)
        texts.append(f"{group}: {ranks}" if group else ranks)
    return Finding(all(kept), "; ".join(texts))


def _column(name: str, *, by_scheme: bool) -> Callable[[Sequence[Row]], Iterable[Value]]:
    """Return a measure that reads one field of each row."""

    def values(rows: Sequence[Row]) -> Iterable[Value]:
        for row in rows:
            if (value := getattr(row, name)) is not None:
                yield Value(row.encoder, value, row.scheme) if by_scheme else Value(row.name, value)

    return values


def _across(
    name: str, combine: Callable[[float, float], float]
) -> Callable[[Sequence[Row]], Iterable[Value]]:
    """Return a measure that combines one field under raw and under simplified, per encoder."""

    def values(rows: Sequence[Row]) -> Iterable[Value]:
        found = {(row.encoder, row.scheme): getattr(row, name) for row in rows}
        for encoder in dict.fromkeys(row.encoder for row in rows):
            raw, simplified = found.get((encoder, "raw")), found.get((encoder, "simplified"))
            if raw is not None and simplified is not None:
                yield Value(encoder, combine(raw, simplified))

    return values


def _int8(name: str) -> Callable[[Sequence[Row]], Iterable[Value]]:
    """Return a measure that reads one field of each INT8 cell."""

    def values(rows: Sequence[Row]) -> Iterable[Value]:
        for int8 in (int8 for row in rows for int8 in row.int8):
            if (value := getattr(int8, name)) is not None:
                yield Value(int8.name, value)

    return values


def _share(kind: str) -> Callable[[Sequence[Row]], Iterable[Value]]:
    """Return a measure: which share of all labels with a low F1 is of one kind."""

    def values(rows: Sequence[Row]) -> Iterable[Value]:
        kinds = Counter(kind_of(s) for row in rows if row.scores for s in low_labels(row.scores))
        if kinds:
            yield Value("", kinds[kind] / kinds.total())  # type: ignore[index]

    return values


def _rarest(rows: Sequence[Row]) -> Iterable[Value]:
    for row in rows:
        if row.scores and (missing := sum(1 - s.f1 for s in row.scores.per_label)):
            rare = sorted(row.scores.per_label, key=lambda s: s.support)[:_RAREST]
            yield Value(row.name, sum(1 - s.f1 for s in rare) / missing)


def _swaps(rows: Sequence[Row]) -> Iterable[Value]:
    """Count the pairs of encoders whose order differs between validation and test."""
    for scheme in dict.fromkeys(row.scheme for row in rows):
        known = [(r.validation, r.test) for r in rows if r.scheme == scheme]
        both = [(v, t) for v, t in known if v is not None and t is not None]
        if len(both) > 1:
            swaps = sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in combinations(both, 2))
            yield Value(scheme, swaps)


def _split_gap(rows: Sequence[Row]) -> Iterable[Value]:
    for row in rows:
        if row.scheme == "raw" and row.validation is not None and row.test is not None:
            yield Value(row.encoder, abs(row.validation - row.test))


def _table_gap(rows: Sequence[Row]) -> Iterable[Value]:
    for row in rows:
        if row.test is not None and row.test_again is not None:
            yield Value(row.name, abs(row.test - row.test_again))


_NOT_SCORED = "no scored cell"
_NO_PAIR = "no encoder with a number under both schemes"
_NO_LABELS = "no scores per label are given"

MEASURES = {
    "validation": Measure(_column("validation", by_scheme=False), ".3f", _NOT_SCORED),
    "test": Measure(_column("test", by_scheme=False), ".3f", _NOT_SCORED),
    "test_by_scheme": Measure(_column("test", by_scheme=True), ".3f", _NOT_SCORED),
    "latency": Measure(
        _column("latency_ms", by_scheme=True), ".1f", "no latencies that may be compared"
    ),
    "simplified_gain": Measure(_across("test", lambda raw, simp: simp - raw), "+.3f", _NO_PAIR),
    "latency_raw_over_simplified": Measure(
        _across("latency_ms", lambda raw, simp: raw / simp), ".2f", _NO_PAIR
    ),
    "seconds_raw_over_simplified": Measure(
        _across("seconds", lambda raw, simp: raw / simp), ".2f", _NO_PAIR
    ),
    "int8_speedup": Measure(_int8("speedup"), ".3f", "no INT8 cell with stable times beside FP32"),
    "int8_drop": Measure(_int8("drop"), "+.3f", "no INT8 cell was scored beside FP32"),
    "int8_size_ratio": Measure(_int8("size_ratio"), ".2f", "no size in bytes is given"),
    "fn_heavy_share": Measure(_share("FN-heavy"), ".0%", _NO_LABELS),
    "fp_heavy_share": Measure(_share("FP-heavy"), ".0%", _NO_LABELS),
    "loss_share_of_rarest": Measure(_rarest, ".0%", _NO_LABELS),
    "rank_swaps": Measure(_swaps, ".0f", "no two encoders scored on both splits"),
    "raw_split_gap": Measure(_split_gap, ".3f", "no scored raw cell"),
    "table_gap": Measure(_table_gap, ".3f", "both tables show one and the same number"),
    "seconds_over_batches": Measure(
        _column("seconds_over_batches", by_scheme=False),
        ".2f",
        "no stable latency of a whole split",
    ),
}

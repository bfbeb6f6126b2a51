"""Where the F1 is lost: which labels are low, and whether by missing them or by crying wolf."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Literal

from goemo_eval.errors import RecordError
from goemo_eval.measure.metrics import LabelScore, Scores
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.over_seeds import one_seed
from goemo_eval.records.schema import Record
from goemo_eval.report.confusions import BoolArray, confusions, couples
from goemo_eval.report.document import Block, Fold, Picture
from goemo_eval.report.figures import plots_of
from goemo_eval.report.rows import reference_cells
from goemo_eval.report.seeds import seed_note
from goemo_eval.report.tables import names
from goemo_eval.report.text import escape, number, table

LOW_F1 = 0.4
SKEW = 1.5
EXAMPLE_LABELS, EXAMPLES = 3, 2  # the worst labels, and texts of each kind of error

Kind = Literal["FN-heavy", "FP-heavy", "balanced"]
Decided = tuple[BoolArray, BoolArray]


def kind_of(score: LabelScore) -> Kind:
    """Return whether a label loses by misses or by false alarms.

    FN-heavy: more than 1.5 times as many misses as false alarms (low recall); FP-heavy: the
    reverse (low precision); balanced: neither.
    """
    if score.fn > SKEW * score.fp:
        return "FN-heavy"
    if score.fp > SKEW * score.fn:
        return "FP-heavy"
    return "balanced"


def low_labels(scores: Scores) -> list[LabelScore]:
    """Return the labels with an F1 below 0.4, worst first."""
    low = [score for score in scores.per_label if score.f1 < LOW_F1]
    return sorted(low, key=lambda score: (score.f1, score.label))


def error_analysis(
    records: Sequence[Record], texts: Mapping[str, Sequence[str]] | None = None
) -> list[Block]:
    """Return the error analysis of the test split.

    Parameters
    ----------
    records : sequence of Record
    texts : mapping of str to sequence of str, optional
        By scheme, the test split's texts in the order of the decisions: adds examples of what went wrong.

    Raises
    ------
    RecordError
        If a record's decisions are damaged, or there are other than one text for each.
    """
    scored = [record for record in one_seed(records) if record.scores]
    if not scored:
        return ["No cell was scored."]
    decided = {r.cell.id: unpack_decisions(r.decisions) for r in scored if r.decisions}
    blocks: list[Block] = [*_low(scored), *_confused(scored, decided)]
    blocks += _calibration(scored, plots_of(records))
    cells = [_cell(record, decided.get(record.cell.id), texts or {}) for record in scored]
    return [seed_note(records), *blocks, Fold("Label by label, for every cell", cells)]


def _low(scored: Sequence[Record]) -> list[Block]:
    total: Counter[Kind] = Counter()
    rows = {}
    for record in scored:
        assert record.scores is not None
        low = low_labels(record.scores.test)
        kinds = Counter(kind_of(score) for score in low)
        total += kinds
        worst = ", ".join(
            f"{escape(s.label)} {number(s.f1, 2)} ({s.support}, {kind_of(s)})"
            for s in sorted(record.scores.test.per_label, key=lambda s: (s.f1, s.label))[:3]
        )
        counts = [str(kinds[kind]) for kind in ("FN-heavy", "FP-heavy", "balanced")]
        rows[record.cell.id] = [worst, str(len(low)), *counts]
    headers = ["worst three: F1 (support, kind)", f"F1 < {LOW_F1}"]
    blocks: list[Block] = [
        (
            f"A label is low when its test F1 is below {LOW_F1}; FN-heavy when it is missed more than "
            f"{SKEW} times as often as it is wrongly given, FP-heavy the other way round. The study "
            "states neither rule."
        ),
        *_by_cell([*headers, "FN-heavy", "FP-heavy", "balanced"], rows, scored),
    ]
    if count := total.total():
        blocks.append(
            f"Over these cells {count} labels are low: {total['FN-heavy'] / count:.0%} FN-heavy, "
            f"{total['FP-heavy'] / count:.0%} FP-heavy, {total['balanced'] / count:.0%} balanced."
        )
    return blocks


def _confused(scored: Sequence[Record], decided: Mapping[str, Decided]) -> list[Block]:
    rows = {
        record.cell.id: [
            ", ".join(
                f"{escape(c.missed)} → {escape(c.given)} {c.texts}"
                for c in confusions(*decided[record.cell.id], record.labels, most=5)
            )
        ]
        for record in scored
        if record.cell.id in decided
    }
    if not rows:
        return []
    return [
        "### Most confused",
        (
            "The label that a text has and that was missed → the one that was given instead, and in how many "
            "texts; where a text may have several labels, every missed one is paired with every wrong one."
        ),
        *_by_cell(["most often"], rows, scored),
    ]


def _calibration(scored: Sequence[Record], pictures: Mapping[str, Picture]) -> list[Block]:
    rows = {}
    for record in scored:
        if record.calibration is None:
            continue
        by_label = sorted(
            zip(record.calibration.ece_per_label, record.labels, strict=False), reverse=True
        )
        worst = ", ".join(f"{escape(label)} {number(ece)}" for ece, label in by_label[:3])
        rows[record.cell.id] = [worst, number(record.calibration.ece)]
    if not rows:
        return []
    return [
        "### Calibration",
        (
            "Expected calibration error (ECE): the mean distance between a probability and how often it came "
            "true, in 15 bins of the test split. Over every text and label under multi-label schemes, "
            "over the predicted label's probability under the others; per label over its own probabilities."
        ),
        *_by_cell(["worst three labels", "ECE"], rows, scored),
        *(picture for name in ("reliability", "thresholds") if (picture := pictures.get(name))),
    ]


def _cell(record: Record, decided: Decided | None, texts: Mapping[str, Sequence[str]]) -> Fold:
    """Return everything of one cell, folded."""
    assert record.scores is not None
    per_label = record.scores.test.per_label
    ece = record.calibration.ece_per_label if record.calibration else ()
    cuts = record.thresholds.values if record.thresholds else ()
    rows = [
        [
            escape(s.label),
            str(s.support),
            *(number(v, 2) for v in (s.precision, s.recall, s.f1)),
            *map(str, (s.tp, s.fp, s.fn)),
            *([number(cut, 2)] if cuts else []),
            *([number(error)] if ece else []),
        ]
        for s, cut, error in zip_longest(per_label, cuts, ece)
        if s is not None
    ]
    headers = ["label", "support", "precision", "recall", "F1", "TP", "FP", "FN"]
    headers += ["threshold"] * bool(cuts) + ["ECE"] * bool(ece)
    body: list[Block] = [table(headers, rows)]
    if decided:
        found = confusions(*decided, record.labels, most=10)
        pairs = [[escape(c.missed), escape(c.given), str(c.texts), str(c.of)] for c in found]
        body.append(table(["missed", "given instead", "texts", "of all missed"], pairs, words=2))
        if record.kind == "multilabel":
            both = couples(*decided, record.labels, most=10)
            together = [[escape(" + ".join(c.labels)), str(c.texts), str(c.found)] for c in both]
            body.append(table(["together in", "texts", "both found"], together))
        if record.cell.scheme in texts:
            body += _examples(record, decided, texts[record.cell.scheme])
    return Fold(f"Every label of {record.cell.id}", body)


def _examples(record: Record, decided: Decided, texts: Sequence[str]) -> list[Block]:
    """Return texts of the worst labels that were missed or wrongly given, the first of the split."""
    assert record.scores is not None
    per_label = record.scores.test.per_label
    truth, guess = decided
    if len(texts) != len(truth):
        raise RecordError(
            f"{record.cell.id}: {len(truth)} texts were scored, but {len(texts)} came: pass the same data"
        )
    lines = []
    worst = sorted(range(len(record.labels)), key=lambda k: per_label[k].f1)
    for k in worst[:EXAMPLE_LABELS]:
        for what, where in (
            ("missed", truth[:, k] & ~guess[:, k]),
            ("wrongly given", guess[:, k] & ~truth[:, k]),
        ):
            for i in where.nonzero()[0][:EXAMPLES]:
                names = [
                    escape(", ".join(record.labels[j] for j in row[i].nonzero()[0])) or "nothing"
                    for row in (truth, guess)
                ]
                text = textwrap.shorten(texts[i], 240, placeholder=" ...")
                lines.append(
                    f"- {escape(record.labels[k])} {what}: {escape(text)} (has {names[0]}; given {names[1]})"
                )
    return ["Texts of the worst labels, as they stand in the data:", "\n".join(lines)]


def _by_cell(
    headers: Sequence[str], rows: Mapping[str, Sequence[str]], scored: Sequence[Record]
) -> list[Block]:
    """Return a table of the reference engine's FP32 cells, and the other cells' folded below it."""
    first = {record.cell.id for record in reference_cells(scored)} & rows.keys() or rows.keys()
    shown: list[list[str]] = []
    rest: list[list[str]] = []
    for record in scored:
        if row := rows.get(record.cell.id):
            named = [*names(record), record.cell.precision.upper(), *row]
            (shown if record.cell.id in first else rest).append(named)
    headers = ["model", "scheme", "precision", *headers]
    blocks: list[Block] = [table(headers, shown, words=4)]
    if rest:
        blocks.append(Fold(f"The other {len(rest)} cells", [table(headers, rest, words=4)]))
    return blocks

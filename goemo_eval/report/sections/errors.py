"""Where the F1 is lost: low labels, confusions, probabilities, and errors that may be the data's own."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from goemo_eval.errors import RecordError
from goemo_eval.measure.metrics import LabelScore, Scores
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.confusions import BoolArray, confusions
from goemo_eval.report.document import Block, Column, Fold, Picture, table
from goemo_eval.report.sections.columns import cell_columns
from goemo_eval.report.suspects import LabelErrors
from goemo_eval.report.text import DASH, escape, number

LOW_F1 = 0.4
SKEW = 1.5
EXAMPLE_LABELS, EXAMPLES = 3, 2  # the worst labels, and texts of each kind of error
EXAMPLE_SUSPECTS = 10
_TEXT = 240  # characters

Kind = Literal["FN-heavy", "FP-heavy", "balanced"]
KINDS: tuple[Kind, ...] = ("FN-heavy", "FP-heavy", "balanced")
Texts = Mapping[str, Sequence[str]]


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


def errors_section(
    view: View,
    noise: Sequence[LabelErrors],
    pictures: Sequence[Picture],
    texts: Texts | None = None,
) -> list[Block]:
    """Return the error analysis of the test split.

    Parameters
    ----------
    view : View
    noise : sequence of LabelErrors
    pictures : sequence of Picture
        Of the probabilities.
    texts : mapping of str to sequence of str, optional
        By scheme, the test split's texts in the order of the decisions: adds examples.

    Raises
    ------
    RecordError
        If a record's decisions are damaged, or there are other than one text for each.
    """
    records = [r.shown for r in view.references if r.shown.scores] or list(view.shown.scored)
    if not records:
        return ["No cell was scored."]
    return [
        *_low(records),
        *_label_errors(noise),
        *([Fold("Can the probabilities be believed?", [_ECE, *pictures])] if pictures else []),
        *_quoted(records, noise, texts or {}),
    ]


_ECE = (
    "Expected calibration error (ECE, above): the mean distance between a probability and how often it came "
    "true, in 15 bins of the test split; over every text and label under multi-label schemes, over the "
    "predicted label's probability under the others."
)


def _low(records: Sequence[Record]) -> list[Block]:
    scores = [r.scores.test for r in records if r.scores]
    low = [low_labels(s) for s in scores]
    kinds = [Counter(kind_of(label) for label in labels) for labels in low]
    total = sum(kinds, Counter[Kind]())
    blocks: list[Block] = []
    if count := total.total():
        shares = ", ".join(f"{total[kind] / count:.0%} {kind}" for kind in KINDS)
        blocks.append(f"- Over these cells {count} labels have a test F1 below {LOW_F1}: {shares}.")
    return blocks + table(
        *cell_columns(records, precision=False),
        Column("worst labels", "F1 (texts that have it)", [_worst(s) for s in scores], words=True),
        Column(
            "low", f"labels with a test F1 below {LOW_F1}", [str(len(labels)) for labels in low]
        ),
        Column(
            "FN-heavy",
            f"missed more than {SKEW} times as often as wrongly given",
            [str(k["FN-heavy"]) for k in kinds],
        ),
        Column("FP-heavy", "the other way round", [str(k["FP-heavy"]) for k in kinds]),
        Column(
            "most confused",
            "label that a text has and that was missed → one that was given instead, texts",
            [_confused(r) for r in records],
            words=True,
        ),
        Column(
            "ECE",
            "expected calibration error of the probabilities",
            [number(r.calibration.ece if r.calibration else None) for r in records],
        ),
    )


def _worst(scores: Scores) -> str:
    worst = sorted(scores.per_label, key=lambda s: (s.f1, s.label))[:3]
    return ", ".join(f"{escape(s.label)} {number(s.f1, 2)} ({s.support})" for s in worst)


def _confused(record: Record) -> str:
    if record.decisions is None:
        return DASH
    found = confusions(*unpack_decisions(record.decisions), record.labels, most=3)
    return ", ".join(f"{escape(c.missed)} → {escape(c.given)} {c.texts}" for c in found)


def _label_errors(noise: Sequence[LabelErrors]) -> list[Block]:
    """Say how many labels are likely wrong in the data, and whether they decide the ranking."""
    if not noise:
        return [
            (
                "- Likely errors in the data's own labels: two models at least, or two seeds, must agree against a label, "
                "and fewer were scored."
            )
        ]
    changes = any(found.decided_by_noise for found in noise)
    rankings = _rankings(noise)
    return [
        "\n".join(f"- {_noise(found)}" for found in noise),
        *(rankings if changes else [Fold("The ranking without likely label errors", rankings)]),
    ]


def _rankings(noise: Sequence[LabelErrors]) -> list[Block]:
    rows = [(found, ranking) for found in noise for ranking in found.rankings]
    return table(
        Column("scheme", "", [escape(n.scheme) for n, _ in rows], words=True),
        Column(
            "without",
            "share of the suspects left out, the likeliest errors first",
            [f"{r.share:.0%}" for _, r in rows],
        ),
        Column("texts", "how many these are", [f"{r.texts:,}" for _, r in rows]),
        Column("best cell", "", [escape(r.best.cell.id) for _, r in rows], words=True),
        Column("test Macro-F1", "of that cell on the rest", [number(r.macro_f1) for _, r in rows]),
        Column(
            "swapped",
            "pairs of cells that stand in another order than with all texts",
            [f"{r.swapped} of {n.pairs}" for n, r in rows],
        ),
    )


def _noise(found: LabelErrors) -> str:
    text = (
        f"{escape(found.scheme)}: all {found.judges} models (encoders and seeds, at every engine and precision) give "
        f"{len(found.suspects):,} of {found.texts:,} texts a label that the data do not, and that is mostly right "
        "when all give it: errors of the data, or ones that all models share (suspects.csv)"
    )
    if not found.suspects:
        return f"{text}."
    if found.decided_by_noise:
        changed = next(r for r in found.rankings if r.best != found.rankings[0].best)
        return (
            f"{text}. **Noise in the labels decides which cell is best**: without the likeliest {changed.share:.0%} "
            f"of them it is {escape(changed.best.cell.id)}."
        )
    return f"{text}. Without the likeliest {found.rankings[-1].share:.0%} of them the same cell is best."


def _quoted(records: Sequence[Record], noise: Sequence[LabelErrors], texts: Texts) -> list[Block]:
    """Return, folded, texts of the worst labels and likely label errors."""
    if not texts:
        return []
    lines: list[Block] = []
    for record in records:
        scheme = record.cell.scheme
        if scheme in texts and record.decisions:
            decided = unpack_decisions(record.decisions)
            _check(record, len(decided[0]), texts[scheme])
            lines.append(f"Errors of {escape(record.cell.id)} on its worst labels:")
            lines.append(_examples(record, decided, texts[scheme]))
    for found in noise:
        if found.scheme in texts and found.suspects:
            lines.append(f"Likely label errors under {escape(found.scheme)}:")
            lines.append(
                "\n".join(
                    f"- {_quote(texts[found.scheme][s.row])} (has {_names(s.has)}; all give {_names(s.given)})"
                    for s in found.suspects[:EXAMPLE_SUSPECTS]
                )
            )
    return [Fold("Texts, as they stand in the data", lines)] if lines else []


def _check(record: Record, rows: int, texts: Sequence[str]) -> None:
    if len(texts) != rows:
        raise RecordError(
            f"{record.cell.id}: {rows} texts were scored, but {len(texts)} came: pass the same data"
        )


def _examples(record: Record, decided: tuple[BoolArray, BoolArray], texts: Sequence[str]) -> str:
    """Return texts of the worst labels that were missed or wrongly given, the first of the split."""
    assert record.scores is not None
    per_label = record.scores.test.per_label
    truth, guess = decided
    lines = []
    worst = sorted(range(len(record.labels)), key=lambda k: per_label[k].f1)
    for k in worst[:EXAMPLE_LABELS]:
        for what, where in (
            ("missed", truth[:, k] & ~guess[:, k]),
            ("wrongly given", guess[:, k] & ~truth[:, k]),
        ):
            for i in where.nonzero()[0][:EXAMPLES]:
                has, given = (
                    _names([record.labels[j] for j in row[i].nonzero()[0]])
                    for row in (truth, guess)
                )
                lines.append(
                    f"- {escape(record.labels[k])} {what}: {_quote(texts[i])} (has {has}; given {given})"
                )
    return "\n".join(lines)


def _names(labels: Sequence[str]) -> str:
    return escape(", ".join(labels)) or "nothing"


def _quote(text: str) -> str:
    return escape(textwrap.shorten(text, _TEXT, placeholder=" ..."))

"""What the study claimed: its tables and statements beside this run, and its figures drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goemo_eval.records.schema import Record
from goemo_eval.records.view import Reference, View
from goemo_eval.report.document import Block, Column, Fold, Picture, table
from goemo_eval.report.study.claims import claims_blocks
from goemo_eval.report.study.published import PublishedCell, Study
from goemo_eval.report.text import DASH, encoder_name, escape, number
from goemo_eval.report.times import MARK, mark


def study_section(view: View, study: Study, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return the study's section, for records of its data."""
    return [
        *_beside(view, study),
        *claims_blocks(view, study),
        Fold("The study's figures, drawn again", list(pictures.values())),
    ]


def _beside(view: View, study: Study) -> list[Block]:
    """Return its three tables as one: each value, and ours before it."""
    rows = [(r, p) for r in view.references if (p := study.cell(r.shown.cell))]
    if not rows:
        return ["None of the study's encoders and schemes was measured here."]
    int8 = [view.shown.twin(r.shown) for r, _ in rows]
    marked = any(_unstable(record) for record in int8)
    return [
        f"**This run beside *{escape(study.source)}***, whose values stand in the columns *study*. It took its "
        "times on another machine, so no time is compared; nor does it say how its batches were padded"
        + (f"; {MARK}." if marked else "."),
        *table(
            Column("model", "", [escape(encoder_name(r.named)) for r, _ in rows], words=True),
            Column("scheme", "", [escape(r.named.scheme) for r, _ in rows], words=True),
            Column("validation", "FP32 Macro-F1", [_mean(r, "validation") for r, _ in rows]),
            *_theirs(rows, "validation"),
            Column("test", "FP32 Macro-F1", [_mean(r, "test") for r, _ in rows]),
            *_theirs(rows, "test"),
            Column("diff.", "test minus the study's", [_difference(r, p) for r, p in rows]),
            Column("params", "millions", [number(r.shown.parameters / 1e6, 2) for r, _ in rows]),
            *_theirs(rows, "parameters_m", 2),
            Column(
                "INT8 Δ",
                "change of test Macro-F1",
                [_change(r.shown, i) for (r, _), i in zip(rows, int8, strict=True)],
            ),
            *_theirs(rows, "delta", signed=True),
            Column("speedup", "of INT8 in the same engine", [_speedup(i) for i in int8]),
            *_theirs(rows, "speedup", 2),
        ),
    ]


def _theirs(
    rows: Sequence[tuple[Reference, PublishedCell]],
    field: str,
    digits: int = 3,
    *,
    signed: bool = False,
) -> list[Column]:
    return [
        Column("study", "", [number(getattr(p, field), digits, signed=signed) for _, p in rows])
    ]


def _mean(reference: Reference, split: str) -> str:
    summary = reference.summary
    return number(getattr(summary, f"{split}_macro_f1").mean if summary else None)


def _difference(reference: Reference, published: PublishedCell) -> str:
    summary = reference.summary
    return number(summary.test_macro_f1.mean - published.test if summary else None, signed=True)


def _change(fp32: Record, int8: Record | None) -> str:
    if int8 is None or int8.scores is None or fp32.scores is None:
        return DASH
    return number(int8.scores.test.macro_f1 - fp32.scores.test.macro_f1, signed=True)


def _unstable(record: Record | None) -> bool:
    return bool(record and record.speedup and not record.speedup.load.stable)


def _speedup(record: Record | None) -> str:
    if record is None or record.speedup is None:
        return DASH
    return mark(f"{record.speedup.ratio:.2f}", unstable=_unstable(record))

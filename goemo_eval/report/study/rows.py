"""One shape for the study's tables and for records, so that the same questions can be asked of both."""

from __future__ import annotations

from dataclasses import dataclass

from goemo_eval.measure.metrics import Scores
from goemo_eval.records.schema import Record
from goemo_eval.records.view import Reference, View
from goemo_eval.report.study.published import Study
from goemo_eval.report.text import model_name
from goemo_eval.report.times import not_ranked, stable_speedup

_STUDY_BATCH = 32


@dataclass(frozen=True)
class Int8:
    """An INT8 cell beside its FP32 twin; None where there is no number."""

    name: str
    speedup: float | None
    drop: float | None
    size_ratio: float | None


@dataclass(frozen=True)
class Row:
    """What a set of tables has of one encoder and scheme in FP32, and its INT8 cells."""

    encoder: str
    scheme: str
    validation: float | None = None
    test: float | None = None
    test_again: float | None = None
    """The same test Macro-F1 as the INT8 table states it, where that is a number of its own."""
    latency_ms: float | None = None
    seconds: float | None = None
    """Of the forward passes over the test split."""
    seconds_over_batches: float | None = None
    """Those, over the latency times the batches in the test split: of one cell, whatever others took."""
    scores: Scores | None = None
    int8: tuple[Int8, ...] = ()

    @property
    def name(self) -> str:
        """Encoder and scheme."""
        return f"{self.encoder} {self.scheme}"


def study_rows(study: Study) -> list[Row]:
    """Return the study's tables as rows."""
    return [
        Row(
            encoder=c.encoder,
            scheme=c.scheme,
            validation=c.validation,
            test=c.test,
            test_again=c.fp32,
            latency_ms=c.latency_ms,
            seconds=c.fp32_s,
            seconds_over_batches=c.fp32_s
            / (c.latency_ms / 1e3 * study.rows["test"] / _STUDY_BATCH),
            int8=(Int8(f"{c.encoder} {c.scheme}", c.speedup, c.fp32 - c.int8, None),),
        )
        for c in study.cells
    ]


def record_rows(view: View) -> list[Row]:
    """Return records as rows: FP32 of the reference engine, and the INT8 cells of every engine.

    Macro-F1 is the mean over a cell's seeds; all else is one seed's. Times that may not be compared with one
    another, and unstable ones, are no numbers.
    """
    ranked = not not_ranked((r.shown for r in view.references), "real")
    return [_row(reference, view, ranked=ranked) for reference in view.references]


def _row(reference: Reference, view: View, *, ranked: bool) -> Row:
    record, over_seeds = reference.shown, reference.summary
    real, cell = record.latency.get("real"), record.cell
    return Row(
        encoder=cell.encoder,
        scheme=cell.scheme,
        validation=over_seeds.validation_macro_f1.mean if over_seeds else None,
        test=over_seeds.test_macro_f1.mean if over_seeds else None,
        latency_ms=real.p50_s * 1e3 if real and ranked else None,
        seconds=record.split_latency_s if ranked else None,
        seconds_over_batches=_over_batches(record),
        scores=record.scores.test if record.scores else None,
        int8=tuple(
            _int8(*pair)
            for pair in view.shown.pairs
            if pair.reduced.cell.precision == "int8"
            and (pair.reduced.cell.encoder, pair.reduced.cell.scheme) == (cell.encoder, cell.scheme)
        ),
    )


def _over_batches(record: Record) -> float | None:
    real, seconds = record.latency.get("real"), record.split_latency_s
    test = record.data.splits.get("test")
    if real is None or seconds is None or test is None or not real.load.stable:
        return None
    return seconds / (real.p50_s * test.rows / real.batch_size)


def _int8(fp32: Record, int8: Record) -> Int8:
    drop = None
    if fp32.scores and int8.scores:
        drop = fp32.scores.test.macro_f1 - int8.scores.test.macro_f1
    speedup = stable_speedup(int8.speedup)
    return Int8(
        name=f"{model_name(int8.cell)} {int8.cell.scheme}",
        speedup=speedup.ratio if speedup else None,
        drop=drop,
        size_ratio=fp32.size_bytes / int8.size_bytes if int8.size_bytes else None,
    )

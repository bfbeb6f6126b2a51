"""One shape for the study's tables and for records, so that the same questions can be asked of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from goemo_eval.measure.metrics import Scores
from goemo_eval.records.over_seeds import one_seed, seed_groups, summarize_seeds
from goemo_eval.records.schema import Record
from goemo_eval.report.study.published import Study
from goemo_eval.report.tables import pairs
from goemo_eval.report.text import model_name

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
    batches: float | None = None
    """Batches in the test split."""
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
            batches=study.rows["test"] / _STUDY_BATCH,
            int8=(Int8(f"{c.encoder} {c.scheme}", c.speedup, c.fp32 - c.int8, None),),
        )
        for c in study.cells
    ]


def record_rows(records: Sequence[Record]) -> list[Row]:
    """Return records as rows: FP32 of the reference engine, and the INT8 cells of every engine.

    Macro-F1 is the mean over a cell's seeds; all else is one seed's.
    """
    couples = pairs(one_seed(records))
    return [
        _row(
            group,
            record,
            [
                _int8(fp32, int8)
                for fp32, int8 in couples
                if (int8.cell.encoder, int8.cell.scheme)
                == (record.cell.encoder, record.cell.scheme)
            ],
        )
        for group, record in zip(reference_groups(records), reference_cells(records), strict=True)
    ]


def reference_cells(records: Sequence[Record]) -> list[Record]:
    """Return one FP32 cell per encoder and scheme, at one seed: torch's, or else the first engine's."""
    found: dict[tuple[str, str], Record] = {}
    for record in one_seed(records):
        cell = record.cell
        key = (cell.encoder, cell.scheme)
        if cell.precision == "fp32" and (
            key not in found or (cell.engine == "torch" != found[key].cell.engine)
        ):
            found[key] = record
    return list(found.values())


def reference_groups(records: Sequence[Record]) -> list[list[Record]]:
    """Return the cells of `reference_cells`, each with all of its seeds."""
    groups = {record.cell: group for group in seed_groups(records) for record in group}
    return [groups[record.cell] for record in reference_cells(records)]


def reference_names(records: Sequence[Record]) -> list[str]:
    """Return the model names of `reference_cells`, without a seed where an encoder has several."""
    groups = reference_groups(records)
    seeds: dict[str, set[int]] = {}
    for record in (record for group in groups for record in group):
        seeds.setdefault(record.cell.encoder, set()).add(record.cell.seed)
    cells = [record.cell for record in reference_cells(records)]
    return [
        model_name(c if len(seeds[c.encoder]) == 1 else c.model_copy(update={"seed": 0}))
        for c in cells
    ]


def _row(group: Sequence[Record], record: Record, int8: Sequence[Int8]) -> Row:
    over_seeds = next(iter(summarize_seeds(group)), None)
    scores, real, test = record.scores, record.latency.get("real"), record.data.splits.get("test")
    return Row(
        encoder=record.cell.encoder,
        scheme=record.cell.scheme,
        validation=over_seeds.validation_macro_f1.mean if over_seeds else None,
        test=over_seeds.test_macro_f1.mean if over_seeds else None,
        latency_ms=real.p50_s * 1e3 if real else None,
        seconds=record.split_latency_s,
        batches=test.rows / real.batch_size if test and real else None,
        scores=scores.test if scores else None,
        int8=tuple(int8),
    )


def _int8(fp32: Record, int8: Record) -> Int8:
    drop = None
    if fp32.scores and int8.scores:
        drop = fp32.scores.test.macro_f1 - int8.scores.test.macro_f1
    return Int8(
        name=f"{model_name(int8.cell)} {int8.cell.scheme}",
        speedup=int8.speedup.ratio if int8.speedup else None,
        drop=drop,
        size_ratio=fp32.size_bytes / int8.size_bytes if int8.size_bytes else None,
    )

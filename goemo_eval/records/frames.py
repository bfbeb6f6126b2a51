"""Records as tables: a row per cell, a row per label. For notebooks, and for whatever writes data files.

Units stand in the names of the columns. What was not measured is None, in a frame NaN.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

from goemo_eval.measure.scenarios import SCENARIOS
from goemo_eval.records.comparable import times_of
from goemo_eval.records.flips import LabelFlips, flips
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View

Row = dict[str, str | int | float | bool | None]


def records_to_frame(records: Iterable[Record]) -> Any:
    """Return a row per cell.

    Parameters
    ----------
    records : iterable of Record

    Returns
    -------
    pandas.DataFrame
        In the order of `goemo_eval.records.view.View`, the cell's id as index.

    Examples
    --------
    >>> records_to_frame([]).empty
    True
    """
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]

    rows = [cell_row(record) for record in View(records)]
    return pd.DataFrame(rows).set_index("cell") if rows else pd.DataFrame()


def labels_to_frame(records: Iterable[Record]) -> Any:
    """Return a row per label of each scored cell, with what INT8 decided otherwise than FP32.

    Returns
    -------
    pandas.DataFrame
        Cell and label are its index.
    """
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]

    view = View(records)
    rows = [row for record in view for row in label_rows(record, view.twin(record))]
    return pd.DataFrame(rows).set_index(["cell", "label"]) if rows else pd.DataFrame()


def cell_row(record: Record) -> Row:
    """Return everything of a cell that is one value; the keys are the same for every record."""
    cell, found = record.cell, record.environment
    memory, length, search = record.memory, record.length, record.precision_search
    row: Row = {
        "cell": cell.id,
        **cell.model_dump(),
        "data": record.data.name,
        "unscored_reason": record.unscored_reason,
        **_scores(record),
    }
    for scenario in SCENARIOS:
        row |= _times(record, scenario)
    offline, own = record.offline, record.speedup
    return row | {
        "texts_per_s": offline.texts_per_s if offline else None,
        "texts_per_s_unstable": offline.load.reason if offline else None,
        "speedup_over_fp32": own.ratio if own else None,
        "speedup_unstable": own.load.reason if own else None,
        "parameters": record.parameters,
        "size_bytes": record.size_bytes,
        "peak_rss_bytes": memory.peak_rss_bytes if memory else None,
        "start_s": memory.start_s if memory else None,
        "max_length": length.max_length if length else None,
        "cut_share": length.cut_share if length else None,
        "smoothed": record.smoothed,
        "kept_fp32": " ".join(record.kept_fp32),
        "int8_share": search.int8_share if search else None,
        "plain_int8_test_macro_f1": search.plain_test_macro_f1 if search else None,
        "served_agreement": record.served.agreement if record.served else None,
        "served_macro_f1": record.served.macro_f1 if record.served else None,
        "compute": record.compute,
        "cpu_model": found.cpu_model,
        "isa": found.engine_isa,
        "threads": found.threads,
        "git_commit": found.git_commit,
    }


def label_rows(record: Record, twin: Record | None = None) -> list[Row]:
    """Return a row per label of a scored cell, in column order; none of one that was not scored.

    Parameters
    ----------
    record : Record
    twin : Record, optional
        The FP32 twin of a record of INT8 or BF16: what the two decided differently is then told.

    Raises
    ------
    RecordError
        If the two cannot be compared.
    """
    if record.scores is None:
        return []
    validation, test = record.scores.validation.per_label, record.scores.test.per_label
    thresholds = record.thresholds.values if record.thresholds else ()
    ece = record.calibration.ece_per_label if record.calibration else ()
    changed = _flips(record, twin)
    return [
        {
            "cell": record.cell.id,
            **ours.model_dump(),
            "validation_f1": theirs.f1,
            "threshold": threshold,
            "ece": error,
            "given_by_int8_alone": flip.gained if flip else None,
            "withheld_by_int8_alone": flip.lost if flip else None,
            "f1_minus_fp32": flip.delta if flip else None,
        }
        for theirs, ours, threshold, error, flip in zip_longest(
            validation, test, thresholds, ece, changed
        )
    ]


def _flips(record: Record, twin: Record | None) -> tuple[LabelFlips, ...]:
    if twin is None or record.cell.precision == "fp32":
        return ()
    return flips(twin, record) if twin.decisions and record.decisions else ()


def _scores(record: Record) -> Row:
    scores, refitted = record.scores, record.scores_refitted
    return {
        "validation_macro_f1": scores.validation.macro_f1 if scores else None,
        "test_macro_f1": scores.test.macro_f1 if scores else None,
        "test_micro_f1": scores.test.micro_f1 if scores else None,
        "test_weighted_f1": scores.test.weighted_f1 if scores else None,
        "test_macro_f1_refitted": refitted.test.macro_f1 if refitted else None,
        "strategy": record.thresholds.strategy if record.thresholds else None,
        "ece": record.calibration.ece if record.calibration else None,
    }


def _times(record: Record, scenario: str) -> Row:
    times = times_of(record, scenario)
    row: Row = {f"{scenario}_times": len(times.times_s) if times else None}  # type: ignore[union-attr]
    for name in ("p50", "p90", "p95", "p99"):
        seconds = getattr(times, f"{name}_s") if times else None
        row[f"{scenario}_{name}_ms"] = seconds * 1e3 if seconds else None
    row[f"{scenario}_unstable"] = times.load.reason if times else None
    return row

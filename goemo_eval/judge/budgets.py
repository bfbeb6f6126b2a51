"""Budgets: what a cell may cost or lose, read from a TOML file or a run file, and the check of a record.

Keys at the top hold for every data set, a table named after one for it alone; ``cells."CELL-ID"`` in
either overrides them for a cell.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from goemo_eval.errors import RecordError, unknown_name
from goemo_eval.files import read_text
from goemo_eval.frozen import Frozen
from goemo_eval.measure.metrics import Unit
from goemo_eval.measure.scenarios import SCENARIOS, Latency
from goemo_eval.records.comparable import OFFLINE
from goemo_eval.records.schema import BudgetCheck, Cell, Record
from goemo_eval.records.values import shown

_LARGEST_FILE = 1 << 20
_CELLS = "cells"

Limit = Annotated[float, Field(ge=0)]


class Budget(Frozen):
    """The limits of one cell; None asserts nothing. Seconds are of a batch, of ``single`` of a text."""

    min_macro_f1: Unit | None = None
    """Least test Macro-F1 of a scored cell."""
    max_int8_drop: Unit | None = None
    """Most that INT8 may lose against FP32, in test Macro-F1 with FP32's thresholds."""
    min_int8_speedup: Limit | None = None
    """Least speed of INT8 over FP32, in turns over the test split."""
    max_real_p50_s: Limit | None = None
    max_real_p95_s: Limit | None = None
    max_padded128_p50_s: Limit | None = None
    max_padded128_p95_s: Limit | None = None
    max_single_p50_s: Limit | None = None
    max_single_p95_s: Limit | None = None
    min_offline_texts_per_s: Limit | None = None
    """Least texts per second, text in, scores out."""
    max_size_mb: Limit | None = None
    """Most megabytes (10^6 bytes) on disk."""
    max_peak_rss_mb: Limit | None = None
    """Most megabytes of memory of a process that holds the cell alone."""
    max_start_s: Limit | None = None
    """Most seconds from the start of that process to its first answer."""


@dataclass(frozen=True)
class _Table:
    """What a table says: limits, and those of cells that override them."""

    limits: Mapping[str, float] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Budgets:
    """The budgets of a run; see `load_budgets`."""

    where: str = "budgets"
    everywhere: _Table = field(default_factory=_Table)
    datasets: Mapping[str, _Table] = field(default_factory=dict)

    def of(self, dataset: str, cell_id: str | None = None) -> Budget:
        """Return the budget of a cell on a data set, or of any cell; what says less gives way.

        A seed has no budget of its own: ``minilm-raw-torch-int8-s3`` has that of
        ``minilm-raw-torch-int8``, unless it is named itself.
        """
        tables = [self.everywhere, self.datasets.get(dataset, _Table())]
        found: dict[str, float] = {}
        for table in tables:
            found |= table.limits
        for cell in _names(cell_id) if cell_id else ():
            for table in tables:
                found |= table.cells.get(cell, {})
        return Budget(**found)

    def check_names(
        self,
        dataset: str,
        *,
        encoders: Collection[str],
        schemes: Collection[str],
        engines: Collection[str],
    ) -> None:
        """Refuse budgets that could never apply, in a file that a user named.

        Parameters
        ----------
        dataset : str
            Of the run. Budgets of other data sets are not looked at.
        encoders, schemes, engines : collection of str
            All names that there are, those of other runs included.

        Raises
        ------
        RecordError
            If no budget is for the data set, or a cell names what there is not.
        """
        if self.datasets and dataset not in self.datasets and self.everywhere == _Table():
            raise RecordError(
                f"{self.where}: no budgets for data set {dataset!r}: add a table [{dataset}]; it has "
                f"{', '.join(sorted(map(shown, self.datasets)))}"
            )
        for table in (self.everywhere, self.datasets.get(dataset, _Table())):
            for cell_id in table.cells:
                cell = _cell(cell_id)
                assert cell is not None  # as was checked when they were read
                for kind, name, known in (
                    ("encoder", cell.encoder, encoders),
                    ("scheme", cell.scheme, schemes),
                    ("engine", cell.engine, engines),
                ):
                    if name not in known:
                        raise RecordError(
                            f'{self.where}: cells."{cell_id}": {unknown_name(kind, name, known)}'
                        )


def load_budgets(source: Path | Mapping[str, Any] | None) -> Budgets:
    """Read budgets.

    Parameters
    ----------
    source : Path, mapping or None
        A TOML file, the ``[budgets]`` table of a run file, or nothing: no budgets.

    Raises
    ------
    RecordError
        If a file is missing or malformed, or a key, a value or the id of a cell is none.
    """
    if source is None:
        return Budgets()
    where = "[budgets]" if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else _parsed(source)
    limits, datasets = {}, {}
    for key, value in content.items():
        if key in Budget.model_fields or key == _CELLS:
            limits[key] = value
        elif isinstance(value, Mapping):
            datasets[key] = _table(value, f"{where}: [{shown(key)}]")
        else:
            raise RecordError(
                f"{where}: {unknown_name('limit', shown(key), Budget.model_fields)}; budgets of a data "
                "set are a table with its name"
            )
    return Budgets(where, _table(limits, where), datasets)


def check_budget(
    record: Record, budget: Budget, *, reference: Record | None = None
) -> tuple[BudgetCheck, ...]:
    """Check a record against its budget, as far as it was measured.

    Parameters
    ----------
    record : Record
    budget : Budget
    reference : Record, optional
        The FP32 twin of an INT8 record.

    Returns
    -------
    tuple of BudgetCheck
        One per limit that applies; none of what was not measured, nor of unstable times: they say how
        busy the machine was.
    """
    measured = _measured(record, reference)
    return tuple(
        BudgetCheck(
            name=name,
            limit=limit,
            value=value,
            passed=value >= limit if name.startswith("min_") else value <= limit,
        )
        for name, limit in budget
        if limit is not None and (value := measured.get(name)) is not None
    )


def scenario_of(name: str) -> str | None:
    """Return the scenario that a limit is of, as in ``max_real_p50_s``; None of one that is of none."""
    return next((s for s in (*SCENARIOS, OFFLINE) if f"_{s}_" in name), None)


def _measured(record: Record, reference: Record | None) -> dict[str, float | None]:
    """Return what a record has of each limit; None, or no entry, of what cannot be judged."""
    found: dict[str, float | None] = {"max_size_mb": record.size_bytes / 1e6}
    if record.scores:
        found["min_macro_f1"] = record.scores.test.macro_f1
    int8 = record.cell.precision == "int8"
    if int8 and record.scores and reference and reference.scores:
        found["max_int8_drop"] = reference.scores.test.macro_f1 - record.scores.test.macro_f1
    if int8 and record.speedup and record.speedup.load.stable:
        found["min_int8_speedup"] = record.speedup.ratio
    for scenario, latency in record.latency.items():
        if latency.load.stable:
            found |= _percentiles(scenario, latency)
    if record.offline and record.offline.load.stable:
        found["min_offline_texts_per_s"] = record.offline.texts_per_s
    if record.memory:
        found["max_peak_rss_mb"] = record.memory.peak_rss_bytes / 1e6
        found["max_start_s"] = record.memory.start_s
    return found


def _percentiles(scenario: str, latency: Latency) -> dict[str, float | None]:
    return {f"max_{scenario}_p50_s": latency.p50_s, f"max_{scenario}_p95_s": latency.p95_s}


def _parsed(path: Path) -> dict[str, Any]:
    text = read_text(path, error=RecordError, most_bytes=_LARGEST_FILE)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError
        raise RecordError(f"{path}: not TOML ({shown(str(error))})") from None


def _table(content: Mapping[str, Any], where: str) -> _Table:
    cells = content.get(_CELLS, {})
    if not isinstance(cells, Mapping):
        raise RecordError(
            f'{where}: {_CELLS} must be tables [... {_CELLS}."CELL-ID"]: got {_short(cells)}'
        )
    limits = {key: value for key, value in content.items() if key != _CELLS}
    found = {}
    for cell_id, overrides in cells.items():
        place = f'{where}: {_CELLS}."{shown(cell_id)}"'
        if not isinstance(overrides, Mapping):
            raise RecordError(f"{place} must be a table of limits: got {_short(overrides)}")
        if _cell(cell_id) is None:
            raise RecordError(
                f"{place} is no cell: expected ENCODER-SCHEME-ENGINE-PRECISION, such as "
                "minilm-raw-torch-int8"
            )
        found[cell_id] = _limits(overrides, place)
    return _Table(_limits(limits, where), found)


def _limits(content: Mapping[str, Any], where: str) -> dict[str, float]:
    for key in content:
        if key not in Budget.model_fields:
            raise RecordError(f"{where}: {unknown_name('limit', shown(key), Budget.model_fields)}")
    try:
        budget = Budget.model_validate(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RecordError(
            f"{where}: {first['loc'][0]}: {first['msg']}: got {_short(first['input'])}"
        ) from None
    return {name: limit for name, limit in budget if limit is not None}


def _cell(cell_id: str) -> Cell | None:
    """Return the cell of an id; None if it is none."""
    words = cell_id.split("-")
    seed = "0"
    if len(words) == 5 and words[4].startswith("s"):
        seed = words.pop()[1:]
    if len(words) != 4 or not seed.isascii() or not seed.isdigit():
        return None
    encoder, scheme, engine, precision = words
    try:
        return Cell.model_validate(
            {
                "encoder": encoder,
                "scheme": scheme,
                "engine": engine,
                "precision": precision,
                "seed": int(seed[:12]),
            }
        )
    except ValidationError:
        return None


def _names(cell_id: str) -> list[str]:
    """Return the ids under which a cell may have a budget, the more special last."""
    cell = _cell(cell_id)
    return (
        [cell_id]
        if cell is None or not cell.seed
        else [cell.model_copy(update={"seed": 0}).id, cell_id]
    )


def _short(value: object) -> str:
    return shown(repr(value), 60)

"""Budgets: what a cell may cost or lose, read from a TOML file, and the check of a record.

A table per profile holds its defaults; ``[PROFILE.cells."CELL-ID"]`` overrides them for a cell.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen
from goemo_eval.records.schema import BudgetCheck, Record

Limit = Annotated[float, Field(ge=0)]


class Budget(Frozen):
    """The limits of one cell; None asserts nothing."""

    min_macro_f1: Limit | None = None
    """Least test Macro-F1 of a scored cell."""
    max_int8_drop: Limit | None = None
    """Most that INT8 may lose against FP32, in test Macro-F1 with FP32's thresholds."""
    min_int8_speedup: Limit | None = None
    """Least speed of INT8 over FP32, interleaved over the test split."""
    max_real_p50_s: Limit | None = None
    """Most seconds of the median forward pass per batch, in the split's own lengths."""
    max_padded128_p50_s: Limit | None = None
    """The same, padded to 128 tokens."""


def load_budget(path: Path, profile: str, cell_id: str | None = None) -> Budget:
    """Read the budget of a cell.

    Parameters
    ----------
    path : Path
        TOML file.
    profile : str
    cell_id : str, optional

    Returns
    -------
    Budget
        The profile's defaults, with the overrides of the cell if one is named.

    Raises
    ------
    RecordError
        If the file is missing or malformed, lacks the profile, or has an unknown key.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path}: cannot read the budgets ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: not TOML ({error})") from None
    if profile not in tables:
        raise RecordError(f"{path}: no budgets for profile {profile!r}: add a table [{profile}]")
    defaults = dict(tables[profile])
    overrides = defaults.pop("cells", {})
    try:
        return Budget(**defaults | overrides.get(cell_id or "", {}))
    except ValidationError as error:
        first = error.errors()[0]
        raise RecordError(f"{path}: [{profile}] {first['loc'][0]}: {first['msg']}") from None


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
        One per limit that applies; empty where nothing was measured.
    """
    checks = []
    if budget.min_macro_f1 is not None and record.scores:
        checks.append(_at_least("min_macro_f1", budget.min_macro_f1, record.scores.test.macro_f1))
    if budget.max_int8_drop is not None and record.scores and reference and reference.scores:
        drop = reference.scores.test.macro_f1 - record.scores.test.macro_f1
        checks.append(_at_most("max_int8_drop", budget.max_int8_drop, drop))
    if budget.min_int8_speedup is not None and record.speedup:
        checks.append(_at_least("min_int8_speedup", budget.min_int8_speedup, record.speedup.ratio))
    for name, shape, limit in (
        ("max_real_p50_s", "real", budget.max_real_p50_s),
        ("max_padded128_p50_s", "padded128", budget.max_padded128_p50_s),
    ):
        latency = record.latency.get(shape)  # type: ignore[call-overload]
        if limit is not None and latency:
            checks.append(_at_most(name, limit, latency.p50_s))
    return tuple(checks)


def _at_least(name: str, limit: float, value: float) -> BudgetCheck:
    return BudgetCheck(name=name, limit=limit, value=value, passed=value >= limit)


def _at_most(name: str, limit: float, value: float) -> BudgetCheck:
    return BudgetCheck(name=name, limit=limit, value=value, passed=value <= limit)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from goemo_eval.errors import RecordError
from goemo_eval.judge.budgets import Budget, check_budget, load_budget
from goemo_eval.records.schema import Record

Make = Callable[..., Record]
SHIPPED = Path(__file__).parents[2] / "bench" / "budgets.toml"


def test_shipped_budgets() -> None:
    strict = load_budget(SHIPPED, "goemotions", "albert-raw-torch-int8")
    assert strict.max_int8_drop == 0.01
    wide = load_budget(SHIPPED, "sample", "albert-raw-torch-int8")
    assert wide.max_int8_drop is not None
    assert wide.max_int8_drop > 0.01


def test_overrides_of_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text(
        '[p]\nmin_macro_f1 = 0.3\nmax_int8_drop = 0.1\n[p.cells."a-b-c-int8"]\nmax_int8_drop = 0.5\n'
    )
    assert load_budget(path, "p", "a-b-c-int8") == Budget(min_macro_f1=0.3, max_int8_drop=0.5)
    assert load_budget(path, "p", "a-b-c-fp32") == Budget(min_macro_f1=0.3, max_int8_drop=0.1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[q]\n", r"no budgets for profile 'p'"),
        ("[p]\nmax_drop = 1\n", r"\[p\] max_drop: Extra inputs"),
        ("[p]\nmin_macro_f1 = -1\n", r"\[p\] min_macro_f1: Input should be greater"),
        ("[p\n", "not TOML"),
    ],
)
def test_malformed(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "b.toml"
    path.write_text(content)
    with pytest.raises(RecordError, match=message):
        load_budget(path, "p", "x")


def test_checks(make_record: Make) -> None:
    fp32, int8 = make_record(wrong=0.2), make_record("int8", wrong=0.3)
    budget = Budget(
        min_macro_f1=0.75,
        max_int8_drop=0.05,
        min_int8_speedup=1.5,
        max_real_p50_s=0.15,
        max_padded128_p50_s=1.0,
    )
    assert {c.name: c.passed for c in check_budget(fp32, budget)} == {
        "min_macro_f1": True,
        "max_real_p50_s": False,
    }
    assert {c.name: c.passed for c in check_budget(int8, budget, reference=fp32)} == {
        "min_macro_f1": False,
        "max_int8_drop": False,
        "min_int8_speedup": True,
        "max_real_p50_s": False,
    }
    assert check_budget(int8, Budget(), reference=fp32) == ()
    unscored = make_record("int8", scored=False)
    assert {c.name for c in check_budget(unscored, budget, reference=fp32)} == {
        "min_int8_speedup",
        "max_real_p50_s",
    }

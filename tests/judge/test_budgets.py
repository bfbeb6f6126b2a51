from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.errors import RecordError
from goemo_eval.judge.budgets import Budget, Budgets, check_budget, load_budgets, scenario_of
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.scenarios import Latency, Throughput
from goemo_eval.records.schema import Memory, Record

Make = Callable[..., Record]
MakeLatency = Callable[..., Latency]
SHIPPED = Path(__file__).parents[2] / "bench" / "budgets.toml"
BUSY = Load(load_start=9.0, load_end=9.0, reason="other processes took 50% of the processors")
CELL = "a-b-torch-int8"


def write(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "b.toml"
    path.write_text(content)
    return path


def test_shipped_budgets() -> None:
    shipped = load_budgets(SHIPPED)
    assert shipped.of("goemotions", "albert-raw-torch-int8").max_int8_drop == 0.01
    wide = shipped.of("sample", "albert-raw-torch-int8")
    assert wide.max_int8_drop is not None
    assert wide.max_int8_drop > 0.01
    assert shipped.of("sample", "minilm-raw-torch-fp32").min_macro_f1 == 0.35
    shipped.check_names(
        "sample",
        encoders={"minilm", "tfidf"},
        schemes={"raw", "simplified"},
        engines={"torch", "linear"},
    )


def test_nothing_asserts_nothing() -> None:
    assert load_budgets(None) == Budgets()
    assert load_budgets(None).of("sample", CELL) == Budget()


def test_what_says_more_overrides_what_says_less(tmp_path: Path) -> None:
    text = f"""
    max_int8_drop = 0.1
    max_real_p50_s = 1
    [cells."{CELL}"]
    max_real_p50_s = 2
    [tickets]
    max_int8_drop = 0.2
    min_macro_f1 = 0.3
    [tickets.cells."{CELL}"]
    min_macro_f1 = 0.4
    [tickets.cells."{CELL}-s3"]
    min_macro_f1 = 0.5
    """
    # the same as a file and as the table of a run file
    for found in (load_budgets(write(tmp_path, text)), load_budgets(tomllib.loads(text))):
        assert found.of("other") == Budget(max_int8_drop=0.1, max_real_p50_s=1)
        assert found.of("other", CELL) == Budget(max_int8_drop=0.1, max_real_p50_s=2)
        assert found.of("tickets", "a-b-torch-fp32") == Budget(
            max_int8_drop=0.2, max_real_p50_s=1, min_macro_f1=0.3
        )
        assert found.of("tickets", CELL).min_macro_f1 == 0.4
        assert found.of("tickets", f"{CELL}-s2").min_macro_f1 == 0.4
        assert found.of("tickets", f"{CELL}-s3").min_macro_f1 == 0.5


MALFORMED = [
    ("[p", "not TOML"),
    ("[p]\nmin_macro_f1 = " + "1" * 5000, "not TOML"),
    ("[p]\na = 1\na = 2", "not TOML"),
    ("a = " + "[" * 5000, "not TOML"),
    ("sample = []", "unknown limit 'sample': known are .*; budgets of a data set are a table"),
    ("sample = 3", "unknown limit 'sample'"),
    ("max_drop = 0.1", "unknown limit 'max_drop'"),
    ("[p]\nmax_drop = 1", r"\[p\]: unknown limit 'max_drop': known are max_int8_drop, "),
    ("[p]\nmin_macro_f1 = -1", r"\[p\]: min_macro_f1: Input should be greater .*: got -1"),
    ("[p]\nmin_macro_f1 = 1.5", "min_macro_f1: Input should be less than or equal to 1"),
    ("[p]\nmax_int8_drop = nan", "max_int8_drop: Input should be a finite number: got nan"),
    ("[p]\nmax_real_p50_s = inf", "max_real_p50_s: Input should be a finite number"),
    ("[p]\nmin_macro_f1 = '0.3'", "min_macro_f1: Input should be a valid number: got '0.3'"),
    ("[p]\nmin_macro_f1 = true", "min_macro_f1: Input should be a valid number: got True"),
    ("[p]\nmin_macro_f1 = 2020-01-01", "min_macro_f1: Input should be a valid number"),
    ("[p]\nmin_macro_f1 = [0.3]", "min_macro_f1: Input should be a valid number"),
    ("[p]\nmax_real_p99_s = 1", "unknown limit 'max_real_p99_s'"),
    ("[p]\ncells = 3", "cells must be tables .*: got 3"),
    ("cells = []", "cells must be tables"),
    ("[p]\ncells.'a-b-torch-int8' = 3", 'cells."a-b-torch-int8" must be a table of limits: got 3'),
    ("[p.cells.'a-b-torch-int8']\nx = 3", "cells.\"a-b-torch-int8\": unknown limit 'x'"),
    ("[p.cells.'a-b-torch-int8'.x]\ny = 3", "unknown limit 'x'"),
    ("[p.cells.minilm]\nmin_macro_f1 = 0", 'cells."minilm" is no cell: expected ENCODER-SCH'),
    ("[p.cells.'a-b-torch-int4']\n", "is no cell"),
    ("[p.cells.'a-b-torch-fp32-int8']\n", "is no cell: .* such as minilm-raw-torch-int8"),
    ("[p.cells.'A-b-torch-int8']\n", "is no cell"),
    ("[p.cells.'a-b-torch-int8-s']\n", "is no cell"),
    ("[p.cells.'a-b-torch-int8-s99999999999999999999']\n", "is no cell"),
    ("[p.cells.'a-b-torch-int8-3']\n", "is no cell"),
    ("[p.cells.'']\n", "is no cell"),
    ('["p\\u001b"]\nx = 3', "unknown limit 'x'"),
]


@pytest.mark.parametrize(("content", "message"), MALFORMED)
def test_malformed(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(RecordError, match=message) as caught:
        load_budgets(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()


tables = st.dictionaries(
    st.sampled_from(["p", "cells", "min_macro_f1", "max_real_p50_s", "a-b-torch-int8"]) | st.text(),
    st.deferred(lambda: tables) | st.floats() | st.integers() | st.text() | st.lists(st.booleans()),
    max_size=3,
)


@given(tables)
def test_any_table_is_read_or_refused_in_a_line(content: dict[str, Any]) -> None:
    try:
        assert isinstance(load_budgets(content).of("p", "a-b-torch-int8"), Budget)
    except RecordError as error:
        assert str(error).startswith("[budgets]: ")
        assert str(error).isprintable()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "nowhere.toml", "cannot read"),
        (tmp_path, "no regular file"),
        (Path("/dev/zero"), "no regular file"),
    ):
        with pytest.raises(RecordError, match=message):
            load_budgets(path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(RecordError, match="is not UTF-8"):
        load_budgets(tmp_path / "latin.toml")
    (tmp_path / "large.toml").write_text("# " + "x" * (1 << 20))
    with pytest.raises(RecordError, match="at most 1,048,576 are read"):
        load_budgets(tmp_path / "large.toml")


def test_names_that_there_are_not(tmp_path: Path) -> None:
    path = write(tmp_path, "[p.cells.'minilm-rwa-torch-int8']\nmax_int8_drop = 0.1\n")
    found = load_budgets(path)
    known: dict[str, Any] = {
        "encoders": {"minilm"},
        "schemes": {"raw", "rwa"},
        "engines": {"torch"},
    }
    found.check_names("p", **known)
    with pytest.raises(
        RecordError, match=r'"minilm-rwa-torch-int8": unknown scheme .rwa.: known are raw'
    ):
        found.check_names("p", **known | {"schemes": {"raw"}})
    with pytest.raises(RecordError, match="unknown encoder 'minilm'"):
        found.check_names("p", **known | {"encoders": {"mine"}})
    with pytest.raises(RecordError, match="unknown engine 'torch': known are tensorrt"):
        found.check_names("p", **known | {"engines": {"tensorrt"}})
    with pytest.raises(
        RecordError, match=r"no budgets for data set 'q': add a table \[q\]; it has p"
    ):
        found.check_names("q", **known)
    load_budgets({"max_int8_drop": 0.1, "p": {}}).check_names("q", **known)


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


def test_every_limit_can_be_broken_and_kept(make_record: Make, make_latency: MakeLatency) -> None:
    load = Load(load_start=0, load_end=0)
    fp32 = make_record(wrong=0.1)
    record = make_record(
        "int8",
        size_bytes=3_000_000,
        latency={
            "real": make_latency([1.0, 2.0, 3.0]),
            "padded128": make_latency([4.0]),
            "single": make_latency([5.0], batch_size=1),
        },
        offline=Throughput(texts=500, threads=2, passes_s=(2.0,), load=load),
        memory=Memory(peak_rss_bytes=250_000_000, start_s=1.5, texts=100),
    )
    values = {
        check.name: check.value
        for check in check_budget(
            record, Budget(**dict.fromkeys(Budget.model_fields, 0.5)), reference=fp32
        )
    }
    assert values.keys() == Budget.model_fields.keys()
    assert values["max_real_p50_s"] == 2.0
    assert values["max_real_p95_s"] == pytest.approx(2.9)
    assert values["max_single_p50_s"] == 5.0
    assert values["min_offline_texts_per_s"] == 250
    assert (values["max_size_mb"], values["max_peak_rss_mb"], values["max_start_s"]) == (
        3,
        250,
        1.5,
    )
    for name, value in values.items():
        for limit, sign in ((value, 0), (value * 0.9, -1), (value * 1.1, 1)):
            if name in ("min_macro_f1", "max_int8_drop") and limit > 1:
                continue
            (check,) = check_budget(record, Budget(**{name: limit}), reference=fp32)
            assert check.passed == (sign <= 0 if name.startswith("min_") else sign >= 0)


def test_unstable_times_break_nothing(
    make_record: Make, make_latency: MakeLatency, timed_beside: Make
) -> None:
    offline = Throughput(texts=5, threads=2, passes_s=(9.0,), load=BUSY)
    record = make_record("int8", latency={"real": make_latency([9.0])}, offline=offline)
    record = timed_beside(record, BUSY)
    budget = Budget(max_real_p50_s=0.1, min_int8_speedup=9.0, min_offline_texts_per_s=99)
    assert check_budget(record, budget) == ()


def test_scenarios_of_limits() -> None:
    found = {name: scenario_of(name) for name in Budget.model_fields}
    assert {name for name, scenario in found.items() if scenario is None} == {
        "min_macro_f1",
        "max_int8_drop",
        "min_int8_speedup",
        "max_size_mb",
        "max_peak_rss_mb",
        "max_start_s",
    }
    assert found["max_single_p95_s"] == "single"
    assert found["min_offline_texts_per_s"] == "offline"

"""Versions of torch beside one another: pairs of records, turns, the page, and the command itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


def facts(torch: str, python: str = "CPython 3.11.7", **versions: str) -> dict[str, Any]:
    return {"python": python, "versions": {"torch": torch, "transformers": "5.24.0", **versions}}


def test_an_interpreter_is_called_by_its_torch_and_by_what_else_differs() -> None:
    from bench.torch_versions.contenders import _label

    first = facts("2.13.0")
    assert _label(first, first) == "2.13.0"
    assert _label(facts("2.14.1", transformers="5.0.0"), first) == "2.14.1, transformers 5.0.0"
    assert _label(facts("2.13.0", "CPython 3.12.1"), first) == "2.13.0, CPython 3.12.1"


def test_an_interpreter_without_the_library_s_needs_is_refused_in_a_line() -> None:
    from bench.torch_versions.contenders import ask
    from goemo_eval.errors import OptionError

    with pytest.raises(OptionError, match=r"--python /nowhere/python: cannot be run"):
        ask([Path("/nowhere/python")])
    with pytest.raises(OptionError, match=r"two interpreters have torch .*: leave one out"):
        ask([Path(sys.executable)] * 2)


@pytest.mark.parametrize(
    ("output", "counts", "failed"),
    [
        ("....\n2 passed, 1 skipped in 0.1s\n", "2 passed, 1 skipped", []),
        (
            "FAILED tests/a.py::test_b - KeyError: 'c d'\n1 failed, 3 passed in 2.34s (0:00:02)\n",
            "1 failed, 3 passed",
            ["tests/a.py::test_b"],
        ),
        ("", "no test ended", []),
    ],
)
def test_how_tests_ended_is_read_from_pytest_s_last_words(
    output: str, counts: str, failed: list[str]
) -> None:
    from bench.torch_versions.contenders import outcome

    assert outcome(output) == {"counts": counts, "failed": failed}


def test_chance_is_judged_either_way_alike() -> None:
    from bench.torch_versions.comparing import two_sided

    rng = np.random.default_rng(0)
    truth = rng.random((300, 4)) < 0.3
    noisy = truth ^ (rng.random(truth.shape) < 0.05)
    noisier = truth ^ (rng.random(truth.shape) < 0.3)
    assert two_sided(truth, noisy, noisy) == 1
    assert two_sided(truth, noisy, noisier) == two_sided(truth, noisier, noisy) < 0.001
    few = noisy.copy()
    few[:2] ^= True  # two texts: nothing beyond chance
    assert two_sided(truth, noisy, few) > 0.05


def test_versions_take_turns_and_the_first_round_is_not_counted() -> None:
    from bench.torch_versions.timing import in_rounds, ratios

    asked: list[tuple[str, str, str]] = []

    def asking(label: str, took: float) -> Any:
        def ask(cell: str, what: str) -> list[float]:
            asked.append((label, cell, what))
            return [took, took, 100.0]  # the median of single texts

        return ask

    artifacts = {"old": {"a": "", "b": ""}, "new": {"a": ""}}
    times = in_rounds({"old": asking("old", 2), "new": asking("new", 1)}, artifacts, rounds=2)
    assert times["split"] == {"a": {"old": [2, 2], "new": [1, 1]}}  # b is not in all
    firsts = [label for label, _, what in asked[::2] if what == "split"]
    assert firsts == ["old", "new", "old"]
    found = ratios(times, "old")["single"]["a"]
    assert found["old"]["value"] == 1
    assert found["new"] == {"seconds": 1, "value": 0.5, "low": 0.5, "high": 0.5}


def test_the_page_says_what_differs_and_whether_it_is_chance() -> None:
    from bench.torch_versions.page import page

    cell = {"test_macro_f1": 0.5, "size_bytes": 23_000_000, "kernels": "", "engine_version": ""}
    other = {
        **cell,
        "change": -0.0123,
        "low": -0.02,
        "high": -0.004,
        "p": 0.001,
        "holm": 0.002,
        "flips": 7,
        "texts": 5,
        "decisions": 1000,
        "logits_apart": 0.25,
        "same_files": False,
    }
    same = {**other, "change": 0.0, "holm": 1.0, "flips": 0, "same_files": True}
    result: dict[str, Any] = {
        "command": "python -m bench.torch_versions",
        "machine": {"cpu": "a CPU", "isa_flags": ["AVX2"]},
        "commits": {"2.13.0": "abc", "2.14.1": None},
        "contenders": {"2.13.0": facts("2.13.0"), "2.14.1": facts("2.14.1")},
        "data": {"test": 50},
        "cells": {
            "one": {"2.13.0": cell, "2.14.1": other},
            "two": {"2.13.0": cell, "2.14.1": same},
        },
        "tests": {"2.14.1": {"counts": "1 failed", "failed": ["tests/a.py::b"], "commit": "abc"}},
        "times": None,
    }
    text = page(result)
    assert (
        "- **2.14.1**: 1 of 2 cells decide every text as under 2.13.0; most decisions changed in one: "
        "7 of 1,000, Macro-F1 -0.0123; beyond chance: one." in text
    )
    assert "## Times" not in text
    result["times"] = {
        "threads": 2,
        "rounds": 3,
        "load": {"load_start": 0.1, "load_end": 4.0, "reason": "others took 40 %"},
        "ratios": {
            what: {
                "one": {
                    label: {"seconds": 0.5, "value": 1.25, "low": 1.1, "high": 1.5}
                    for label in ("2.13.0", "2.14.1")
                }
            }
            for what in ("split", "single")
        },
    }
    text = page(result)
    assert "1.250 (1.100 to 1.500)" in text
    assert "Unstable: others took 40 %." in text


def test_a_cell_is_paired_with_its_twin_text_by_text(measured: Any) -> None:
    from bench.torch_versions.comparing import logits_of, table
    from goemo_eval.records.files import read_records
    from goemo_eval.records.verified import verified_decisions

    folder = measured.file.parent
    fp32, int8 = read_records(folder / "report" / "records.json")
    assert (fp32.cell.precision, int8.cell.precision) == ("fp32", "int8")
    # Another precision stands for what another version would make of the same cell.
    other = int8.model_copy(update={"cell": fp32.cell})
    records = {"first": [fp32], "again": [fp32], "other": [other]}
    rows = table(records, dict.fromkeys(records, folder / "store"))[fp32.cell.id]
    assert set(rows) == set(records)
    again, moved = rows["again"], rows["other"]
    assert again["same_files"]
    assert not moved["same_files"]
    assert (again["flips"], again["logits_apart"], again["holm"]) == (0, 0, 1)
    (truth, before), (_, after) = verified_decisions(fp32), verified_decisions(int8)
    assert moved["flips"] == (before != after).sum()
    assert moved["decisions"] == truth.size
    assert moved["change"] == pytest.approx(
        moved["test_macro_f1"] - rows["first"]["test_macro_f1"], abs=1e-9
    )
    assert moved["low"] <= moved["change"] <= moved["high"]
    store = folder / "store"
    apart = np.abs(logits_of(fp32, store) - logits_of(int8, store)).max()
    assert 0 < moved["logits_apart"] == pytest.approx(float(apart))


def test_the_command_measures_this_interpreter_and_goes_on_from_what_is_kept(
    tmp_path: Path, measured: Any
) -> None:
    # Its checkpoint is called MiniLM, and may be of any size; other tests may have left more in the store.
    checkpoint = min((measured.file.parent / "store" / "checkpoints").glob("tiny-raw-*/content"))
    command = [sys.executable, "-m", "bench.torch_versions", "--engines", "torch"]
    options = {
        "--checkpoint": checkpoint,
        "--data": measured.file.parent / "data",
        "--out": tmp_path / "out",
        "--kept": tmp_path / "kept",
        "--threads": 1,
    }
    for name, value in options.items():
        command += [name, str(value)]

    def run(*more: str) -> dict[str, Any]:
        done = subprocess.run(
            [*command, *more], check=False, cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads((tmp_path / "out" / "torch-versions.json").read_bytes())
        return {**found, "said": done.stderr}

    first = run("--rounds", "2")
    (version,) = first["contenders"]
    cells = {f"minilm-raw-torch-{precision}" for precision in ("fp32", "int8")}
    assert set(first["cells"]) == cells
    for cell in cells:
        for what in ("split", "single"):
            assert len(first["times"]["seconds"][what][cell][version]) == 2
    assert "scores" in first["said"]

    # Nothing is measured again: the times are those of before.
    second = run()
    assert "scores" not in second["said"]
    for name in ("cells", "times", "contenders", "commits", "data"):
        assert second[name] == first[name]
    page = (tmp_path / "out" / "torch-versions.md").read_text()
    assert "minilm-raw-torch-int8" in page
    assert "--rounds 2 --threads 1" in page

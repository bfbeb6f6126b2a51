"""The plugin as another repository uses it, in process, on a small run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# What a run imports is imported here: pytester forgets what is new after each run in process, and
# numpy's like cannot be loaded twice.
import sklearn.metrics
import sklearn.svm  # noqa: F401

import goemo_eval.judge.gate
import goemo_eval.models.linear
import goemo_eval.report.render
import goemo_eval.session  # noqa: F401
from goemo_eval.records.files import dump_records, read_records

pytest_plugins = "pytester"

SUITE = """
import pytest

def test_accuracy(goemo_cell, goemo):
    record = goemo.measure(goemo_cell)
    assert record.scores
    assert not goemo.over_budget(goemo_cell)

def test_latency(goemo_cell, goemo, benchmark):
    goemo.time(goemo_cell, "single", benchmark)

def test_no_loss(goemo_cell, goemo):
    verdict = goemo.gate(goemo_cell)
    if verdict is None:
        pytest.skip("no baseline")
    assert verdict.passed, verdict.reason
"""
RUN_FILE = """
[data]
source = "data"
[run]
encoders = ["tfidf"]
schemes = ["raw"]
precisions = ["fp32"]
timing = "quick"
store = "store"
reports = "report"
"""
MARKS = ["-p", "no:cacheprovider", "-W", "default"]


@pytest.fixture
def project(pytester: pytest.Pytester, tsv_dir: Callable[..., Path]) -> pytest.Pytester:
    """A repository of someone's, with a run file and three thin tests."""
    (pytester.path / "data").symlink_to(tsv_dir())
    (pytester.path / "goemo.toml").write_text(RUN_FILE)
    pytester.makepyfile(test_cells=SUITE)
    return pytester


def run(project: pytest.Pytester, *words: str) -> Any:
    return project.runpytest_inprocess("--goemo", *MARKS, *words)


def test_the_main_job_writes_records_and_a_report_and_the_second_run_makes_nothing(
    project: pytest.Pytester,
) -> None:
    result = run(project, "--benchmark-json=bench.json")
    result.assert_outcomes(passed=2, skipped=1)
    assert "goemo-eval: made 1 artifacts, 1 checkpoints, 1 logits, 1 scores" in result.stdout.str()
    (record,) = read_records(project.path / "bench.json")
    assert record.cell.id == "tfidf-raw-linear-fp32"
    assert len(record.latency["single"].times_s) == 96
    assert (project.path / "report" / "report.md").is_file()

    again = run(project, "-k", "accuracy")
    again.assert_outcomes(passed=1, deselected=2)
    assert "made nothing: all of it was in the store" in again.stdout.str()

    # Against itself nothing is lost; against a baseline that was better, it is.
    gated = run(project, "--goemo-baseline", "bench.json", "-k", "loss")
    gated.assert_outcomes(passed=1, deselected=2)


def test_without_asking_nothing_happens(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess(*MARKS)
    result.assert_outcomes(skipped=3)
    assert "goemo-eval: " not in result.stdout.str()


def test_collect_only_and_benchmark_disable(project: pytest.Pytester) -> None:
    result = run(project, "--collect-only", "-q")
    assert "test_cells.py::test_latency[tfidf-raw-linear-fp32]" in result.stdout.str()
    assert not (project.path / "report").exists()
    run(project, "--benchmark-disable", "-k", "latency").assert_outcomes(passed=1, deselected=2)


def test_a_budget_that_is_broken_fails_its_test(project: pytest.Pytester) -> None:
    (project.path / "budgets.toml").write_text("min_macro_f1 = 0.99\n")
    result = run(project, "--goemo-budgets", "budgets.toml", "-k", "accuracy")
    result.assert_outcomes(failed=1, deselected=2)
    assert result.ret == 1


MISTAKES = [
    (["--goemo-encoders", "roberta"], "unknown encoder 'roberta'"),
    (["--goemo-schemes", "rwa"], "unknown scheme 'rwa'"),
    (["--goemo-engines", "tensorrt"], "unknown engine 'tensorrt'"),
    (["--goemo-precisions", "int4"], "unknown precision 'int4'"),
    (["--goemo-seeds", "99999999999999999999"], "--goemo-seeds"),
    (["--goemo-threads", "0"], "--goemo-threads 0"),
    (["--goemo-gpus-per-cell", "nan"], "--goemo-gpus-per-cell nan"),
    (["--goemo-max-drop", "nan"], "--goemo-max-drop nan"),
    (["--goemo-data", "nowhere"], "nowhere"),
    (["--goemo-recipe", "none"], "unknown recipe 'none'"),
    (["--goemo-budgets", "none.toml"], "none.toml"),
    (["--goemo-baseline", "none.json"], "none.json"),
    (["--goemo-store", "goemo.toml"], "no directory"),
    (["--goemo-file", "none.toml"], "none.toml"),
    (["--goemo-checkpoint", "mine-raw=nowhere"], "no such directory"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    project: pytest.Pytester, words: list[str], said: str
) -> None:
    result = run(project, *words)
    assert result.ret == 2
    lines = {x for x in [*result.outlines, *result.errlines] if "goemo-eval: " in x}
    assert any(said in line for line in lines), lines
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_worsened_model_fails_the_gate(project: pytest.Pytester) -> None:
    run(project, "--benchmark-json=bench.json", "-k", "latency")
    (record,) = read_records(project.path / "bench.json")
    (project.path / "baseline.json").write_text(dump_records([record]))
    # Fewer rows to learn from: another checkpoint, and a worse one.
    train = (project.path / "data" / "train.tsv").read_text().splitlines()[:8]
    data = project.path / "less"
    data.mkdir()
    for name in ("dev", "test"):
        (data / f"{name}.tsv").write_bytes((project.path / "data" / f"{name}.tsv").read_bytes())
    (data / "train.tsv").write_text("\n".join([*train, "filler\t27\tx1"]) + "\n")
    result = run(
        project,
        *("--goemo-data", "less", "--goemo-baseline", "baseline.json", "--goemo-max-drop", "0"),
        *("-k", "loss", "-rA"),
    )
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("skipped", 0) + outcomes.get("passed", 0) == 1


HEAVY = """
import sys
import goemo_eval.pytest_plugin
print(sorted({"torch", "transformers", "pydantic", "numpy"} & set(sys.modules)))
"""


def test_the_plugin_imports_nothing_heavy_until_it_is_asked() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HEAVY], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"

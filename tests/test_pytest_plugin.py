"""The plugin as another repository uses it, and this repository's bench: pytest within pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goemo_eval.judge.baseline import make_baseline
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.measure.scenarios import SCENARIOS
from goemo_eval.pipeline import steps
from goemo_eval.records.decisions import pack_decisions, unpack_decisions
from goemo_eval.records.files import dump_records, read_records
from goemo_eval.records.schema import SplitScores

BENCH = Path(__file__).parents[1] / "bench"
ONE_TEST = "def test_scored(goemo_cell, goemo):\n    assert goemo.measure(goemo_cell).scores\n"

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, measured: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest in this process on the measured project's data and store."""
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    # What bench/ takes from its own directory is found wherever pytest is started.
    monkeypatch.setenv("COLUMNS", "200")
    # This very test may run beside others; the run that it starts does not.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def call(*words: object, asked: bool = True) -> pytest.RunResult:
        given = ["--goemo", f"--goemo-file={measured.file}", f"--goemo-reports={pytester.path}/r"]
        return pytester.runpytest_inprocess(*(given if asked else []), *map(str, words))

    return call


@pytest.fixture
def main_job(run: Run) -> Run:
    """Run this repository's bench."""
    return lambda *words: run(BENCH, "-p", "no:cacheprovider", *words)


def lines_of_ours(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("goemo-eval: ")]


def one_line(result: pytest.RunResult) -> str:
    """The one line that a mistake is told in."""
    assert result.ret == 2, result.stdout.str()
    said = [
        line.partition("Exit: goemo-eval: ")[2].rstrip("! ")
        for line in (*result.outlines, *result.errlines)
        if "Exit: goemo-eval: " in line
    ]
    assert len(said) == 1, said
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    return said[0]


def test_the_main_job(main_job: Run, pytester: pytest.Pytester) -> None:
    bench = pytester.path / "bench.json"
    words = ["--goemo-engines=torch,onnxruntime", "-k", "torch or onnxruntime-fp32"]
    result = main_job(*words, f"--benchmark-json={bench}")
    result.assert_outcomes(passed=15, skipped=3, deselected=6)  # no baseline: nothing to gate
    assert result.ret == 0
    records = read_records(pytester.path / "r" / "records.json")
    assert {r.cell.id for r in records} == {
        "tiny-raw-torch-fp32",
        "tiny-raw-torch-int8",
        "tiny-raw-onnxruntime-fp32",
    }
    assert {r.cell.id: r for r in read_records(bench)} == {r.cell.id: r for r in records}
    assert (pytester.path / "r" / "report.md").is_file()

    # pytest-benchmark did the timing: its raw times are the record's.
    rows = json.loads(bench.read_text())["benchmarks"]
    assert len(rows) == 3 * len(SCENARIOS)
    for row in rows:
        record = next(r for r in records if r.cell.id in row["name"])
        (scenario,) = (s for s in SCENARIOS if s in row["name"])
        assert list(record.latency[scenario].times_s) == row["stats"]["data"]
    for record in records:
        assert record.scores is not None
        _, decisions = unpack_decisions(record.decisions)  # type: ignore[arg-type]
        assert decisions.sum() == sum(s.tp + s.fp for s in record.scores.test.per_label)


def test_again_it_makes_nothing(main_job: Run) -> None:
    result = main_job("-k", "accuracy")
    result.assert_outcomes(passed=2, deselected=10)
    assert "goemo-eval: made nothing: all of it was in the store" in result.outlines


def test_exceeded_budgets_fail_and_are_kept(main_job: Run, pytester: pytest.Pytester) -> None:
    budgets, bench = pytester.path / "b.toml", pytester.path / "bench.json"
    budgets.write_text("min_macro_f1 = 0.99\nmax_size_mb = 0.001\n")
    words = [f"--goemo-budgets={budgets}", f"--benchmark-json={bench}"]
    result = main_job("--goemo-precisions=fp32", "-k", "accuracy or real", *words)
    result.assert_outcomes(failed=1, passed=1, deselected=4)
    assert result.ret == 1
    (record,) = read_records(bench)
    assert {b.name: b.passed for b in record.budgets} == {
        "min_macro_f1": False,
        "max_size_mb": False,
    }


def test_cells_without_weights_are_timed_and_skipped_with_the_reason(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        "import pytest\n"
        "def test_scored(goemo_cell, goemo):\n"
        "    record = goemo.measure(goemo_cell)\n"
        "    pytest.skip(record.unscored_reason)\n"
    )
    result = run("--goemo-train=never", "--goemo-seeds=3", "--goemo-precisions=fp32", "-rs")
    result.assert_outcomes(skipped=1)
    assert "not fine-tuned yet, and --train never" in result.stdout.str()
    (record,) = read_records(pytester.path / "r" / "records.json")
    assert record.scores is None


def test_cells_of_an_engine_that_is_not_installed_are_skipped_with_the_command(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    from goemo_eval.engines import registry

    found = registry.find_spec
    monkeypatch.setattr(registry, "find_spec", lambda n: None if n == "openvino" else found(n))
    pytester.makepyfile(ONE_TEST)
    result = run("--goemo-engines=torch,openvino", "--goemo-precisions=fp32", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    assert "pip install 'goemo-eval[openvino]'" in result.stdout.str()


def test_disabled_benchmarks_score_and_time_nothing(
    main_job: Run, pytester: pytest.Pytester
) -> None:
    result = main_job("--benchmark-disable", "--benchmark-json=b.json", "--goemo-precisions=fp32")
    result.assert_outcomes(passed=4, skipped=2)
    (record,) = read_records(pytester.path / "r" / "records.json")
    assert not (pytester.path / "b.json").exists()
    said = next(line for line in lines_of_ours(result) if "b.json" in line)
    assert said.endswith(f"the gate reads {pytester.path / 'r' / 'records.json'} as well")
    assert record.scores is not None
    assert (record.latency, record.offline, record.split_latency_s) == ({}, None, None)


def test_the_gate_within_the_run(main_job: Run, pytester: pytest.Pytester, measured: Any) -> None:
    """INT8 against itself passes; FP32 against a baseline that was right throughout does not."""
    fp32, int8 = read_records(measured.file.parent / "report" / "records.json")
    assert fp32.decisions is not None
    truth, _ = unpack_decisions(fp32.decisions)
    perfect = score_predictions(truth, truth, labels=fp32.labels)
    better = fp32.model_copy(
        update={
            "decisions": pack_decisions(truth, truth, len(fp32.labels)),
            "scores": SplitScores(validation=perfect, test=perfect),
        }
    )
    baseline = pytester.path / "baseline.json"
    baseline.write_text(dump_records(make_baseline([better, int8])))
    result = main_job("-k", "no_loss", f"--goemo-baseline={baseline}")
    result.assert_outcomes(failed=1, passed=1, deselected=10)
    assert result.ret == 1
    assert "regression: the drop is at least 0." in result.stdout.str()
    # Two cells share the run's alpha of 0.05.
    assert "(97.5% sure)" in result.stdout.str()


def test_a_killed_process_fails_its_tests_and_the_others_go_on(
    run: Run, pytester: pytest.Pytester, crashing: Any
) -> None:
    pytester.makepyfile(ONE_TEST + "\n\n" + ONE_TEST.replace("test_scored", "test_again"))
    with crashing(steps, "predict_artifact") as calls:
        result = run("--goemo-precisions=fp32", "--goemo-seeds=8,0")
    result.assert_outcomes(failed=2, passed=2)
    assert result.ret == 2  # nothing is known to be lost
    assert calls() == 1
    killed = [line for line in result.outlines if line.startswith("dies: the process was killed")]
    assert len(killed) == 2
    assert "Traceback" not in result.stdout.str()
    (record,) = read_records(pytester.path / "r" / "records.json")
    assert record.cell.seed == 0


def test_without_the_run_tests_of_cells_are_skipped_saying_so(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makefile(".toml", goemo="broken [")  # nobody looks at it
    pytester.makepyfile(
        ONE_TEST + "\n\ndef test_run(goemo):\n    assert goemo\n\n\ndef test_own():\n    pass\n"
    )
    result = run("-rs", asked=False)
    result.assert_outcomes(passed=1, skipped=2)
    assert result.stdout.str().count("goemo-eval was not asked to measure: pass --goemo") >= 1
    assert not lines_of_ours(result)


def test_a_run_file_of_the_root_directory_is_used_wherever_pytest_is_started(
    pytester: pytest.Pytester, measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = measured.file.parent
    text = measured.file.read_text()
    for key in ("store", "reports"):
        text = text.replace(
            f'{key} = "', f'{key} = "{where}/other-' if key == "reports" else f'{key} = "{where}/'
        )
    text = text.replace('source = "data"', f'source = "{where}/data"')
    text = text.replace('recipe = "brief.toml"', f'recipe = "{where}/brief.toml"')
    pytester.makefile(".toml", goemo=text)
    pytester.makeini("[pytest]")
    tests = pytester.mkdir("tests")
    (tests / "test_cells.py").write_text(ONE_TEST)
    pytester.chdir()
    words = ["--goemo", "--goemo-precisions=fp32"]
    result = pytester.runpytest_inprocess(*words, "tests")
    result.assert_outcomes(passed=1)
    assert lines_of_ours(result)[0] == "goemo-eval: 1 cells of data, recipe brief"
    monkeypatch.chdir(tests)
    result = pytester.runpytest_inprocess(*words, "--collect-only")
    assert lines_of_ours(result)[0] == "goemo-eval: 1 cells of data, recipe brief"
    # That of the directory where it is started goes before the root's.
    (tests / "goemo.toml").write_text(text + "seeds = [1, 2]\n")
    result = pytester.runpytest_inprocess(*words, "--collect-only")
    assert lines_of_ours(result)[0] == "goemo-eval: 2 cells of data, recipe brief"


def test_collecting_measures_nothing(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ONE_TEST)
    result = run("--collect-only", "-q")
    assert result.ret == 0
    assert [line for line in result.outlines if "::" in line] == [
        f"test_collecting_measures_nothing.py::test_scored[tiny-raw-torch-{p}]"
        for p in ("fp32", "int8")
    ]
    assert not (pytester.path / "r").exists()
    assert not [line for line in lines_of_ours(result) if "made" in line]


def test_help_and_markers_open_no_run(run: Run) -> None:
    for word in ("--help", "--markers"):
        result = run(word, "--goemo-data=nowhere")
        assert result.ret == 0
    help_text = run("--help").stdout.str()
    assert "--goemo-encoders=A,B" in help_text
    assert "--goemo-data=SOURCE" in help_text


SOME = """
import pytest

def test_scored(goemo_cell, goemo):
    goemo.measure(goemo_cell)
    assert goemo_cell.precision == "int8"

def test_after(goemo_cell, goemo):
    goemo.measure(goemo_cell)
"""


def test_first_failure_ends_it_with_a_report_and_last_failed_picks_it_up(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(SOME)
    result = run("-x")
    result.assert_outcomes(failed=1)
    assert result.ret == 1
    assert [r.cell.precision for r in read_records(pytester.path / "r/records.json")] == ["fp32"]
    result = run("--lf")
    result.assert_outcomes(failed=1)
    result = run("-k", "after and int8")
    result.assert_outcomes(passed=1, deselected=3)
    assert [r.cell.precision for r in read_records(pytester.path / "r/records.json")] == ["int8"]


def test_a_cells_tests_stand_side_by_side(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SOME)
    result = run("--collect-only", "-q")
    ids = [line.rpartition("[")[2] for line in result.outlines if "::" in line]
    assert ids == [*["tiny-raw-torch-fp32]"] * 2, *["tiny-raw-torch-int8]"] * 2]


def test_a_run_that_no_test_asks_for_says_so(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_own():\n    pass\n")
    result = run()
    result.assert_outcomes(passed=1)
    assert lines_of_ours(result)[-1] == (
        "goemo-eval: nothing was measured: no selected test asked for a goemo_cell"
    )


@pytest.mark.parametrize("words", [["-n", "2"], ["--tx", "2*popen"]])
def test_side_by_side_is_refused(run: Run, pytester: pytest.Pytester, words: list[str]) -> None:
    pytester.makepyfile(ONE_TEST)
    assert one_line(run(*words)).startswith("pytest -n runs tests side by side")
    assert run("-n", "0", "--collect-only").ret == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--goemo-data=nowhere"], "nowhere"),
        (["--goemo-encoders=bart"], "unknown encoder 'bart': known are"),
        (["--goemo-seeds=1,x"], "--goemo-seeds 1,x: expected integers"),
        (["--goemo-seeds=99999999999999999999"], "--goemo-seeds"),
        (["--goemo-gpus-per-cell=nan"], "--goemo-gpus-per-cell nan"),
        (["--goemo-threads=0"], "--goemo-threads 0"),
        (["--goemo-train=always"], "--goemo-train always"),
        (["--goemo-recipe=fast"], "unknown recipe 'fast'"),
        (["--goemo-budgets=nowhere.toml"], "nowhere.toml: cannot read"),
        (["--goemo-baseline=nowhere.json"], "nowhere.json: cannot read"),
        (["--goemo-checkpoint=../x-raw=."], "../x"),
        (["--goemo-checkpoint=A-raw=.", "--goemo-encoders=A"], "'A'"),
        (["--goemo-file=nowhere.toml"], "nowhere.toml: cannot read"),
        (["--goemo-store=/proc/none"], "/proc/none"),
        (["--goemo-name=\x1b[31mred\n"], "\\x1b[31mred"),
    ],
)
def test_a_mistake_ends_the_run_in_one_line(
    run: Run, pytester: pytest.Pytester, words: list[str], said: str
) -> None:
    pytester.makepyfile(ONE_TEST)
    result = run(*words)
    assert said in one_line(result)
    assert "\x1b[31mred" not in result.stdout.str() + result.stderr.str()


def test_a_mistake_that_a_test_meets_ends_the_run_in_one_line(
    run: Run, pytester: pytest.Pytester, measured: Any
) -> None:
    """A brought checkpoint is looked at when the first cell is measured."""
    empty = pytester.mkdir("empty")
    pytester.makepyfile(ONE_TEST)
    result = run("--goemo-encoders=tiny", f"--goemo-checkpoint=tiny-raw={empty}")
    assert str(empty) in one_line(result)
    assert "failed" not in result.stdout.str()


def test_an_error_of_ours_in_a_test_of_theirs_is_a_failure_like_any(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        "from goemo_eval.errors import DataError\n"
        "def test_theirs():\n    raise DataError('mine')\n\n"
        "def test_next():\n    pass\n"
    )
    result = run()
    result.assert_outcomes(failed=1, passed=1)
    assert result.ret == 1


def test_asleep_it_imports_nothing_of_weight(tmp_path: Path) -> None:
    """Another project's whole test run pays for one module, and for nothing that the module imports."""
    (tmp_path / "test_theirs.py").write_text("def test_own():\n    pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    code = (
        "import sys, pytest\n"
        "words = ['-q', '-p', 'no:cacheprovider', '-p', 'goemo_eval.pytest_plugin']\n"
        "before = None\n"
        "class Watch:\n"
        "    def pytest_sessionfinish(self):\n"
        "        global before\n"
        "        before = {*sys.modules}\n"
        "assert pytest.main(words, [Watch()]) == 0\n"
        "ours = sorted(name for name in before if name.startswith('goemo_eval'))\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pydantic', 'typer', 'pandas', 'sklearn'} & before\n"
        "print('SEEN', ours, sorted(heavy))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    (seen,) = [line for line in result.stdout.splitlines() if line.startswith("SEEN")]
    assert seen == "SEEN ['goemo_eval', 'goemo_eval.pytest_plugin'] []"

"""The bench as a user runs it, in a process of its own, on small data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from goemo_eval.pipeline.evaluate import Workbench

from goemo_eval.measure.metrics import score_predictions
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.recipes import load_recipe
from goemo_eval.pipeline.plan import Plan
from goemo_eval.records.decisions import pack_decisions, unpack_decisions
from goemo_eval.records.files import dump_records, read_records
from goemo_eval.records.schema import Cell, SplitScores

BENCH = Path(__file__).parents[1] / "bench"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, tsv_dir: Callable[..., Path], minilm_raw: Checkpoint) -> Run:
    """Run the bench on the short sample with MiniLM's checkpoint; further words narrow or break it."""
    data = tsv_dir()

    def call(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", BENCH, "--data", data, "--schemes", "raw"),
                *("--store", tmp_path / "store", "--reports", tmp_path / "report"),
                *("--checkpoint", f"minilm-raw={minilm_raw.path}", "--encoders", "minilm"),
                *("--benchmark-json", tmp_path / "bench.json", "-p", "no:cacheprovider"),
                *map(str, words),
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=BENCH.parent,
        )

    return call


def lenient(tmp_path: Path, **limits: float) -> Path:
    path = tmp_path / "budgets.toml"
    path.write_text("[sample]\n" + "".join(f"{k} = {v}\n" for k, v in limits.items()))
    return path


def test_main_job(run: Run, tmp_path: Path) -> None:
    result = run("--budgets", lenient(tmp_path, max_int8_drop=1.0))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "6 passed" in result.stdout
    report = tmp_path / "report"
    assert (report / "report.md").is_file()
    pictures = {path.stem for path in (report / "figures").glob("*.png")}
    assert {f"figure{n}" for n in (1, 2, 3, 4)} < pictures
    records = read_records(report / "records.json")
    assert [r.cell.id for r in records] == ["minilm-raw-torch-fp32", "minilm-raw-torch-int8"]
    assert read_records(tmp_path / "bench.json") == records  # the same record stands in both

    # pytest-benchmark did the timing: its raw times are the record's.
    rows = json.loads((tmp_path / "bench.json").read_text())["benchmarks"]
    assert len(rows) == 4
    for row in rows:
        record = next(r for r in records if r.cell.id in row["name"])
        shape = "padded128" if "padded128" in row["name"] else "real"
        assert list(record.latency[shape].times_s) == row["stats"]["data"]
    for record in records:
        assert record.weights.kind == "pretrained"
        assert record.scores is not None
        _, decisions = unpack_decisions(record.decisions)
        assert decisions.sum() == sum(s.tp + s.fp for s in record.scores.test.per_label)


def test_exceeded_budget_fails_and_is_kept(run: Run, tmp_path: Path) -> None:
    budgets = lenient(tmp_path, min_macro_f1=0.99, max_real_p50_s=1e-6)
    result = run("--budgets", budgets, "--precisions", "fp32")
    assert result.returncode == 1
    assert "2 failed, 1 passed" in result.stdout
    (record,) = read_records(tmp_path / "bench.json")
    assert {b.name: b.passed for b in record.budgets} == {
        "min_macro_f1": False,
        "max_real_p50_s": False,
    }


def test_unscored_cells_are_skipped_with_their_reason_and_timed(run: Run, tmp_path: Path) -> None:
    result = run("--encoders", "mobilebert", "--precisions", "fp32", "--budgets", lenient(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 passed, 1 skipped" in result.stdout
    assert "no pretrained weights: the hub" in result.stdout
    (record,) = read_records(tmp_path / "bench.json")
    assert record.scores is None
    assert set(record.latency) == {"real", "padded128"}


def test_cells_of_an_engine_that_is_not_installed_are_skipped_with_the_command(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare.py").write_text(
        "import goemo_eval.engines.registry as registry\nregistry.find_spec = lambda name: None\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{BENCH.parent}")
    result = run(
        *("-p", "bare", "--engines", "torch,openvino", "--precisions", "fp32"),
        *("--budgets", lenient(tmp_path)),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed, 3 skipped" in result.stdout
    assert "pip install 'goemo-eval[openvino]'" in result.stdout
    (record,) = read_records(tmp_path / "bench.json")
    assert record.cell.engine == "torch"


def test_disabled_benchmarks_still_score(run: Run, tmp_path: Path) -> None:
    result = run("--benchmark-disable", "--precisions", "fp32", "--budgets", lenient(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    (record,) = read_records(tmp_path / "report" / "records.json")
    assert record.scores is not None
    assert record.latency == {}


def test_gate_inside_the_run(
    run: Run, tmp_path: Path, tsv_dir: Callable[..., Path], minilm_raw: Checkpoint
) -> None:
    """INT8 against itself passes; FP32 against a baseline that was right throughout does not."""
    plan = Plan(
        source=tsv_dir(),
        recipe=load_recipe("sample"),
        store=tmp_path / "other-store",
        threads=1,
        checkpoints={("minilm", "raw"): minilm_raw.path},
        split_budget_s=0.0,
        int8_repair="never",
    )
    cell = Cell(encoder="minilm", scheme="raw", engine="torch", precision="int8")
    with Workbench(plan) as workbench:
        int8, fp32 = workbench.measure(cell), workbench.measure(cell.at("fp32"))
    assert fp32.decisions is not None
    truth, _ = unpack_decisions(fp32.decisions)
    perfect = score_predictions(truth, truth, labels=fp32.labels)
    better = fp32.model_copy(
        update={
            "decisions": pack_decisions(truth, truth, len(fp32.labels)),
            "scores": SplitScores(validation=perfect, test=perfect),
        }
    )
    baseline, junit = tmp_path / "baseline.json", tmp_path / "junit.xml"
    baseline.write_text(dump_records([better, int8]))
    words = ["-k", "no_loss", "--gate", baseline, "--junit-xml", junit, "--engines", "torch"]
    words += ["--threads", "1", "--int8-repair", "never"]
    result = run(*words, "--budgets", lenient(tmp_path))
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 failed, 1 passed" in result.stdout
    (failure,) = re.findall(
        r'name="(test_no_loss[^"]*)"[^>]*><failure message="([^"]*)', junit.read_text()
    )
    assert failure[0] == "test_no_loss[minilm-raw-torch-fp32]"
    assert "regression: the drop is at least 0." in failure[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--profile", "big"], "unknown profile 'big': known are goemotions, sample"),
        (
            ["--encoders", "bart"],
            "unknown encoder 'bart': known are albert, distilbert, minilm, mobilebert",
        ),
        (["--checkpoint", "minilm"], "--checkpoint 'minilm': expected ENCODER-SCHEME=DIR"),
        (["--train", "always"], "unknown --train policy 'always': known are missing, never"),
        (["--recipe", "fast"], "unknown recipe 'fast'"),
        (["--threads", "0"], "--threads must be at least 1: got 0"),
        (["--data", "nowhere"], "data source 'nowhere' is neither"),
        (["--budgets", "nowhere.toml"], "nowhere.toml: cannot read the budgets"),
    ],
)
def test_mistakes_end_the_run_with_exit_code_2(run: Run, words: list[str], message: str) -> None:
    result = run(*words)
    assert result.returncode == 2, result.stdout + result.stderr
    lines = [line for line in (result.stdout + result.stderr).splitlines() if message in line]
    assert lines, result.stdout + result.stderr
    assert "Traceback" not in result.stderr

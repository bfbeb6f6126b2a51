from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import goemo_eval
from goemo_eval.cli.app import main
from goemo_eval.records.files import read_records

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    "command",
    [
        None,
        "init",
        "run",
        "train",
        "evaluate",
        "report",
        "recommend",
        "gate",
        "power",
        "tune",
        "export",
        "predict",
        "doctor",
    ],
)
def test_help_is_worth_reading(capsys: Capture, command: str | None) -> None:
    code, out, _ = run(capsys, *([command] if command else []), "--help")
    assert code == 0
    assert len(out.split()) > 50


def test_version(capsys: Capture) -> None:
    assert run(capsys, "--version")[:2] == (0, f"{goemo_eval.__version__}\n")


CELL = ("--encoder", "tfidf", "--scheme", "raw")
MISTAKES = [
    (["gat"], "No such command 'gat'"),
    (["gate", "--baselin", "x"], "No such option"),
    (["gate", "--baseline", "nowhere.json", "--candidate", "x"], "nowhere.json: cannot read"),
    (["train", "--scheme", "raw"], "Missing option '--encoder'"),
    (["train", "--encoder", "bart", "--scheme", "raw"], "unknown encoder 'bart'"),
    (["train", "--encoder", "../../x", "--scheme", "raw"], "../../x"),
    (["train", "--encoder", "A B", "--scheme", "raw"], "A B"),
    (["train", "--encoder", "", "--scheme", "raw"], "encoder"),
    (["train", "--encoder", "minilm", "--scheme", "rwa"], "unknown scheme 'rwa'"),
    (["train", *CELL, "--data", "nowhere"], "nowhere"),
    (["train", *CELL, "--recipe", "x"], "unknown recipe 'x'"),
    (["train", *CELL, "--threads", "99999999999999999999"], "--threads"),
    (["train", *CELL, "--seed", "99999999999999999999"], "seed"),
    (["train", *CELL, "--dominance", "loudest"], "--dominance loudest"),
    (["train", *CELL, "--weights", "tfidf"], "expected NAME=DIR"),
    (["evaluate", *CELL, "--precision", "int4"], "unknown precision 'int4'"),
    (["evaluate", *CELL, "--engine", "x"], "unknown engine 'x'"),
    (["evaluate", *CELL, "--isa", "sse"], "--isa sse"),
    (["evaluate", *CELL, "--checkpoint", "nowhere"], "no such directory"),
    (["evaluate", "--encoder", "../x", "--scheme", "raw", "--checkpoint", "."], "../x"),
    (["evaluate", *CELL, "--file", "nowhere.toml"], "nowhere.toml"),
    (["run", "--encoders", "nobody"], "unknown encoder 'nobody'"),
    (["run", "--baseline", "nowhere.json"], "nowhere.json"),
    (["run", "--alpha", "nan"], "--alpha nan"),
    (["run", "--thresholds", "best"], "unknown strategy 'best'"),
    (["recommend", "nowhere.json"], "nowhere.json: cannot read"),
    (["report", "nowhere.json", "--out", "x"], "nowhere.json: cannot read"),
    (["power", "nowhere.json"], "nowhere.json"),
    (["export", "a-b-c-d", "--records", "nowhere.json", "--out", "x"], "nowhere.json"),
    (["predict", "nowhere", "a text"], "nowhere"),
    (["predict", "nowhere"], "one of the two"),
    (["init", "nowhere.csv"], "nowhere.csv"),
    (["tune", "nowhere.toml", *CELL], "nowhere.toml"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    capsys: Capture,
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert code == 2, err
    (line,) = err.strip().splitlines()
    assert line.startswith("goemo-eval: ")
    assert message in line
    assert not out


def test_what_came_from_a_file_cannot_steer_the_terminal(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "x\x1b[31mred.json"
    code, _, err = run(capsys, "recommend", path)
    assert code == 2
    assert "\x1b" not in err


@pytest.fixture
def project(tmp_path: Path, tsv_dir: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with data and a run file."""
    data = tsv_dir()
    (tmp_path / "goemo.toml").write_text(
        f'[data]\nsource = "{data.name}"\n[run]\nencoders = ["tfidf"]\nschemes = ["raw"]\n'
        'timing = "quick"\nstore = "store"\nreports = "report"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_data_to_a_prediction(capsys: Capture, project: Path) -> None:
    code, out, err = run(capsys, "run")
    assert code == 0, err
    assert out.strip().endswith("report/report.md")
    records = project / "report" / "records.json"
    assert [r.cell.id for r in read_records(records)] == [
        "tfidf-raw-linear-fp32",
        "tfidf-raw-linear-int8",
    ]
    code, out, err = run(
        capsys,
        "export",
        "tfidf-raw-linear-int8",
        "--records",
        records,
        "--store",
        "store",
        "--out",
        "bundle",
    )
    assert code == 0, err
    code, out, _ = run(capsys, "predict", "bundle", "thank you so much", "--json")
    assert code == 0
    assert len(json.loads(out)["scores"]) == 28
    assert run(capsys, "gate", "--baseline", records, "--candidate", records)[0] == 0
    assert run(capsys, "recommend", records)[0] == 0


def test_one_cell_from_the_command_line(capsys: Capture, project: Path) -> None:
    code, out, err = run(capsys, "evaluate", *CELL, "--json")
    assert code == 0, err
    (project / "one.json").write_text(out)
    (record,) = read_records(project / "one.json")
    assert record.latency["single"].times_s
    code, out, _ = run(capsys, "evaluate", *CELL, "--precision", "int8")
    assert "Macro-F1 test" in out
    code, out, _ = run(capsys, "train", *CELL, "--out", "mine")
    assert code == 0
    assert (project / "mine" / "goemo.json").is_file()
    assert run(capsys, "train", *CELL, "--out", "mine")[0] == 2


def test_init_writes_a_run_file_that_runs(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(Path(__file__).parents[2] / "examples/tickets/tickets.csv", tmp_path)
    code, out, _ = run(capsys, "init", "tickets.csv")
    assert code == 0
    assert "6 labels" in out
    assert "assumed:" in out
    assert run(capsys, "init", "tickets.csv")[0] == 2  # it is there already
    code, out, err = run(
        capsys, "run", "--encoders", "tfidf", "--store", "store", "--reports", "report"
    )
    assert code == 0, err
    scores = [r.scores.test.macro_f1 for r in read_records("report/records.json") if r.scores]
    assert min(scores) > 0.8


def test_doctor(capsys: Capture) -> None:
    code, out, _ = run(capsys, "doctor", "--json")
    assert code == 0
    assert {"machine", "engine", "weights", "data", "store"} <= {
        f["topic"] for f in json.loads(out)
    }

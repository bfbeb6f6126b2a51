from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from goemo_eval.cli.app import main
from goemo_eval.records.files import dump_records
from goemo_eval.records.schema import Record

Make = Callable[..., Record]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def written(make_record: Make, tmp_path: Path) -> Callable[[float], Path]:
    """Records of a cell that is wrong so often, in a file."""

    def write(wrong: float) -> Path:
        path = tmp_path / f"wrong-{wrong}.json"
        path.write_text(dump_records([make_record(wrong=wrong)]))
        return path

    return write


Written = Callable[[float], Path]
CELL = "minilm-simplified-torch-fp32"


def test_set_show_diff(run: Run, written: Written, tmp_path: Path) -> None:
    path = tmp_path / "baselines" / "sample.json"
    code, out, err = run("baseline", "set", written(0.2), "--out", path)
    assert (code, out, err) == (0, f"{path}: 1 cells\n", "")
    first = path.read_text()
    code, out, _ = run("baseline", "set", written(0.3), "--out", path)
    assert code == 0
    assert "decisions differ" in out
    code, out, _ = run("baseline", "show", path)
    assert code == 0
    assert CELL in out
    assert "test split testtesttest has judged 1 runs" in out
    (tmp_path / "first.json").write_text(first)
    code, out, _ = run("baseline", "diff", tmp_path / "first.json", path)
    assert code == 0
    assert "joy: F1" in out
    code, out, _ = run("baseline", "diff", path, path)
    assert (code, out) == (0, "no score or decision differs\n")
    assert run("gate", "--baseline", path, "--candidate", written(0.3))[0] == 0
    code, _, err = run("baseline", "set", tmp_path / "nowhere.json", "--out", path)
    assert code == 2
    assert "nowhere.json: cannot read" in err


def test_small_losses_end_at_the_anchor(run: Run, written: Written, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    states = [written(0.2 + 0.02 * i) for i in range(6)]
    run("baseline", "set", states[0], "--out", path)
    codes = []
    for state in states[1:]:
        codes.append(run("gate", "--baseline", path, "--candidate", state, "--max-drop", "0.03")[0])
        code, out, _ = run("baseline", "set", state, "--out", path, "--keep-anchor")
        assert code == 0
        assert out.endswith("1 cells, 1 of them with an anchor\n")
    assert codes[0] == 0
    assert codes[-1] == 1
    _, out, _ = run("gate", "--baseline", path, "--candidate", states[-1], "--max-drop", "0.03")
    assert f"{CELL} against the anchor: regression" in out
    words = ("gate", "--baseline", path, "--candidate", states[-1], "--max-drop", "0.03")
    assert run(*words, "--max-drift", "0.5")[0] == 0
    _, out, _ = run("baseline", "show", path)
    assert "\nanchor\n" in out
    run("baseline", "set", states[-1], "--out", path)  # the loss is accepted
    assert run(*words)[0] == 0


def test_runs_are_counted(run: Run, written: Written, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    run("baseline", "set", written(0.2), "--out", path)
    gate = ("gate", "--baseline", path, "--candidate", written(0.21))
    _, out, _ = run(*gate)
    assert "no run of the gate was counted on this test split before" in out
    before = path.read_text()
    assert run(*gate)[1] == out  # a run that is not asked to does not write
    for _ in range(3):
        assert run(*gate, "--count")[0] == 0
    changed = set(before.splitlines()) ^ set(path.read_text().splitlines())
    assert len(changed) == 2  # one line of the file, which a diff shows
    _, out, _ = run(*gate)
    assert "run 4 on this test split" in out
    run("baseline", "set", written(0.2), "--out", path, "--judged", "60")
    _, out, _ = run(*gate, "--horizon", "50")
    assert "the horizon is used up: this is run 64" in out
    code, _, err = run("baseline", "set", written(0.2), "--out", path, "--judged", "-1")
    assert (code, err) == (2, "goemo-eval: judged must be at least 0: got -1\n")


@pytest.mark.parametrize(
    "words", [("gate", "--candidate", "c.json", "--baseline"), ("baseline", "show"), ("power",)]
)
def test_a_malformed_baseline_is_one_line(
    run: Run, written: Written, tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = tmp_path / "b.json"
    run("baseline", "set", written(0.2), "--out", path)
    content = json.loads(path.read_text())
    content["baseline"]["judged"] = {"x": -1}
    path.write_text(json.dumps(content))
    words = tuple(str(written(0.2)) if word == "c.json" else word for word in words)
    code, out, err = run(*words, path)
    assert (code, out) == (2, "")
    assert "b.json: baseline: judged.x: " in err
    assert len(err.splitlines()) == 1


def test_history(run: Run, written: Written, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=x", "-c", "user.email=x@y")
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    git("init", "-q")
    path = tmp_path / "b.json"
    for wrong in (0.2, 0.22):
        run("baseline", "set", written(wrong), "--out", path)
        git("add", "b.json")
        git("commit", "-q", "-m", f"Wrong {wrong}")
    figure = tmp_path / "history.svg"
    code, out, err = run("baseline", "history", path, "--figure", figure)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[2:4]] == [CELL, CELL]
    assert "Wrong 0.22" in out
    assert CELL in figure.read_text()
    points = json.loads(run("baseline", "history", path, "--json")[1])
    assert [point["change"] is None for point in points] == [True, False]
    code, _, err = run("baseline", "history", path, "--figure", tmp_path / "history.pdf")
    assert code == 2
    assert "a figure is a .svg or a .png" in err
    code, _, err = run("baseline", "history", written(0.9))
    assert code == 2
    assert "git knows no version of it" in err
    path.write_text("{")
    git("add", "b.json")
    git("commit", "-q", "-m", "Broken")
    assert "not JSON" in run("baseline", "history", path)[1]

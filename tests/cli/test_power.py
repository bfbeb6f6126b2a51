from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from goemo_eval.cli.app import main
from goemo_eval.judge.baseline import dump_baseline, update_baseline
from goemo_eval.records.schema import Record

Make = Callable[..., Record]


@pytest.fixture
def baseline(make_record: Make, tmp_path: Path) -> Path:
    path = tmp_path / "b.json"
    path.write_text(dump_baseline(update_baseline(None, [make_record()])))
    return path


def test_in_words_and_as_json(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", str(baseline), "--per-label"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "smallest drop seen" in out
    assert "500 texts cannot tell them from chance" in out
    assert "anger" in out
    assert main(["power", str(baseline), "--json", "--changed", "0.1", "--horizon", "50"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["horizon"] == 50
    assert [cell["change"] for cell in found["cells"]] == ["as asked"]
    assert [label["label"] for label in found["cells"][0]["labels"]] == ["joy", "anger", "neutral"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--power", "nan"], "power must be at least 0.5 and below 1: got nan"),
        (["--changed", "inf"], "changed must be above 0 and at most 2: got inf"),
        (["--drop", "0.001"], "drop must exceed max_drop, which may be lost: got 0.001 and 0.01"),
        (["--max-label-drop", "-1"], "max_label_drop must lie in [0, 1]: got -1.0"),
        (["--horizon", "-3"], "horizon must be a whole number from 1 to 1,000,000: got -3"),
    ],
)
def test_a_slip_is_one_line(
    baseline: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["power", str(baseline), *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"goemo-eval: {message}\n"

"""``goemo-eval report`` and ``goemo-eval recommend``: what they write, print and refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import shorten

import numpy as np
import pytest

from goemo_eval.cli.app import main
from goemo_eval.data.sources import load_dataset
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.records.decisions import pack_decisions
from goemo_eval.records.files import dump_records
from goemo_eval.records.schema import Cell, Data, Record, SplitData, SplitScores
from goemo_eval.report.text import escape

Make = Callable[..., Record]
Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def stored(tmp_path: Path, make_record: Make) -> Path:
    path = tmp_path / "records.json"
    path.write_text(dump_records([make_record(), make_record("int8", size_bytes=20)]))
    return path


def test_the_page_is_the_default(capsys: Capture, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(capsys, "report", stored, "--out", out) == (0, f"{out / 'report.md'}\n", "")
    assert (out / "report.html").exists()
    assert (out / "cells.csv").exists()


def test_commands_that_came_before_are_said_once(
    capsys: Capture, stored: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train = "goemo-eval train --encoder minilm --scheme raw"
    run(capsys, "report", stored, "--out", first, "--command", train, "--command", "make it")
    run(capsys, "report", first / "records.json", "--out", second, "--command", train)
    pages = [(out / "report.md").read_text() for out in (first, second)]
    assert pages[0] == pages[1]
    assert pages[0].count(f"    {train}\n    make it\n") == 1


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_the_numbers_alone(capsys: Capture, stored: Path, tmp_path: Path, form: str) -> None:
    code, out, _ = run(capsys, "report", stored, "--out", tmp_path / "out", "--format", form)
    assert code == 0
    written = [str(tmp_path / "out" / f"{name}.{form}") for name in ("cells", "labels", "suspects")]
    assert out.splitlines() == written
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        Path(name).name for name in written
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "xml"], "unknown format 'xml': known are csv, json, page, parquet"),
        (["--format", "csv", "--with-texts", "sample"], "--with-texts: only the page says this"),
        (["--format", "json", "--command", "make"], "--command: only the page says this"),
    ],
)
def test_what_is_refused_is_one_line(
    capsys: Capture, stored: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    code, out, err = run(capsys, "report", stored, "--out", tmp_path / "out", *options)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_texts_are_those_that_were_scored(
    capsys: Capture,
    tmp_path: Path,
    make_record: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # no run file
    splits = load_dataset("sample").splits
    truth = np.random.default_rng(0).integers(0, 3, len(splits["test"]))
    data = Data(
        name="sample",
        source="sample",
        revision=None,
        splits={name: SplitData(sha256=s.sha256, rows=len(s)) for name, s in splits.items()},
    )
    guess = (truth + 1) % 3
    scores = score_predictions(truth, guess, labels=("joy", "anger", "neutral"))
    both = SplitScores(validation=scores, test=scores)
    record = make_record(data=data, scores=both, decisions=pack_decisions(truth, guess, 3))
    path, out = tmp_path / "records.json", tmp_path / "out"
    path.write_text(dump_records([record]))
    assert run(capsys, "report", path, "--out", out)[0] == 0
    assert "Texts, as they stand in the data" not in (out / "report.md").read_text()
    assert run(capsys, "report", path, "--out", out, "--with-texts", "sample")[0] == 0
    quoted = (out / "report.md").read_text()
    assert "Texts, as they stand in the data" in quoted
    first = next(text for text, k in zip(splits["test"].texts, truth, strict=True) if k == 0)
    assert f"joy missed: {escape(shorten(first, 240, placeholder=' ...'))}" in quoted
    path.write_text(dump_records([make_record()]))
    code, _, err = run(capsys, "report", path, "--out", out, "--with-texts", "sample")
    assert code == 2
    assert "pass the data of the records" in err


def test_recommend(capsys: Capture, stored: Path) -> None:
    code, out, err = run(capsys, "recommend", stored)
    assert (code, err) == (0, "")
    assert out.startswith("simplified: minilm-simplified-torch-int8: test Macro-F1")
    assert "p95 290.0 ms per batch" in out
    code, out, _ = run(capsys, "recommend", stored, "--json")
    (answer,) = json.loads(out)
    assert (code, answer["chosen"]) == (0, "minilm-simplified-torch-int8")
    code, out, _ = run(capsys, "recommend", stored, "--max-p95-ms", "1")
    assert code == 1
    assert "No cell keeps the limits." in out
    assert "or more: minilm-simplified-torch-int8" in out
    code, out, _ = run(capsys, "recommend", stored, "--scenario", "single")
    assert code == 0
    assert "Cheapest means smallest here: no cell was timed under single" in out


def test_what_a_record_says_moves_no_cursor(
    capsys: Capture, tmp_path: Path, make_record: Make
) -> None:
    evil = make_record("int8", scored=False, unscored_reason="a\x1b[2J\x1b]0;x\x07b")
    path = tmp_path / "records.json"
    path.write_text(dump_records([make_record(), evil]))
    for command in (["recommend", path], ["report", path, "--out", tmp_path / "out"]):
        code, out, err = run(capsys, *command)
        assert code == 0
        assert not set(out + err) & {"\x1b", "\x07"}


def test_recommend_says_what_is_gained_over_the_floor(
    capsys: Capture, tmp_path: Path, make_record: Make
) -> None:
    words = {"scheme": "simplified", "precision": "fp32"}
    floor = Cell(encoder="tfidf", engine="linear", **words)
    encoder = Cell(encoder="minilm", engine="torch", **words)
    path = tmp_path / "records.json"
    records = [
        make_record(cell=floor, wrong=0.4, latency={}, size_bytes=2_000_000),
        make_record(cell=encoder, wrong=0.1, latency={}, size_bytes=22_000_000),
    ]
    path.write_text(dump_records(records))
    code, out, _ = run(capsys, "recommend", path)
    assert code == 0
    assert "over the floor" in out
    assert "points/MB" in out
    code, out, _ = run(capsys, "recommend", path, "--json")
    least, best = json.loads(out)[0]["options"]
    assert (least["over_floor"], least["points_per_cost"]) == (None, None)
    assert best["over_floor"]["low"] > 0
    assert best["points_per_cost"] == pytest.approx(100 * best["over_floor"]["point"] / 20)

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.cli.app import main
from goemo_eval.data.dataset import Split
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.records.decisions import pack_decisions
from goemo_eval.records.files import dump_records, read_records
from goemo_eval.records.schema import Data, Record, SplitData


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def one_line(err: str) -> str:
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("goemo-eval: ")
    return lines[0]


@pytest.mark.parametrize(
    "command", [None, "train", "evaluate", "report", "recommend", "gate", "doctor"]
)
def test_help_is_worth_reading(capsys: pytest.CaptureFixture[str], command: str | None) -> None:
    code, out, _ = run(capsys, *([command] if command else []), "--help")
    assert code == 0
    assert len(out.split()) > 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gat"], "No such command 'gat'"),
        (["gate", "--baselin", "x"], "No such option"),
        (["gate", "--baseline", "nowhere.json", "--candidate", "x"], "nowhere.json: cannot read"),
        (["train", "--scheme", "raw"], "Missing option '--encoder'"),
        (
            ["train", "--encoder", "bart", "--scheme", "raw"],
            "known are albert, distilbert, minilm, mobilebert",
        ),
        (["train", "--encoder", "minilm", "--scheme", "rwa"], "unknown scheme 'rwa'"),
        (
            ["train", "--encoder", "minilm", "--scheme", "raw", "--data", "nowhere"],
            "nor a directory",
        ),
        (
            ["train", "--encoder", "minilm", "--scheme", "raw", "--recipe", "x"],
            "unknown recipe 'x'",
        ),
        (
            ["train", "--encoder", "minilm", "--scheme", "raw", "--seed", "-1"],
            "Invalid value for '--seed'",
        ),
        (
            ["train", "--encoder", "albert", "--scheme", "raw"],
            "cannot fine-tune albert: no pretrained weights",
        ),
        (
            ["evaluate", "--encoder", "minilm", "--scheme", "raw", "--precision", "int4"],
            "known are fp32, int8",
        ),
        (
            ["evaluate", "--encoder", "minilm", "--scheme", "raw", "--checkpoint", "nowhere"],
            "no such checkpoint",
        ),
        (["report", "nowhere.json", "--out", "x"], "nowhere.json: cannot read"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if words[0] in ("train", "evaluate"):
        words = [*words, "--store", str(tmp_path / "store")]
    code, out, err = run(capsys, *words)
    assert code == 2
    assert out == ""
    assert message in one_line(err)


def test_no_benchmark_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "package.json"
    path.write_text('{"name": "left-pad"}')
    code, _, err = run(capsys, "report", path, "--out", tmp_path / "out")
    assert code == 2
    assert "neither a records.json nor a pytest-benchmark file" in one_line(err)


def test_malformed_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tsv_dir: Callable[..., Path]
) -> None:
    data = tsv_dir(train=b"fine\t3\ta\nbad\n")
    code, _, err = run(
        capsys,
        "train",
        "--encoder",
        "minilm",
        "--scheme",
        "raw",
        "--data",
        data,
        "--store",
        tmp_path / "s",
    )
    assert code == 2
    assert "train.tsv:2: 1 columns: expected 3" in one_line(err)


def test_interruption_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("goemo_eval.pipeline.checkpoints.fine_tune", interrupted)
    code, _, err = run(
        capsys, "train", "--encoder", "minilm", "--scheme", "raw", "--store", tmp_path / "s"
    )
    assert code == 2
    assert "the same command goes on" in one_line(err)


def test_train_evaluate_report_gate(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tsv_dir: Callable[..., Path],
    tiny_weights_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commands one after the other, on an encoder of one's own."""
    common = ["--encoder", "tiny", "--scheme", "raw", "--data", tsv_dir(), "--recipe", "sample"]
    common += ["--weights", f"tiny={tiny_weights_dir}"]
    store = ["--store", tmp_path / "store"]
    code, out, err = run(capsys, "train", *common, *store)
    assert (code, err) == (0, "")
    checkpoint = Path(out.strip())
    assert (checkpoint / "model.safetensors").is_file()
    code, out, _ = run(capsys, "train", *common, "--out", tmp_path / "mine")
    assert code == 0
    weights = [(p / "model.safetensors").read_bytes() for p in (checkpoint, tmp_path / "mine")]
    assert weights[0] == weights[1]  # same seed, same bits

    monkeypatch.setattr(
        "goemo_eval.pipeline.checkpoints.fine_tune", lambda *a, **k: pytest.fail("trained again")
    )
    for precision in ("fp32", "int8"):
        code, out, _ = run(capsys, "evaluate", *common, *store, "--precision", precision)
        assert code == 0
        assert f"tiny-raw-torch-{precision}" in out
        assert "Macro-F1 test" in out
    code, out, _ = run(capsys, "evaluate", *common, *store, "--json")
    records = tmp_path / "records.json"
    records.write_text(out)
    assert code == 0
    assert read_records(records)[0].cell.id == "tiny-raw-torch-fp32"

    code, out, _ = run(capsys, "report", records, "--out", tmp_path / "report")
    assert code == 0
    assert Path(out.strip()).is_file()
    code, out, _ = run(
        capsys, "gate", "--baseline", records, "--candidate", tmp_path / "report/records.json"
    )
    assert code == 0
    assert "pass" in out

    worse = json.loads(records.read_text())
    worse["records"][0]["scores"]["test"]["macro_f1"] = 0.0
    (tmp_path / "worse.json").write_text(json.dumps(worse))
    code, _, err = run(
        capsys, "gate", "--baseline", records, "--candidate", tmp_path / "worse.json", "--json"
    )
    assert code == 2  # a score that its own decisions contradict is no finding
    assert "macro_f1 0.0" in one_line(err)


def test_altered_checkpoint(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, minilm_raw: Checkpoint
) -> None:
    copy = Path(shutil.copytree(minilm_raw.path, tmp_path / "copy"))
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[1000] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    code, _, err = run(
        capsys, "evaluate", "--encoder", "minilm", "--scheme", "raw", "--checkpoint", copy
    )
    assert code == 2
    assert "model.safetensors: altered since it was written" in one_line(err)


def test_doctor(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "doctor", "--data", tmp_path)
    assert code == 0
    for word in (
        "isa flags",
        "threads",
        "torch",
        "INT8 by",
        "minilm",
        "pretrained, from package",
        "train.tsv",
    ):
        assert word in out
    assert "pass --weights albert=DIR" in out
    code, out, _ = run(capsys, "doctor", "--json")
    assert code == 0
    assert {"topic", "name", "state", "mend"} == set(json.loads(out)[0])


@pytest.fixture
def stored(tmp_path: Path, make_record: Callable[..., Record]) -> Path:
    path = tmp_path / "records.json"
    path.write_text(dump_records([make_record(), make_record("int8", size_bytes=20)]))
    return path


def test_recommend(capsys: pytest.CaptureFixture[str], stored: Path) -> None:
    code, out, err = run(capsys, "recommend", stored)
    assert (code, err) == (0, "")
    assert out.startswith("simplified: minilm-simplified-torch-int8: test Macro-F1")
    assert "With --max-mb below" in out
    code, out, _ = run(capsys, "recommend", stored, "--json")
    assert code == 0
    (answer,) = json.loads(out)
    assert answer["chosen"] == "minilm-simplified-torch-int8"
    code, out, _ = run(capsys, "recommend", stored, "--max-p95-ms", "1")
    assert code == 1
    assert "No cell keeps the limits." in out
    assert "or more: minilm-simplified-torch-int8" in out
    code, _, err = run(capsys, "recommend", stored, "--scheme", "rwa")
    assert code == 2
    assert "no such scheme in the records: they have simplified" in one_line(err)


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity"])
@pytest.mark.parametrize("command", ["report", "recommend"])
def test_a_smuggled_number_is_one_line(
    capsys: pytest.CaptureFixture[str], stored: Path, tmp_path: Path, number: str, command: str
) -> None:
    content = json.loads(stored.read_text())
    content["records"][0]["scores"]["test"]["macro_f1"] = "HERE"
    stored.write_text(json.dumps(content).replace('"HERE"', number))
    out = ["--out", tmp_path / "out"] if command == "report" else []
    code, _, err = run(capsys, command, stored, *out)
    assert code == 2
    assert str(stored) in one_line(err)
    assert not (tmp_path / "out").exists()


def test_report_with_texts(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    sample: dict[str, Split],
    make_record: Callable[..., Record],
) -> None:
    n = len(sample["test"])
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, n)
    data = Data(
        source="sample",
        revision=None,
        splits={name: SplitData(sha256=s.sha256, rows=len(s)) for name, s in sample.items()},
    )
    record = make_record(data=data, decisions=pack_decisions(truth, (truth + 1) % 3, 3))
    path, out = tmp_path / "records.json", tmp_path / "out"
    path.write_text(dump_records([record]))
    assert run(capsys, "report", path, "--out", out)[0] == 0
    assert "Texts of the worst labels" not in (out / "report.md").read_text()
    assert run(capsys, "report", path, "--out", out, "--with-texts", "sample")[0] == 0
    assert "Texts of the worst labels" in (out / "report.md").read_text()
    path.write_text(dump_records([make_record()]))
    code, _, err = run(capsys, "report", path, "--out", out, "--with-texts", "sample")
    assert code == 2
    assert "pass the data of the records" in one_line(err)

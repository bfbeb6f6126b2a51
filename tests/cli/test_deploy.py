"""``goemo-eval export`` and ``goemo-eval predict``: what they write, and what they refuse in a line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from goemo_eval.cli.app import main
from goemo_eval.deploy import streaming
from goemo_eval.records.files import dump_records, read_records

Capture = pytest.CaptureFixture[str]
CELL = "tfidf-raw-linear-int8"


class Measured(NamedTuple):
    records: Path
    store: Path


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """The floor, measured by the command line."""
    root = tmp_path_factory.mktemp("measured")
    words = ["evaluate", "--encoder", "tfidf", "--scheme", "raw", "--precision", "int8", "--json"]
    ended = subprocess.run(
        [sys.executable, "-m", "goemo_eval", *words, "--store", str(root / "store")],
        capture_output=True,
        text=True,
        check=True,
    )
    (root / "records.json").write_text(ended.stdout)
    return Measured(root / "records.json", root / "store")


def run(capsys: Capture, *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys: Capture, said: str, *words: object) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert said in err


@pytest.fixture(scope="module")
def bundle(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "bundle"
    words = ["export", CELL, "--records", measured.records, "--store", measured.store, "--out", out]
    assert main([str(word) for word in words]) == 0
    return out


def test_export_prints_the_directory(capsys: Capture, measured: Measured, tmp_path: Path) -> None:
    out = tmp_path / "a" / "bundle"
    code, printed, err = run(
        capsys,
        "export",
        CELL,
        "--records",
        measured.records,
        "--store",
        measured.store,
        "--out",
        out,
    )
    assert (code, printed, err) == (0, f"{out}\n", "")
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "artifact.json",
        "bundle.json",
        "model.safetensors",
        "vocabulary.json",
    ]
    info = json.loads((out / "bundle.json").read_text())
    (record,) = read_records(measured.records)
    assert set(info["times"]["latency"]) == set(record.latency)
    assert info["times"]["offline_texts_per_s"] > 0


def test_export_refuses(capsys: Capture, measured: Measured, tmp_path: Path, bundle: Path) -> None:
    records, store, out = measured.records, measured.store, tmp_path / "out"

    def asked(cell: str, records: Path, store: Path, out: Path) -> list[object]:
        return ["export", cell, "--records", records, "--store", store, "--out", out]

    refused(capsys, f"unknown cell 'x': known are {CELL}", *asked("x", records, store, out))
    refused(capsys, "exists already", *asked(CELL, records, store, bundle))
    refused(capsys, "has no whole artifact", *asked(CELL, records, tmp_path / "empty", out))
    refused(capsys, "cannot read", *asked(CELL, tmp_path / "no.json", store, out))
    (record,) = read_records(records)
    old = tmp_path / "old.json"
    old.write_text(dump_records([record.model_copy(update={"artifact": None})]))
    refused(capsys, "names no artifact: run the cell again", *asked(CELL, old, store, out))
    assert record.artifact is not None
    other = record.artifact.model_copy(update={"sha256": "0" * 64})
    old.write_text(dump_records([record.model_copy(update={"artifact": other})]))
    refused(capsys, "not the artifact that was measured", *asked(CELL, old, store, out))
    star = record.artifact.model_copy(update={"key": "*"})
    old.write_text(dump_records([record.model_copy(update={"artifact": star})]))
    refused(capsys, "has no whole artifact", *asked(CELL, old, store, out))
    assert not out.exists()


@pytest.mark.parametrize("name", ["key.json", "files.json", "content/vocabulary.json"])
@pytest.mark.parametrize("content", [b"{", b"[]", b'{"cell": 3}', None])
def test_a_damaged_artifact_is_not_exported(
    capsys: Capture, measured: Measured, tmp_path: Path, name: str, content: bytes | None
) -> None:
    store = Path(shutil.copytree(measured.store, tmp_path / "store"))
    (kept,) = (store / "artifacts").glob(f"{CELL}-*")
    if content is None:
        (kept / name).unlink()
    else:
        (kept / name).write_bytes(content)
    words = ["--records", measured.records, "--store", store, "--out", tmp_path / "out"]
    refused(capsys, "has no whole artifact", "export", CELL, *words)
    assert not (tmp_path / "out").exists()


def test_predict_prints_labels_or_json(capsys: Capture, bundle: Path) -> None:
    text = "thank you so much, I love it"
    code, plain, err = run(capsys, "predict", bundle, text)
    assert (code, err) == (0, "")
    code, out, _ = run(capsys, "predict", bundle, text, "--json")
    entry = json.loads(out)
    assert plain == ", ".join(f"{k} {entry['scores'][k]:.3f}" for k in entry["labels"]) + "\n"
    code, out, _ = run(capsys, "predict", bundle, text, "", "😂\0", "--top", 2, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [len(row["scores"]) for row in rows] == [2, 2, 2]
    assert rows[0]["labels"] == entry["labels"]
    code, out, _ = run(capsys, "predict", bundle, text, "--top", 3)
    assert len(out.split(", ")) == 3


def test_predict_refuses(capsys: Capture, bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "texts.txt"
    source.write_bytes(b"fine\n\xff\n")
    out = tmp_path / "out.jsonl"
    refused(capsys, "one of the two", "predict", bundle)
    refused(capsys, "one of the two", "predict", bundle, "text", "--input", source)
    refused(capsys, "belong to --input", "predict", bundle, "text", "--output", out)
    refused(capsys, "belong to --input", "predict", bundle, "text", "--resume")
    refused(capsys, "half a surrogate pair", "predict", bundle, "fine", "caf\udce9")
    refused(capsys, "no such bundle", "predict", tmp_path / "nowhere", "text")
    refused(capsys, "line 2: byte 0xff", "predict", bundle, "--input", source, "--output", out)
    refused(capsys, "unknown format 'xml'", "predict", bundle, "--input", source, "--format", "xml")
    refused(capsys, "no such file", "predict", bundle, "--input", tmp_path / "no.txt")
    refused(capsys, "--resume needs files", "predict", bundle, "--input", source, "--resume")
    refused(capsys, "--top", "predict", bundle, "text", "--top", "0")
    refused(capsys, "--threads", "predict", bundle, "text", "--threads", "0")


def test_an_interrupted_file_says_how_to_go_on(
    capsys: Capture, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "STRETCH", 10)
    source, whole, out = tmp_path / "texts.txt", tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(f"thanks {i}\n" for i in range(35)))
    assert run(capsys, "predict", bundle, "--input", source, "--output", whole)[0] == 0

    def interrupted(texts: Iterator[str]) -> Iterator[streaming.Stretch]:
        yield next(made(texts))
        raise KeyboardInterrupt

    made: Callable[[Iterator[str]], Iterator[streaming.Stretch]] = streaming.stretches_of
    words = ["predict", bundle, "--input", source, "--output", out]
    with monkeypatch.context() as patch:
        patch.setattr(streaming, "stretches_of", interrupted)
        refused(capsys, "interrupted: the same command with --resume goes on", *words)
    assert out.read_bytes().count(b"\n") == 10
    assert run(capsys, *words, "--resume")[0] == 0
    assert out.read_bytes() == whole.read_bytes()

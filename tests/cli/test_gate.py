from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.cli.app import main
from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.splits import Split
from goemo_eval.models.checkpoint import Checkpoint, sha256_of_file, write_manifest
from goemo_eval.models.encoders import Weights, get_encoder, load_tokenizer
from goemo_eval.models.recipes import load_recipe
from goemo_eval.models.writing import write_untrained
from goemo_eval.pipeline.evaluate import Workbench
from goemo_eval.pipeline.plan import Plan
from goemo_eval.records.files import dump_records
from goemo_eval.records.schema import Cell, Record

Make = Callable[..., Record]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def files(make_record: Make, tmp_path: Path) -> Callable[[Record, Record], list[object]]:
    """Write two records, and return the words that gate them."""

    def write(old: Record, new: Record) -> list[object]:
        paths = tmp_path / "old.json", tmp_path / "new.json"
        for path, record in zip(paths, (old, new), strict=True):
            path.write_text(dump_records([record]))
        return ["gate", "--baseline", paths[0], "--candidate", paths[1]]

    return write


Run = Callable[..., tuple[int, str, str]]
Files = Callable[[Record, Record], list[object]]


@pytest.mark.parametrize(
    ("wrong", "words", "code", "status"),
    [
        (0.2, [], 0, "pass"),
        (0.5, [], 1, "regression"),
        (0.22, ["--max-drop", "0.005"], 0, "inconclusive"),
        (0.22, ["--max-drop", "0.005", "--strict"], 3, "inconclusive"),
        (0.2, ["--mode", "noninferiority", "--strict"], 0, "pass"),
        (0.22, ["--mode", "noninferiority", "--strict"], 3, "inconclusive"),
        (0.5, ["--per-label", "--max-drop", "0.9"], 1, "regression"),
        (0.5, ["--max-drop", "0.9"], 0, "pass"),
        (0.2, ["--max-slowdown", "1.5"], 0, "pass"),
    ],
)
def test_exit_codes(
    run: Run,
    files: Files,
    make_record: Make,
    wrong: float,
    words: list[str],
    code: int,
    status: str,
) -> None:
    found, out, err = run(*files(make_record(), make_record(wrong=wrong)), *words)
    assert (found, err) == (code, "")
    assert f"\n{status}: " in out


def test_not_comparable_is_one_line_and_exit_code_2(
    run: Run, files: Files, make_record: Make
) -> None:
    other = make_record().model_copy(update={"dominance": "rare"})
    code, out, err = run(*files(make_record(), other))
    assert code == 2
    assert "NOT-COMPARABLE" in out
    assert err == (
        "goemo-eval: cell minilm-simplified-torch-fp32 is not comparable: dominance rule differs "
        "(frequent and rare)\n"
    )
    code, out, _ = run(*files(make_record(), other), "--json")
    assert code == 2
    assert json.loads(out)["cells"][0]["differing"] == [
        "dominance rule differs (frequent and rare)"
    ]


def test_an_unsupported_score_is_one_line(run: Run, files: Files, make_record: Make) -> None:
    old = make_record()
    assert old.scores is not None
    better = old.scores.model_copy(
        update={"test": old.scores.test.model_copy(update={"macro_f1": 0.99})}
    )
    code, out, err = run(*files(old, old.model_copy(update={"scores": better})))
    assert (code, out) == (2, "")
    assert "macro_f1 0.99" in err
    assert len(err.splitlines()) == 1


def test_what_continuous_integration_reads(
    run: Run, files: Files, make_record: Make, tmp_path: Path
) -> None:
    (tmp_path / "summary.md").write_text("# Before\n")
    code, out, err = run(
        *files(make_record(), make_record(wrong=0.5)),
        "--json",
        "--annotations",
        *("--summary", tmp_path / "summary.md"),
        *("--scores-json", tmp_path / "scores.json"),
        *("--latency-json", tmp_path / "latency.json"),
    )
    assert code == 1
    assert json.loads(out)["status"] == "regression"
    assert err.startswith("::error title=minilm-simplified-torch-fp32")
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("# Before\n## Macro-F1 gate: ❌ regression")
    assert len(json.loads((tmp_path / "scores.json").read_text())) == 1
    assert len(json.loads((tmp_path / "latency.json").read_text())) == 1


def test_baseline_set_show_diff(run: Run, files: Files, make_record: Make, tmp_path: Path) -> None:
    files(make_record(), make_record(wrong=0.3))
    path = tmp_path / "baselines" / "sample.json"
    code, out, err = run("baseline", "set", tmp_path / "old.json", "--out", path)
    assert (code, out, err) == (0, f"{path}: 1 cells\n", "")
    first = path.read_text()
    code, out, _ = run("baseline", "set", tmp_path / "new.json", "--out", path)
    assert code == 0
    assert "decisions differ" in out
    code, out, _ = run("baseline", "show", path)
    assert code == 0
    assert "minilm-simplified-torch-fp32" in out
    (tmp_path / "first.json").write_text(first)
    code, out, _ = run("baseline", "diff", tmp_path / "first.json", path)
    assert code == 0
    assert "joy: F1" in out
    code, out, _ = run("baseline", "diff", path, path)
    assert (code, out) == (0, "no score or decision differs\n")
    assert run("gate", "--baseline", path, "--candidate", tmp_path / "new.json")[0] == 0
    code, _, err = run("baseline", "set", tmp_path / "nowhere.json", "--out", path)
    assert code == 2
    assert "nowhere.json: cannot read" in err


def with_head(checkpoint: Checkpoint, path: Path, weight: np.ndarray) -> Checkpoint:
    """Copy a checkpoint, with another matrix in its classification head."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(checkpoint.path, path)
    tensors = load_file(path / "model.safetensors")
    tensors["classifier.weight"] = np.ascontiguousarray(weight, np.float32)
    tensors["classifier.bias"] = np.zeros_like(tensors["classifier.bias"])
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    changed = dataclasses.replace(
        checkpoint, path=path, sha256=sha256_of_file(path / "model.safetensors")
    )
    write_manifest(changed)
    return changed


def features(checkpoint: Checkpoint, weights: Weights, texts: list[str]) -> np.ndarray:
    """What the classification head sees of each text, shape (N, hidden size)."""
    import torch
    from transformers import BertForSequenceClassification

    encoded = load_tokenizer(weights)(texts, padding=True, return_tensors="pt")
    encoder = BertForSequenceClassification.from_pretrained(checkpoint.path).bert
    with torch.inference_mode():
        return np.asarray(encoder(**encoded).pooler_output)


def test_a_checkpoint_made_worse_on_purpose_fails(
    run: Run,
    tmp_path: Path,
    tsv_dir: Callable[..., Path],
    short_sample: dict[str, Split],
    minilm_weights: Weights,
) -> None:
    """A head solved for the very texts that are scored, and the same head under noise."""
    split = short_sample["train"]
    plain = write_untrained(
        get_encoder("minilm"),
        get_scheme("raw"),
        weights=minilm_weights,
        out=tmp_path / "plain",
        max_length=128,
        seed=0,
    )
    seen = features(plain, minilm_weights, list(split.texts))
    ridge = seen.T @ seen + 0.1 * np.eye(seen.shape[1])
    solved = np.linalg.solve(ridge, seen.T @ np.where(split.labels, 4.0, -4.0)).T
    noise = np.random.default_rng(0).normal(size=solved.shape) * solved.std()
    good = with_head(plain, tmp_path / "good", solved)
    bad = with_head(plain, tmp_path / "bad", solved + 3 * noise)
    data = tsv_dir()
    (data / "test.tsv").write_bytes((data / "train.tsv").read_bytes())
    paths = []
    for checkpoint in (good, bad):
        plan = Plan(
            source=data,
            recipe=load_recipe("sample"),
            store=tmp_path / "store",
            threads=1,
            checkpoints={("minilm", "raw"): checkpoint.path},
            split_budget_s=0.0,
        )
        cell = Cell(encoder="minilm", scheme="raw", engine="torch", precision="fp32")
        with Workbench(plan) as workbench:
            paths.append(checkpoint.path / "records.json")
            paths[-1].write_text(dump_records([workbench.measure(cell)]))
    baseline = tmp_path / "baseline.json"
    assert run("baseline", "set", paths[0], "--out", baseline)[0] == 0
    assert run("gate", "--baseline", baseline, "--candidate", paths[0])[0] == 0
    code, out, err = run("gate", "--baseline", baseline, "--candidate", paths[1])
    assert (code, err) == (1, ""), out
    assert "minilm-raw-torch-fp32: regression: the drop is at least 0." in out

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.cli.app import main
from goemo_eval.data.dataset import Split
from goemo_eval.data.goemotions import EMOTIONS
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.models.weights import Weights, load_tokenizer
from goemo_eval.records.decisions import pack_decisions
from goemo_eval.records.files import dump_records
from goemo_eval.records.schema import Cell, Record, SplitScores

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
    assert "macro_f1, 0.99, does not follow from" in err
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


def test_what_cells_and_runs_share(run: Run, make_record: Make, tmp_path: Path) -> None:
    """One loss among two cells: seen alone, not sure among two, seen per cell, not over many runs."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(dump_records([make_record(), make_record("int8")]))
    new.write_text(dump_records([make_record(wrong=0.235), make_record("int8")]))
    words = ["gate", "--baseline", old, "--candidate", new, "--max-drop", "0.004"]
    codes = {
        option: run(*words, *option.split())[0]
        for option in ("", "--alpha-per-cell", "--horizon 500", "--horizon 500 --alpha 0.49")
    }
    assert codes[""] == codes["--alpha-per-cell"] == 1
    assert codes["--horizon 500"] == codes["--horizon 500 --alpha 0.49"] == 0
    _, out, _ = run(*words, "--horizon", "500", "--strict")
    assert "95% sure for 2 comparisons and 500 runs together" in out
    assert "alpha 0.05 for 2 comparisons and 500 runs together, superiority" in out
    content = json.loads(run(*words, "--json")[1])
    assert [cell["alpha"] for cell in content["cells"]] == [0.025, 0.05]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-drop", "nan"], "max_drop must lie in [0, 1]: got nan"),
        (["--max-drop", "-0.1"], "max_drop must lie in [0, 1]: got -0.1"),
        (["--alpha", "nan"], "alpha must lie between 0 and 0.5: got nan"),
        (["--alpha", "0.5"], "alpha must lie between 0 and 0.5: got 0.5"),
        (["--horizon", "0"], "horizon must be a whole number from 1 to 1,000,000: got 0"),
        (["--horizon", "10000001"], "horizon must be a whole number"),
        (["--max-drift", "inf"], "max_drift must lie in [0, 1]: got inf"),
        (["--max-label-drop", "nan"], "max_label_drop must lie in [0, 1]: got nan"),
        (["--per-label", "--max-label-drop", "2"], "max_label_drop must lie in [0, 1]: got 2.0"),
        (["--max-slowdown", "nan"], "max_slowdown must be above 0: got nan"),
        (["--min-speedup", "0"], "min_speedup must be above 0: got 0.0"),
        (["--count"], "keep no count of runs: make one with goemo-eval baseline set"),
    ],
)
def test_a_slip_is_one_line_and_exit_code_2(
    run: Run, files: Files, make_record: Make, words: list[str], message: str
) -> None:
    code, out, err = run(*files(make_record(), make_record()), *words)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def features(weights: Weights, texts: Sequence[str]) -> np.ndarray:
    """What a classification head on MiniLM sees of each text, shape (N, hidden size)."""
    import torch
    from transformers import AutoModel

    encoded = load_tokenizer(weights)(list(texts), padding=True, return_tensors="pt")
    with torch.inference_mode():
        return np.asarray(AutoModel.from_pretrained(weights.path)(**encoded).pooler_output)


def deciding(record: Record, split: Split, logits: np.ndarray) -> Record:
    """The record of a model whose head gives these logits."""
    targets, guess = split.labels.astype(bool), logits > 0
    scores = score_predictions(targets, guess, labels=EMOTIONS)
    return record.model_copy(
        update={
            "cell": record.cell.model_copy(update={"scheme": "raw"}),
            "kind": "multilabel",
            "labels": EMOTIONS,
            "scores": SplitScores(validation=scores, test=scores),
            "decisions": pack_decisions(targets, guess, len(EMOTIONS)),
        }
    )


def test_a_model_made_worse_on_purpose_fails(
    run: Run,
    files: Files,
    make_record: Make,
    tmp_path: Path,
    short_sample: dict[str, Split],
    minilm_weights: Weights,
) -> None:
    """MiniLM with a head solved for the very texts that are scored, and the same head under noise."""
    split = short_sample["test"]
    seen = features(minilm_weights, split.texts)
    ridge = seen.T @ seen + 0.1 * np.eye(seen.shape[1])
    solved = np.linalg.solve(ridge, seen.T @ np.where(split.labels, 4.0, -4.0))
    noise = np.random.default_rng(0).normal(size=solved.shape) * solved.std()
    good, bad = (
        deciding(make_record(), split, seen @ head) for head in (solved, solved + 3 * noise)
    )
    files(good, bad)
    baseline, old, new = tmp_path / "b.json", tmp_path / "old.json", tmp_path / "new.json"
    assert run("baseline", "set", old, "--out", baseline)[0] == 0
    assert run("gate", "--baseline", baseline, "--candidate", old)[0] == 0
    code, out, err = run("gate", "--baseline", baseline, "--candidate", new)
    assert (code, err) == (1, ""), out
    assert "minilm-raw-torch-fp32: regression: the drop is at least 0." in out


def test_another_encoder_in_the_place_of_one(run: Run, make_record: Make, tmp_path: Path) -> None:
    cell = Cell(encoder="tfidf", scheme="simplified", engine="linear", precision="fp32")
    floor, encoder = make_record(cell=cell, wrong=0.35), make_record(wrong=0.15)
    path = tmp_path / "records.json"
    path.write_text(dump_records([floor, encoder]))
    words = ["gate", "--baseline", path, "--candidate", path]
    code, out, _ = run(*words, "--pair", f"{encoder.cell.id}={floor.cell.id}")
    assert code == 1
    assert "tfidf-simplified-linear-fp32 was judged in the place of minilm-simplified" in out
    code, out, _ = run(*words, "--pair", f"{floor.cell.id}={encoder.cell.id}")
    assert code == 0
    code, _, err = run(*words, "--pair", "tfidf")
    assert code == 2
    assert err.count("\n") == 1
    assert "--pair tfidf: expected BASELINE_CELL=CANDIDATE_CELL" in err

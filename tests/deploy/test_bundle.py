"""What is measured is what is taken home, bit for bit; what is not whole is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.data.sources import load_dataset
from goemo_eval.deploy import streaming
from goemo_eval.deploy.bundle import Bundle, describe_cell, load_bundle, write_bundle
from goemo_eval.deploy.card import card
from goemo_eval.deploy.streaming import predict_file
from goemo_eval.errors import BundleError, DataError
from goemo_eval.models.recipes import load_recipe
from goemo_eval.pipeline.assemble import measure
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.steps import Run, artifact
from goemo_eval.pipeline.store import Store
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Cell, Record

CELLS = [
    Cell.model_validate({"encoder": e, "scheme": s, "engine": n, "precision": p})
    for e, s, n, p in (
        ("tfidf", "raw", "linear", "int8"),
        ("tiny", "raw", "torch", "int8"),
        ("tiny", "simplified", "onnxruntime", "int8"),
        ("tiny", "raw", "openvino", "fp32"),
    )
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_weights_dir: Path) -> Run:
    sample = load_dataset("sample")
    recipe = load_recipe("sample").model_copy(
        update={"name": "small", "epochs": 1, "max_length": 48}
    )
    plan = Plan(sample, recipe, threads=2, weights={"tiny": tiny_weights_dir}, int8_repair="never")
    return Run(plan, Store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def bundle_of(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Cell], tuple[Path, Record]]:
    made: dict[Cell, tuple[Path, Record]] = {}

    def call(cell: Cell) -> tuple[Path, Record]:
        if cell not in made:
            record = measure(run, cell)
            files = artifact(run, cell).content
            info = describe_cell(record, files)
            out = tmp_path_factory.mktemp("bundle") / cell.id
            made[cell] = write_bundle(files, info, card(info), out), record
        return made[cell]

    return call


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_a_bundles_decisions_are_the_records(
    run: Run, bundle_of: Callable[[Cell], tuple[Path, Record]], cell: Cell, tmp_path: Path
) -> None:
    path, record = bundle_of(cell)
    assert record.decisions is not None
    expected = unpack_decisions(record.decisions)[1]
    texts = run.plan.task(cell.scheme).texts["test"]
    bundle = load_bundle(path, threads=2)
    np.testing.assert_array_equal(bundle.decisions(bundle.probabilities(texts)), expected)

    source, target = tmp_path / "texts.jsonl", tmp_path / "labels.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert predict_file(bundle, str(source), str(target)) == len(texts)
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    for row, truth in zip(rows, expected, strict=True):
        assert set(row["labels"]) == {bundle.info.labels[k] for k in np.flatnonzero(truth)}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: bundle.predict(texts[:3]), range(8)))
    assert all(each == found[0] for each in found)


@pytest.fixture
def floor(bundle_of: Callable[[Cell], tuple[Path, Record]], tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(bundle_of(CELLS[0])[0], tmp_path / "bundle"))


def test_a_bundle_that_is_not_whole_is_refused(floor: Path, tmp_path: Path) -> None:
    info = json.loads((floor / "bundle.json").read_text())

    def refused(said: str) -> None:
        with pytest.raises(BundleError, match=said):
            load_bundle(floor)

    (floor / "more.txt").write_text("x")
    refused("not listed")
    (floor / "more.txt").unlink()
    (floor / "README.md").write_text("altered")
    refused("altered")
    for change, said in (
        ({"schema_version": 9}, "schema_version 9"),
        ({"thresholds": None}, "thresholds"),
        ({"thresholds": [0.5]}, "1 thresholds for 28"),
        ({"files": {"../x": "0"}}, "leaves the directory"),
        ({"labels": []}, "labels"),
    ):
        (floor / "bundle.json").write_text(json.dumps(info | change))
        refused(said)
    (floor / "bundle.json").write_text("{")
    refused("not JSON")
    with pytest.raises(BundleError, match="no such bundle"):
        load_bundle(tmp_path / "nowhere")


def test_an_artifact_that_was_not_measured_is_not_exported(
    run: Run, bundle_of: Callable[[Cell], tuple[Path, Record]]
) -> None:
    _, record = bundle_of(CELLS[0])
    other = artifact(run, CELLS[0].at("fp32")).content
    with pytest.raises(BundleError, match="not the one that was measured"):
        describe_cell(record, other)
    with pytest.raises(BundleError, match="was not scored"):
        describe_cell(record.model_copy(update={"scores": None}), other)


def test_texts_of_all_kinds_are_answered_or_named(floor: Path, tmp_path: Path) -> None:
    bundle = load_bundle(floor)
    assert len(bundle.predict(["", "x" * 1_000_000, "😂\x00", "thank you"])) == 4
    assert bundle.predict([]) == []
    with pytest.raises(TypeError):
        bundle.predict("one text")
    source = tmp_path / "bad.jsonl"
    source.write_text('{"text": "fine"}\n{"text": "\\ud83d"}\n')
    with pytest.raises(DataError, match="row 2"):
        predict_file(bundle, str(source), str(tmp_path / "out"))
    source.write_text('{"text": 3}\n')
    with pytest.raises(DataError, match="line 1: no text"):
        predict_file(bundle, str(source), str(tmp_path / "out"))
    csv = tmp_path / "bad.csv"
    csv.write_text("body\nx\n")
    with pytest.raises(DataError, match="no column 'text'"):
        predict_file(bundle, str(csv), str(tmp_path / "out"))


def test_an_interrupted_file_goes_on_at_a_whole_stretch(
    floor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "STRETCH", 16)
    bundle: Bundle = load_bundle(floor)
    source = tmp_path / "texts.txt"
    source.write_text("".join(f"text number {i} thank you\n" for i in range(70)))
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    assert predict_file(bundle, str(source), str(whole)) == 70
    cut.write_bytes(whole.read_bytes()[: len(whole.read_bytes()) // 2])
    assert 70 - 48 <= predict_file(bundle, str(source), str(cut), resume=True) < 70
    assert cut.read_bytes() == whole.read_bytes()
    with pytest.raises(DataError, match="--resume needs files"):
        predict_file(bundle, "-", str(cut), resume=True)


ALONE = """
import json, sys
from goemo_eval import load_bundle
print(load_bundle(sys.argv[1]).predict(["thank you"])[0].labels)
heavy = {"torch", "transformers", "scipy", "sklearn", "pandas", "datasets"}
print(sorted(heavy & {name.split(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("cell", [CELLS[0], CELLS[2], CELLS[3]], ids=lambda cell: cell.id)
def test_a_bundle_needs_neither_torch_nor_transformers(
    bundle_of: Callable[[Cell], tuple[Path, Record]], cell: Cell
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, str(bundle_of(cell)[0])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_card_is_read_by_the_hub(bundle_of: Callable[[Cell], tuple[Path, Record]]) -> None:
    import yaml

    path, record = bundle_of(CELLS[2])
    _, head, body = (path / "README.md").read_text().split("---\n", 2)
    entry = yaml.safe_load(head)
    assert record.scores is not None
    (result,) = entry["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == record.scores.test.macro_f1
    assert "licence" in body.lower()

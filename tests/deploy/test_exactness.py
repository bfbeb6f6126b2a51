"""What is deployed decides as what was measured, bit for bit: from Python, the command line and plain runtimes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from goemo_eval.cli.app import main
from goemo_eval.cpu import has_bf16_products
from goemo_eval.deploy.bundle import load_bundle
from goemo_eval.engines.onnxruntime import SLOW_FUSION
from goemo_eval.pipeline.fitting import Run
from goemo_eval.pipeline.steps import predict
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record

BundleOf = Callable[[str], tuple[Path, Record]]
ENGINES = ("torch", "onnxruntime", "openvino")
PLAIN = [
    f"tiny-{kind}"
    for engine in ("onnxruntime", "openvino")
    for kind in (f"raw-{engine}-fp32", f"raw-{engine}-int8", f"simplified-{engine}-int8")
]
BF16 = [
    "tiny-raw-torch-bf16",
    "tiny-raw-openvino-bf16",
    "tiny+tfidf-raw-torch-bf16",
] * has_bf16_products()
CELLS = [
    *(f"tfidf-{s}-linear-{p}" for s in ("raw", "simplified") for p in ("fp32", "int8")),
    *(f"tiny-{s}-torch-{p}" for s in ("raw", "simplified") for p in ("fp32", "int8")),
    *(f"tiny+tfidf-raw-{e}-{p}" for e in ENGINES for p in ("fp32", "int8")),
    "tiny+tfidf-simplified-torch-int8",
    *PLAIN,
    *BF16,
]


def decisions_of(record: Record) -> npt.NDArray[np.bool_]:
    assert record.decisions is not None
    return unpack_decisions(record.decisions)[1]


def indicator(labels: list[list[str]], info: Any) -> npt.NDArray[np.bool_]:
    return np.array([[label in row for label in info.labels] for row in labels])


@pytest.mark.parametrize("cell_id", CELLS)
def test_python_and_command_line_decide_as_was_scored(
    small_run: Run, bundle_of: BundleOf, tmp_path: Path, cell_id: str
) -> None:
    path, record = bundle_of(cell_id)
    expected = decisions_of(record)
    texts = small_run.plan.task(record.cell.scheme).texts["test"]
    bundle = load_bundle(path, threads=2)
    np.testing.assert_array_equal(bundle.decide(bundle.logits(texts)), expected)
    found = bundle.predict(texts)
    np.testing.assert_array_equal(indicator([list(p.labels) for p in found], bundle.info), expected)
    np.testing.assert_array_equal(
        [list(p.scores.values()) for p in found], bundle.probabilities(texts)
    )

    source, target = tmp_path / "texts.jsonl", tmp_path / "labels.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    words = ["predict", path, "--input", source, "--output", target, "--threads", 2]
    assert main([str(word) for word in words]) == 0
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["row"] for row in rows] == list(range(1, len(texts) + 1))
    np.testing.assert_array_equal(indicator([row["labels"] for row in rows], bundle.info), expected)


INT8 = [f"{encoder}-raw-{e}-int8" for encoder in ("tiny", "tiny+tfidf") for e in ENGINES]


@pytest.mark.parametrize("cell_id", ["tfidf-raw-linear-int8", *INT8])
def test_a_text_alone_gets_the_logits_of_served_agreement(
    small_run: Run, bundle_of: BundleOf, cell_id: str
) -> None:
    path, record = bundle_of(cell_id)
    texts = small_run.plan.task("raw").texts["test"]
    bundle = load_bundle(path, threads=2)
    alone = np.concatenate([bundle.logits([text]) for text in texts])
    expected = predict(small_run, record.cell).logits("test", single=True)
    np.testing.assert_array_equal(alone, expected)
    assert record.served is not None
    agreement = float((bundle.decide(alone) == decisions_of(record)).mean())
    assert record.served.agreement == pytest.approx(agreement)


def code_of(path: Path, says: str) -> str:
    """Return the block of a card's code that says something."""
    blocks = re.findall(r"```python\n(.*?)```", (path / "README.md").read_text(), re.DOTALL)
    (found,) = [block for block in blocks if says in block]
    return str(found)


def run_in(path: Path, code: str, **given: object) -> Any:
    """Run a card's code in a bundle, in a process that finds neither this library nor torch."""
    forbidden = "import sys\nfor name in ('goemo_eval', 'torch', 'transformers'): sys.modules[name] = None\n"
    read = "import json as given_json\ngiven = given_json.load(sys.stdin)\n"
    ended = subprocess.run(
        [sys.executable, "-c", f"{forbidden}{read}{code}\nprint(given_json.dumps(labels))"],
        cwd=path,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize("cell_id", PLAIN)
def test_plain_runtimes_decide_as_was_scored(
    small_run: Run, bundle_of: BundleOf, cell_id: str
) -> None:
    path, record = bundle_of(cell_id)
    code = code_of(path, "Tokenizer")
    assert len(run_in(path, code)) == 2
    shown = '["a text", "another one"]'
    assert code.count(shown) == 1
    if record.cell.engine == "onnxruntime":  # which a model as small as this would not show
        assert f'"disabled_optimizers": ["{SLOW_FUSION}"]' in code
    texts = list(small_run.plan.task(record.cell.scheme).texts["test"])
    asked = code.replace(shown, 'given["texts"]')
    both = f"{asked}\nlabels = [labels, logits.tolist()]"
    found, logits = run_in(path, both, texts=texts)
    labels = found if record.kind == "multilabel" else [[label] for label in found]
    bundle = load_bundle(path)
    np.testing.assert_array_equal(indicator(labels, bundle.info), decisions_of(record))
    # Equal decisions may be luck: a session with one fusion more moves INT8's logits by a tenth.
    np.testing.assert_allclose(logits, bundle.logits(texts), atol=1e-5)


def test_our_own_code_on_the_card(
    bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = bundle_of("tfidf-raw-linear-int8")
    monkeypatch.chdir(path)
    exec(compile(code_of(path, "load_bundle"), "card", "exec"), {})
    assert capsys.readouterr().out.startswith("(")


@pytest.mark.parametrize("scheme", ["raw", "simplified"])
def test_the_fp32_weights_in_a_plain_pipeline(
    small_run: Run, bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    path, record = bundle_of(f"tiny-{scheme}-torch-fp32")
    monkeypatch.chdir(path)
    texts = list(small_run.plan.task(scheme).texts["test"])
    code = code_of(path, "pipeline").replace('["a text", "another one"]', "texts")
    found: dict[str, Any] = {"texts": texts}
    exec(compile(code, "card", "exec"), found)
    bundle = load_bundle(path, threads=2)
    expected = [[(k, v) for k, v in p.top(None).items()] for p in bundle.predict(texts)]
    for row, own in zip(found["scores"], expected, strict=True):
        theirs = {score["label"]: score["score"] for score in row}
        np.testing.assert_allclose([theirs[k] for k, _ in own], [v for _, v in own], atol=1e-5)
    labels = found["labels"] if scheme == "raw" else [[label] for label in found["labels"]]
    differing = indicator(labels, bundle.info) != decisions_of(record)
    # It batches and rounds otherwise: only what lies on a threshold may fall to its other side.
    distance = np.abs(bundle.probabilities(texts) - np.array(bundle.info.thresholds or 2.0))
    assert distance[differing].max(initial=0) < 1e-5


@pytest.mark.parametrize(
    "cell_id",
    [
        "tfidf-raw-linear-int8",
        *INT8,
    ],
)
def test_threads_that_share_a_bundle_get_what_one_gets(
    small_run: Run, bundle_of: BundleOf, cell_id: str
) -> None:
    texts = small_run.plan.task("raw").texts["test"]
    bundle = load_bundle(bundle_of(cell_id)[0], threads=2)
    shares = [texts[:1], texts[:40], texts[40:], texts[::3]] * 3
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(bundle.logits, shares))
    for share, logits in zip(shares, found, strict=True):
        np.testing.assert_array_equal(logits, bundle.logits(share))


ALONE = """
import json, sys
from goemo_eval import load_bundle
print(load_bundle(sys.argv[1]).predict(["thank you"])[0].labels)
heavy = {"torch", "transformers", "scipy", "sklearn", "pandas", "datasets", "huggingface_hub", "cpuinfo"}
print(sorted(heavy & {name.split(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize(
    "cell_id", ["tfidf-raw-linear-int8", "tiny-raw-onnxruntime-int8", "tiny-raw-openvino-int8"]
)
def test_a_bundle_needs_neither_torch_nor_transformers(bundle_of: BundleOf, cell_id: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, str(bundle_of(cell_id)[0])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "[]"

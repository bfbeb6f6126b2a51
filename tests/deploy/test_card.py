"""The model card: what the hub reads, and what a person is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from goemo_eval.deploy.card import card
from goemo_eval.deploy.description import LatencyTimes, read_bundle
from goemo_eval.records.schema import Record

BundleOf = Callable[[str], tuple[Path, Record]]


@pytest.mark.parametrize(
    "cell_id",
    [
        "tiny-raw-onnxruntime-int8",
        "tiny-simplified-openvino-int8",
        "tiny-simplified-torch-fp32",
        "tfidf-raw-linear-int8",
    ],
)
def test_the_hub_reads_its_head(bundle_of: BundleOf, cell_id: str) -> None:
    path, record = bundle_of(cell_id)
    found = ModelCard.load(path / "README.md")
    (macro, micro) = found.data.eval_results
    assert record.scores is not None
    assert (macro.metric_type, macro.metric_value) == ("f1", record.scores.test.macro_f1)
    assert micro.metric_value == record.scores.test.micro_f1
    assert (macro.task_type, macro.dataset_name) == ("text-classification", "sample")
    assert found.data.pipeline_tag == "text-classification"
    assert found.data.license is None
    assert "license: state it here" in (path / "README.md").read_text()
    plain = cell_id.endswith("torch-fp32")
    assert found.data.library_name == ("transformers" if plain else "goemo-eval")


def test_names_cannot_break_out(bundle_of: BundleOf) -> None:
    info = read_bundle(bundle_of("tfidf-raw-linear-int8")[0])
    name = 'a: "b"\n---\n<script>|`x`'
    labels = (name, *info.labels[1:])
    scores = info.scores.model_copy(
        update={"per_label": dict(zip(labels, info.scores.per_label.values(), strict=True))}
    )
    data = info.data.model_copy(update={"name": name})
    text = card(info.model_copy(update={"labels": labels, "scores": scores, "data": data}))
    _, head, body = text.split("---\n", 2)
    (result,) = yaml.safe_load(head)["model-index"][0]["results"]
    assert result["dataset"]["name"] == name
    assert "<script>" not in body
    rows = [line for line in body.splitlines() if line.startswith("| a: ")]
    assert len(rows) == 1


def test_a_person_is_told_what_it_scores_takes_and_cannot(bundle_of: BundleOf) -> None:
    path, record = bundle_of("tiny-raw-onnxruntime-int8")
    info = read_bundle(path)
    text = (path / "README.md").read_text()
    assert record.scores is not None
    for label in record.scores.test.per_label:
        assert f"| {label.label} | {label.precision:.3f} | {label.recall:.3f} |" in text
    for said in ("Intended use", "Licence", "95 % interval over 96 texts", "cut to 48 tokens"):
        assert said in text
    assert "One text at a time" in text
    assert "Fewer than 30 test texts" in text
    assert "- not taken" not in text  # memory and start are known without times

    times = {
        "single": LatencyTimes(
            batch_size=1, p50_s=0.004, p95_s=0.005, p99_s=None, times=50, stable=True
        ),
        "real": LatencyTimes(
            batch_size=32, p50_s=0.05, p95_s=0.06, p99_s=0.07, times=500, stable=False
        ),
    }
    text = card(
        info.model_copy(
            update={
                "times": info.times.model_copy(
                    update={"latency": times, "offline_texts_per_s": 1234.5}
                )
            }
        )
    )
    assert "single, a text: p50 4.0 ms, p95 5.0 ms\n" in text
    assert "p99 70.0 ms, **unstable**" in text
    assert "1,234 texts a second" in text


@pytest.mark.parametrize("cell_id", ["tiny-raw-torch-int8", "tiny-raw-torch-fp32"])
def test_plain_transformers_is_only_shown_where_it_reads_the_same(
    bundle_of: BundleOf, cell_id: str
) -> None:
    info = read_bundle(bundle_of(cell_id)[0])
    assert ("from transformers import pipeline" in card(info)) == (info.precision == "fp32")
    text = card(info.model_copy(update={"pooling": "mean"}))
    assert "from transformers import pipeline" not in text
    assert "otherwise than they are meant" in text
    assert "library_name: goemo-eval" in text


def test_beside_the_floor_an_engine_alone_is_not_the_model(bundle_of: BundleOf) -> None:
    path, _ = bundle_of("tiny+tfidf-raw-onnxruntime-fp32")
    info, text = read_bundle(path), (path / "README.md").read_text()
    assert info.floor_weight is not None
    assert f"{info.floor_weight:.0%} those of a linear model of n-grams beside it" in text
    assert "import onnxruntime" not in text
    assert "this library adds the floor's logits" in text
    assert "import onnxruntime" in card(info.model_copy(update={"floor_weight": None}))

"""The search that repairs INT8, on a real MiniLM whose INT8 collapses, and on scores made up."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goemo_eval.pipeline.evaluate import Workbench
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.data.dataset import Split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.engines.base import Layer
from goemo_eval.engines.registry import load_classifier
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint, write_manifest
from goemo_eval.models.encoders import Weights, get_encoder
from goemo_eval.models.recipes import load_recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.repair import rank_layers, search_precision
from goemo_eval.records.schema import Cell

OUTLIER, CHANNELS = 100.0, 4


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    sample: dict[str, Split],
    minilm_weights: Weights,
    head_of: Callable[[Split, int], Split],
) -> Checkpoint:
    """MiniLM fine-tuned long enough on the sample for a Macro-F1 that can collapse."""
    return fine_tune(
        get_encoder("minilm"),
        get_scheme("sentiment"),
        head_of(sample["train"], 512),
        recipe=load_recipe("sample").model_copy(update={"name": "short", "epochs": 2}),
        weights=minilm_weights,
        out=tmp_path_factory.mktemp("minilm") / "sentiment",
    )


@pytest.fixture(scope="module")
def with_outliers(trained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The same function with outliers in it.

    Value channels grow and the output projection's columns shrink; query channels grow and the
    key's shrink. The products, and so the logits in FP32, stay what they were.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(trained.path)
    rng = np.random.default_rng(0)
    for layer in model.bert.encoder.layer:
        attention = layer.attention.self
        grown, same = (
            rng.choice(attention.value.out_features, CHANNELS, replace=False) for _ in "vq"
        )
        for linear, rows, factor in (
            (attention.value, grown, OUTLIER),
            (attention.query, same, OUTLIER),
            (attention.key, same, 1 / OUTLIER),
        ):
            linear.weight.data[rows] *= factor
            linear.bias.data[rows] *= factor
        layer.attention.output.dense.weight.data[:, grown] /= OUTLIER
    out = tmp_path_factory.mktemp("outliers")
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(trained.path).save_pretrained(out)
    write_manifest(replace(trained, path=out))
    return read_checkpoint(out)


def test_int8_that_collapses_is_repaired_with_most_weights_in_int8(
    trained: Checkpoint, with_outliers: Checkpoint, sample: dict[str, Split], tmp_path: Path
) -> None:
    texts = sample["validation"].texts
    before, after = (load_classifier(c).logits(texts) for c in (trained, with_outliers))
    np.testing.assert_allclose(after, before, atol=1e-4)  # FP32 does not see the outliers

    plan = Plan(
        source="sample",
        recipe=load_recipe("sample"),
        store=tmp_path / "store",
        checkpoints={("minilm", "sentiment"): with_outliers.path},
        split_budget_s=0.0,
    )
    cell = Cell(encoder="minilm", scheme="sentiment", engine="torch", precision="int8")
    with Workbench(plan) as bench:
        int8, fp32 = bench.measure(cell), bench.measure(cell.at("fp32"))
        names = {layer.name for layer in bench.model(cell).layers}
    search = int8.precision_search
    assert search is not None
    assert fp32.scores is not None
    assert int8.scores is not None
    reference = fp32.scores.validation.macro_f1
    assert reference > 0.35  # a real score, which can fall
    assert search.plain_validation_macro_f1 < reference - 0.03  # and fell
    assert search.within_budget
    assert int8.scores.validation.macro_f1 == search.validation_macro_f1
    assert search.validation_macro_f1 >= reference - 0.01
    assert search.int8_share >= 0.5
    assert 1 <= len(int8.kept_fp32) < len(names) / 2
    assert set(int8.kept_fp32) <= names
    assert int8.size_bytes < 0.7 * fp32.size_bytes


class Made:
    """A model whose layers each cost some Macro-F1 unless they stay in FP32."""

    def __init__(self, costs: list[float]) -> None:
        self.costs = dict(zip((f"layer{i}" for i in range(len(costs))), costs, strict=True))
        self.layers = tuple(Layer(name, 10) for name in self.costs)
        self.made = 0

    def classifier(self, precision: str, *, kept_fp32: Collection[str] = ()) -> Any:
        self.made += 1
        lost = sum(c for name, c in self.costs.items() if name not in set(kept_fp32))
        lost = 0.0 if precision == "fp32" else lost

        class Fixed:
            def logits(self, texts: Any) -> np.ndarray:
                return np.full((len(texts), 1), lost)

        return Fixed()


def test_a_layer_that_costs_few_weights_is_kept_before_one_that_costs_many() -> None:
    model = Made([0.2, 0.3])
    model.layers = (Layer("layer0", 10), Layer("layer1", 40))
    assert rank_layers(model, ["a"]) == ("layer0", "layer1")


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=60), st.floats(0.0, 1.0))
def test_search_finds_the_shortest_head_that_is_good_enough(
    costs: list[float], allowed: float
) -> None:
    model = Made(costs)
    ranking = rank_layers(model, ["a"])
    assert list(ranking) == sorted(ranking, key=lambda name: -model.costs[name])
    model.made = 0
    found = search_precision(
        model,
        ranking,
        ["a"],
        lambda logits: 1 - float(logits[0, 0]),
        least=1 - allowed * sum(costs),
    )
    heads = [1 - sum(model.costs[n] for n in ranking[k:]) for k in range(len(costs) + 1)]
    enough = [k for k in range(1, len(costs) + 1) if heads[k] >= 1 - allowed * sum(costs)]
    assert found.kept_fp32 == ranking[: enough[0] if enough else len(costs)]
    assert found.passes == model.made <= 2 * np.log2(len(costs) + 1) + 2
    assert found.int8_share == pytest.approx(1 - len(found.kept_fp32) / len(costs))
    assert found.seconds > 0

"""The repair of INT8: on a real MiniLM whose INT8 collapses, in every engine; and on scores made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.data.dataset import Split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.engines.artifact import Variant
from goemo_eval.engines.base import logits
from goemo_eval.engines.classifier import load_classifier
from goemo_eval.engines.registry import converter, load
from goemo_eval.errors import ScoreError
from goemo_eval.measure.scoring import fit_thresholds, score_logits
from goemo_eval.models.checkpoint import Checkpoint, read_checkpoint
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.recipes import load_recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.models.weights import Weights
from goemo_eval.pipeline import repair as room
from goemo_eval.pipeline.repair import (
    MOST_GIVEN_BACK,
    Tried,
    given_back,
    repair,
    shortest_head,
)

OUTLIER, CHANNELS = 300.0, 4
BUDGET = 0.01
CALIBRATION = 48


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    sample: dict[str, Split],
    minilm_weights: Weights,
    head_of: Callable[[Split, int], Split],
) -> Checkpoint:
    """MiniLM fine-tuned long enough on the sample for a Macro-F1 that can collapse."""
    directory = tmp_path_factory.mktemp("minilm")
    changes = {"name": "short", "epochs": 2, "learning_rate": 3e-4}
    return fine_tune(
        get_encoder("minilm"),
        get_scheme("sentiment"),
        head_of(sample["train"], 256),
        recipe=load_recipe("sample").model_copy(update=changes),
        weights=minilm_weights,
        out=directory / "sentiment",
        partial=directory / "partial",
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
    return read_checkpoint(out, max_length=trained.max_length)


@dataclass(frozen=True)
class Validation:
    """Validation texts, and their Macro-F1 under FP32's thresholds."""

    texts: tuple[str, ...]
    calibration: tuple[str, ...]
    fp32: np.ndarray
    macro_f1: Callable[[np.ndarray], float]


@pytest.fixture(scope="module")
def validation(trained: Checkpoint, sample: dict[str, Split]) -> Validation:
    split = sample["validation"]
    targets = get_scheme("sentiment").targets(split.labels)
    fp32 = load_classifier(trained.path).logits(split.texts)
    # One threshold: those of each label, fitted on the texts that are scored here, are FP32's best there,
    # and every rounding costs up to 0.02.
    thresholds = fit_thresholds(fp32, targets, strategy="global", fitted_on=split.sha256)

    def macro_f1(logits: np.ndarray) -> float:
        return score_logits(
            logits,
            targets,
            labels=trained.labels,
            split_sha256=split.sha256,
            thresholds=thresholds,
            in_sample=True,
        ).macro_f1

    return Validation(split.texts, sample["train"].texts[:CALIBRATION], fp32, macro_f1)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_int8_that_collapses_is_repaired_with_most_weights_in_int8(
    with_outliers: Checkpoint,
    validation: Validation,
    engine: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = converter(with_outliers, engine, calibration=validation.calibration, threads=2)
    monkeypatch.setattr(room, "converter", lambda *words, **options: made)  # loaded once

    def score(precision: Any, **fields: Any) -> float:
        variant = Variant(engine=engine, precision=precision, **fields)
        out = tmp_path / f"{precision}{len(fields)}"
        out.mkdir()
        made.write(variant, out)
        found = logits(load(out, threads=2), validation.texts)
        if precision == "fp32":  # which does not see the outliers
            np.testing.assert_allclose(found, validation.fp32, atol=1e-4)
        return validation.macro_f1(found)

    reference = score("fp32")
    assert reference > 0.5  # a real score, which can fall
    if engine != "openvino":  # which smooths by itself
        assert score("int8") < reference - 2 * BUDGET  # and fell
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = repair(
        with_outliers,
        engine,
        texts=validation.texts,
        macro_f1=validation.macro_f1,
        least=reference - BUDGET,
        calibration=validation.calibration,
        threads=2,
        scratch=scratch,
    )
    assert found.macro_f1 >= reference - BUDGET
    assert found.int8_share >= 0.8
    assert found.smoothed == (engine != "openvino")
    assert (found.smoothed_macro_f1 is None) == (engine == "openvino")
    assert found.passes >= 1
    assert found.seconds > 0
    assert not list(scratch.iterdir())
    # Its names are all that is kept of it: they give the artifact that was scored.
    again = score("int8", smoothed=found.smoothed, kept_fp32=found.kept_fp32)
    assert again == found.macro_f1


def test_where_nothing_stands_out_layers_are_kept_at_once(
    trained: Checkpoint, validation: Validation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "smoothed", lambda pretrained: pretrained)
    # With 1, 2, 4 and 3 layers in FP32; then with each two of the three.
    scores = iter([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    found = repair(
        trained,
        "torch",
        texts=validation.texts[:8],
        macro_f1=lambda logits: next(scores),
        least=0.5,
        threads=2,
        scratch=tmp_path,
    )
    assert (found.smoothed, found.smoothed_macro_f1) == (False, None)
    assert (len(found.kept_fp32), found.passes) == (3, 7)
    assert 0.8 < found.int8_share < 1


def test_logits_that_are_not_finite_score_nothing(
    with_outliers: Checkpoint, validation: Validation, tmp_path: Path
) -> None:
    seen: list[np.ndarray] = []

    def macro_f1(logits: np.ndarray) -> float:
        seen.append(logits)
        if len(seen) == 1:
            raise ScoreError("logits of row 0 are not finite")
        return 1.0

    found = repair(
        with_outliers,
        "torch",
        texts=validation.texts[:8],
        macro_f1=macro_f1,
        least=0.5,
        threads=2,
        scratch=tmp_path,
    )
    assert (found.smoothed_macro_f1, found.macro_f1, len(found.kept_fp32)) == (0.0, 1.0, 1)
    assert not np.array_equal(*seen)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=60), st.floats(0.0, 1.0))
def test_the_shortest_head_that_is_good_enough_is_found(costs: list[float], allowed: float) -> None:
    ranking = [f"layer{i}" for i in np.argsort(costs)[::-1]]
    by_name = {f"layer{i}": cost for i, cost in enumerate(costs)}
    least, tried = 1 - allowed * sum(costs), []

    def attempt(kept: tuple[str, ...]) -> Tried:
        tried.append(kept)
        lost = sum(cost for name, cost in by_name.items() if name not in kept)
        return Tried(1 - lost, int8_share=0.5)

    kept, found = shortest_head(ranking, attempt, least=least)
    heads = [
        1 - sum(by_name[n] for n in by_name if n not in ranking[:k]) for k in range(len(costs) + 1)
    ]
    enough = [k for k in range(1, len(costs) + 1) if heads[k] >= least]
    assert kept == tuple(ranking[: enough[0] if enough else len(costs)])
    assert found.macro_f1 == heads[len(kept)]
    assert len(set(tried)) == len(tried) <= 2 * np.log2(len(costs) + 1) + 2


@given(st.sets(st.integers(0, 15)), st.integers(1, 16))
def test_what_the_others_make_needless_is_given_back(needed: set[int], count: int) -> None:
    kept = tuple(f"layer{i}" for i in range(count))
    must = {f"layer{i}" for i in needed if i < count}
    tried = []

    def attempt(fewer: tuple[str, ...]) -> Tried:
        tried.append(fewer)
        return Tried(0.5 if must <= set(fewer) and fewer else 0.4, int8_share=1 - len(fewer) / 20)

    left, found = given_back(kept, Tried(0.5, 1 - count / 20), attempt, least=0.45)
    assert must <= set(left) <= set(kept)
    assert list(left) == [name for name in kept if name in left]
    assert found == Tried(0.5, 1 - len(left) / 20)
    assert len(tried) <= MOST_GIVEN_BACK
    assert () not in tried  # which the search began with
    if len(must) <= 1 and count > 1:  # half of it at least is needless, and is found so at once
        assert len(left) <= (count + 1) // 2

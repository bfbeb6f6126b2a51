"""One cell end to end, on the tiny encoder and on MiniLM's real weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.errors import CheckpointError, ScoreError
from goemo_eval.measure.calibration import calibrate
from goemo_eval.measure.thresholds import sigmoid
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.recipes import Recipe
from goemo_eval.pipeline.evaluate import Workbench
from goemo_eval.pipeline.plan import Plan
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Cell, Record


@pytest.fixture
def plan(
    tsv_dir: Callable[..., Path], tmp_path: Path, quick_recipe: Recipe, minilm_raw: Checkpoint
) -> Plan:
    """The short sample, and MiniLM's checkpoint as one that the user brings."""
    return Plan(
        source=tsv_dir(),
        recipe=quick_recipe,
        store=tmp_path / "store",
        checkpoints={("minilm", "raw"): minilm_raw.path},
        split_budget_s=0.0,
        batch_budget_s=0.0,
        int8_repair="never",  # tests/test_precision.py repairs
    )


def cell(encoder: str = "minilm", scheme: str = "raw", precision: str = "fp32") -> Cell:
    return Cell(encoder=encoder, scheme=scheme, engine="torch", precision=precision)


def test_fp32_and_int8_of_a_multilabel_cell(plan: Plan) -> None:
    with Workbench(plan) as bench:
        int8 = bench.evaluate(cell(precision="int8"))
        fp32 = bench.evaluate(cell())
        test = bench.splits["test"]
    assert fp32.scores is not None
    assert int8.scores is not None
    assert int8.thresholds == fp32.thresholds  # INT8 is scored with FP32's thresholds...
    assert int8.scores_refitted is not None  # ...and with its own
    assert fp32.scores_refitted is None
    assert fp32.thresholds is not None
    assert fp32.thresholds.fitted_on == fp32.data.splits["validation"].sha256
    by_strategy = {s.strategy: s for s in fp32.strategies}
    assert by_strategy["per-label"].test_macro_f1 == fp32.scores.test.macro_f1
    assert by_strategy["fixed"].validation_macro_f1 <= by_strategy["per-label"].validation_macro_f1
    assert int8.precision_search is None
    assert int8.kept_fp32 == ()
    assert int8.speedup is not None
    assert int8.speedup.reference == fp32.cell.id
    assert set(fp32.latency) == {"real", "padded128"}
    assert fp32.latency["padded128"].p50_s > fp32.latency["real"].p50_s
    assert int8.size_bytes < fp32.size_bytes
    assert int8.environment.quantized_engine is not None

    # What stands beside the record agrees with it.
    for record in (fp32, int8):
        (folder,) = (plan.store / "cells").glob(f"{record.cell.id}-*")
        kept = Record.model_validate_json((folder / "record.json").read_text())
        assert kept.scores == record.scores
        targets, decisions = unpack_decisions(record.decisions)
        np.testing.assert_array_equal(targets, test.labels)
        logits = np.load(folder / "logits.npz")["test"]
        np.testing.assert_array_equal(
            decisions, sigmoid(logits) >= np.array(record.thresholds.values)
        )
        tp = (decisions & test.labels).sum(axis=0)
        assert [s.tp for s in record.scores.test.per_label] == tp.tolist()
        assert record.calibration == calibrate(sigmoid(logits), targets)
        curves = record.threshold_curves
        assert curves is not None
        positives = bench.splits["validation"].labels.sum(axis=0)
        assert curves.support == tuple(positives.tolist())


def test_the_recipe_names_the_thresholds(plan: Plan) -> None:
    recipe = plan.recipe.model_copy(update={"threshold_strategy": "smoothed"})
    with Workbench(replace(plan, recipe=recipe)) as bench:
        record = bench.measure(cell())
        chosen = Workbench(replace(plan, strategy="chosen")).measure(cell())
        with pytest.raises(ScoreError, match="unknown threshold strategy 'best'"):
            Workbench(replace(plan, strategy="best")).measure(cell())
    assert record.thresholds is not None
    assert record.thresholds.strategy == "smoothed"
    assert record.recipe is not None
    assert record.recipe["threshold_strategy"] == "smoothed"
    by_strategy = {s.strategy: s for s in chosen.strategies}
    best = max(by_strategy.values(), key=lambda s: s.cross_validated_macro_f1)
    assert chosen.thresholds is not None
    assert by_strategy[chosen.thresholds.strategy].cross_validated_macro_f1 == (
        best.cross_validated_macro_f1
    )
    assert chosen.scores is not None
    assert chosen.scores.test.macro_f1 == by_strategy[chosen.thresholds.strategy].test_macro_f1


def test_each_seed_is_a_cell_of_its_own(plan: Plan, tiny_weights_dir: Path) -> None:
    plan = replace(plan, weights={"tiny": tiny_weights_dir})
    with Workbench(plan) as bench:
        one, two = (
            bench.measure(cell("tiny", "raw").model_copy(update={"seed": seed})) for seed in (1, 2)
        )
    assert (one.cell.seed, two.cell.seed) == (1, 2)
    assert one.weights.sha256 != two.weights.sha256
    assert len(list((plan.store / "checkpoints").glob("tiny-raw-*"))) == 2


def test_early_stopping_scores_the_validation_split(plan: Plan, tiny_weights_dir: Path) -> None:
    recipe = plan.recipe.model_copy(update={"early_stopping_patience": 1})
    plan = replace(plan, weights={"tiny": tiny_weights_dir})
    with Workbench(replace(plan, recipe=recipe)) as bench, Workbench(plan) as plain:
        assert bench.checkpoint_dir("tiny", "raw") != plain.checkpoint_dir("tiny", "raw")
        record = bench.measure(cell("tiny", "raw"))
    assert record.recipe is not None
    assert record.recipe["early_stopping_patience"] == 1


def test_second_run_trains_nothing(
    plan: Plan, tiny_weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(plan, weights={"tiny": tiny_weights_dir})
    with Workbench(plan) as bench:
        first = bench.measure(cell("tiny", "simplified"))
    monkeypatch.setattr(
        "goemo_eval.pipeline.checkpoints.fine_tune", lambda *_, **__: pytest.fail("trained again")
    )
    with Workbench(plan) as bench:
        second = bench.measure(cell("tiny", "simplified"))
    assert first.scores == second.scores
    assert first.weights == second.weights
    assert first.weights.kind == "pretrained"
    assert first.dominance == "frequent"
    assert first.recipe is not None


def test_random_weights_are_timed_not_scored(plan: Plan) -> None:
    with Workbench(plan) as bench:
        fp32 = bench.evaluate(cell("mobilebert", "simplified"))
        int8 = bench.measure(cell("mobilebert", "simplified", "int8"))
        scratch = bench._scratch
    for record in (fp32, int8):
        assert record.scores is None
        assert "no pretrained weights: the hub is out of reach" in str(record.unscored_reason)
        assert record.weights.kind == "random"
        assert record.parameters == pytest.approx(24.60e6, abs=5e3)
    assert fp32.latency["real"].p50_s > 0
    assert int8.speedup is not None
    assert not scratch.exists()
    assert not (plan.store / "cells").exists()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_int8_of_an_engine_is_timed_in_turns_with_its_own_fp32_and_with_torch(
    plan: Plan, tiny_weights_dir: Path, engine: str
) -> None:
    int8_cell = Cell(encoder="tiny", scheme="simplified", engine=engine, precision="int8")
    with Workbench(replace(plan, weights={"tiny": tiny_weights_dir})) as bench:
        int8 = bench.measure(int8_cell)
        fp32 = bench.measure(int8_cell.at("fp32"))
        torch_fp32 = bench.measure(cell("tiny", "simplified"))
    assert [s.reference for s in int8.speedups] == [
        f"tiny-simplified-{engine}-fp32",
        "tiny-simplified-torch-fp32",
    ]
    assert int8.speedup == int8.speedup_over(fp32.cell)
    assert int8.environment.quantized_engine is not None
    assert fp32.scores is not None
    assert torch_fp32.scores is not None
    assert fp32.scores.test == torch_fp32.scores.test  # the same logits to 1e-4: the same choices


def test_train_never_leaves_the_cell_unscored(plan: Plan) -> None:
    with Workbench(replace(plan, checkpoints={}, train="never")) as bench:
        record = bench.measure(cell())
    assert record.unscored_reason == "not fine-tuned yet, and --train never"
    assert record.recipe is None


def test_same_rows_for_fitting_and_scoring_are_refused(
    plan: Plan, tsv_dir: Callable[..., Path]
) -> None:
    same = (tsv_dir() / "dev.tsv").read_bytes()
    with (
        Workbench(replace(plan, source=tsv_dir(test=same))) as bench,
        pytest.raises(ScoreError, match="thresholds were fitted on"),
    ):
        bench.measure(cell())


def test_checkpoint_must_fit_the_scheme(plan: Plan, minilm_raw: Checkpoint) -> None:
    for scheme, message in (
        ("sentiment", "but scheme sentiment has"),
        ("simplified", "was trained for scheme raw"),
    ):
        brought = replace(plan, checkpoints={("minilm", scheme): minilm_raw.path})
        with Workbench(brought) as bench, pytest.raises(CheckpointError, match=message):
            bench.measure(cell(scheme=scheme))


def test_altered_checkpoint_is_refused(plan: Plan, minilm_raw: Checkpoint, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(minilm_raw.path, tmp_path / "copy"))
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    with (
        Workbench(replace(plan, checkpoints={("minilm", "raw"): copy})) as bench,
        pytest.raises(CheckpointError, match=r"config\.json: altered"),
    ):
        bench.measure(cell())

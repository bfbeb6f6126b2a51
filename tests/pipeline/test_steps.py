from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_eval.cpu import has_bf16_products
from goemo_eval.engines.artifact import read_info
from goemo_eval.engines.base import logits
from goemo_eval.errors import CellError, CheckpointError
from goemo_eval.models.encoders import read_encoders
from goemo_eval.pipeline import steps, timing
from goemo_eval.pipeline.assemble import add_times, measure
from goemo_eval.pipeline.fitting import Run, fit
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.steps import artifact, convert, predict, scores, spread
from goemo_eval.records.files import dump_records, records_in
from goemo_eval.records.schema import Cell

RunOf = Callable[..., Run]


def cell(engine: str = "torch", precision: str = "fp32", scheme: str = "raw", **words: Any) -> Cell:
    return Cell.model_validate(
        {"encoder": "tiny", "scheme": scheme, "engine": engine, "precision": precision, **words}
    )


FP32, INT8 = cell(), cell(precision="int8")


def test_a_cell_goes_from_data_to_a_record(run_of: RunOf) -> None:
    run = run_of()
    fp32, int8 = measure(run, FP32), measure(run, INT8)

    assert fp32.scores is not None
    assert int8.scores is not None
    assert int8.scores_refitted is not None
    assert int8.thresholds == fp32.thresholds
    assert int8.size_bytes < 0.5 * fp32.size_bytes
    assert fp32.memory is not None
    assert fp32.memory.texts == 192
    assert 0 < fp32.memory.start_s < 600
    assert fp32.length is not None
    assert fp32.length.max_length == 48
    assert fp32.artifact is not None
    assert run.store.find_artifact(fp32.artifact.key) == convert(run, FP32).entry.content
    assert fp32.served is None
    assert int8.served is not None
    assert int8.served.agreement > 0.9
    assert dump_records([fp32, int8])


@pytest.mark.skipif(not has_bf16_products(), reason="this CPU has no bfloat16 instructions")
def test_a_bf16_cell_is_scored_by_fp32s_thresholds_and_not_repaired(run_of: RunOf) -> None:
    run = run_of()
    fp32, bf16 = (add_times(run, measure(run, each)) for each in (FP32, cell(precision="bf16")))
    assert fp32.scores is not None
    assert bf16.scores is not None
    assert bf16.scores_refitted is not None
    assert bf16.thresholds == fp32.thresholds
    assert bf16.precision_search is None
    assert bf16.served is not None
    assert bf16.served.agreement > 0.99
    assert [s.reference for s in bf16.speedups] == [FP32.id]
    assert abs(bf16.scores.test.macro_f1 - fp32.scores.test.macro_f1) < 0.05
    read = records_in(json.loads(dump_records([fp32, bf16])), "here")
    assert {each.cell.id: each for each in read} == {each.cell.id: each for each in (fp32, bf16)}


def test_the_second_run_makes_nothing(run_of: RunOf) -> None:
    first = [measure(run_of(), each) for each in (FP32, INT8)]
    run = run_of()
    again = [measure(run, each) for each in (FP32, INT8)]
    assert not run.store.made
    for a, b in zip(first, again, strict=True):
        assert (a.scores, a.decisions, a.memory, a.artifact) == (
            b.scores,
            b.decisions,
            b.memory,
            b.artifact,
        )


def test_what_is_scored_is_the_artifact(run_of: RunOf) -> None:
    run = run_of()
    predictor = timing.loaded(run, INT8)
    texts = run.plan.task("raw").texts["test"]
    np.testing.assert_array_equal(logits(predictor, texts), predict(run, INT8).logits("test"))
    assert read_info(artifact(run, INT8).content).variant.precision == "int8"


CHANGES: list[tuple[dict[str, Any], set[str]]] = [
    ({"threads": 1}, {"checkpoints", "artifacts", "logits", "scores"}),
    ({"strategy": "global"}, {"scores"}),
    ({"strategy": "per-label"}, set()),
    ({"int8_budget": 0.5}, set()),
    ({"max_length": 12}, set()),  # of brought checkpoints
    ({"dominance": "rare"}, set()),  # of multiclass schemes
]


@pytest.mark.parametrize(("changes", "made"), CHANGES)
def test_a_change_makes_what_depends_on_it_and_no_more(
    run_of: RunOf, kept: Path, tmp_path: Path, changes: dict[str, Any], made: set[str]
) -> None:
    measure(run_of(), FP32)
    shutil.copytree(kept, tmp_path / "store")
    run = run_of(store=tmp_path / "store", **changes)
    measure(run, FP32)
    assert set(run.store.made) == made


def test_the_recipe_the_seed_and_the_data_are_part_of_a_checkpoints_key(run_of: RunOf) -> None:
    run = run_of()
    own = fit(run, FP32).checkpoint
    other_seed = fit(run, cell(seed=1)).checkpoint
    recipe = run.plan.recipe.model_copy(update={"learning_rate": 2e-2})
    other_recipe = fit(run_of(recipe=recipe), FP32).checkpoint
    assert len({c.content_sha256 for c in (own, other_seed, other_recipe)}) == 3


@pytest.mark.parametrize(
    ("kind", "damage"),
    [("checkpoints", "flip"), ("artifacts", "cut"), ("logits", "flip"), ("scores", "delete")],
)
def test_a_damaged_result_never_gives_other_numbers(
    run_of: RunOf, kept: Path, tmp_path: Path, kind: str, damage: str
) -> None:
    expected = measure(run_of(), FP32)
    shutil.copytree(kept, tmp_path / "store")
    for file in (tmp_path / "store" / kind).glob("*/content/*"):
        if file.suffix in (".safetensors", ".npy") or file.name in ("scored.json", "artifact.json"):
            content = bytearray(file.read_bytes())
            if damage == "flip":
                content[len(content) // 2] ^= 1
                file.write_bytes(content)
            elif damage == "cut":
                file.write_bytes(content[: len(content) // 2])
            else:
                file.unlink()
    run = run_of(store=tmp_path / "store")
    found = measure(run, FP32)
    timing.loaded(run, FP32)  # whoever times it reads the artifact
    assert (found.scores, found.decisions) == (expected.scores, expected.decisions)
    # A checkpoint or an artifact is only made again where it is read.
    assert (kind in run.store.made) or not (tmp_path / "store" / "damaged").exists()


def test_a_store_that_lost_everything_but_the_scores_makes_the_rest_again(
    run_of: RunOf, kept: Path, tmp_path: Path
) -> None:
    expected = measure(run_of(), INT8)
    shutil.copytree(kept, tmp_path / "store")
    for kind in ("checkpoints", "artifacts", "logits"):
        shutil.rmtree(tmp_path / "store" / kind)
    found = measure(run_of(store=tmp_path / "store"), INT8)
    assert (found.scores, found.artifact) == (expected.scores, expected.artifact)


def test_without_pretrained_weights_a_cell_is_timed_and_not_scored(run_of: RunOf) -> None:
    tables: dict[str, Any] = {
        "described": {
            "model_type": "bert",
            "config": {
                "vocab_size": 30522,
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 32,
            },
        }
    }
    run = run_of(encoders=read_encoders(tables))
    cell = INT8.model_copy(update={"encoder": "described"})
    record = add_times(run, measure(run, cell))
    assert record.scores is None
    assert record.decisions is None
    assert record.unscored_reason == "no pretrained weights: described is not on the hub"
    assert record.memory is not None
    assert record.memory.texts == steps.PROBE_TEXTS
    assert {s: (t.batches, len(t.times_s)) for s, t in record.latency.items()} == {"real": (1, 3)}
    assert not record.speedups
    assert record.offline is None
    assert record.split_latency_s is None
    assert "scores" not in run.store.made
    # Schemes with the same labels share it and all that is made of it, and are timed each.
    made = dict(run.store.made)
    other = add_times(run, measure(run, cell.model_copy(update={"scheme": "simplified"})))
    assert run.store.made == made
    assert (other.cell.scheme, other.kind) == ("simplified", "multiclass")
    assert (other.artifact, other.memory) == (record.artifact, record.memory)
    assert other.latency["real"].times_s != record.latency["real"].times_s
    grouped = measure(run, cell.model_copy(update={"scheme": "ekman"}))
    assert grouped.artifact != record.artifact
    assert len(grouped.labels) == 7
    # What it looks like is part of its key.
    tables["described"]["config"]["intermediate_size"] = 48
    wider = fit(run_of(encoders=read_encoders(tables)), cell).checkpoint
    assert wider.content_sha256 != fit(run, cell).checkpoint.content_sha256


def test_never_training_leaves_a_cell_unscored(run_of: RunOf, tmp_path: Path) -> None:
    run = run_of(store=tmp_path, train="never")
    assert fit(run, FP32).unscored_reason == "not fine-tuned yet, and --train never"
    assert scores(run, FP32) is None


def test_a_brought_checkpoint_is_measured_where_it_lies(run_of: RunOf) -> None:
    own = fit(run_of(), FP32).checkpoint
    run = run_of(checkpoints={("tiny", "raw"): own.path})
    assert fit(run, FP32).checkpoint.path == own.path
    with pytest.raises(CheckpointError, match="simplified"):
        fit(run_of(checkpoints={("tiny", "simplified"): own.path}), cell(scheme="simplified"))


def test_a_record_says_where_texts_are_cut_and_how_many(run_of: RunOf) -> None:
    from tokenizers import Tokenizer

    trained = fit(run_of(), FP32).checkpoint
    run = run_of(checkpoints={("mine", "raw"): trained.path}, max_length=12)
    record = measure(run, FP32.model_copy(update={"encoder": "mine"}))
    tokenizer = Tokenizer.from_file(str(trained.path / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokens = [len(tokenizer.encode(text).ids) for text in run.plan.task("raw").texts["test"]]
    assert record.length is not None
    assert record.length.max_length == 12
    assert record.length.cut_share == pytest.approx(np.mean(np.array(tokens) > 12))
    assert 0 < record.length.cut_share < 1


def test_a_conversion_that_dies_fails_its_cell_alone(
    run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(run_of(), FP32)
    monkeypatch.setattr(steps, "in_fork", _dies)
    run = run_of(threads=3)
    with pytest.raises(CellError, match="signal 9"):
        convert(run, FP32)
    monkeypatch.undo()
    assert not list(kept_work(run))


def _dies(*_: Any, **__: Any) -> None:
    raise CellError(
        "convert_checkpoint: the process was killed, perhaps for want of memory (signal 9)"
    )


def kept_work(run: Run) -> list[Path]:
    return [
        path
        for path in (run.store.root / "work").rglob("*")
        if path.is_file() and path.suffix != ".lock"
    ]


def test_a_repaired_cell_is_the_repaired_one_after_another_checkpoint_was_loaded(
    run_of: RunOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(int8_budget=0.0, int8_repair="when-needed")
    found = {"smoothed": True, "kept_fp32": ["classifier"]}
    monkeypatch.setattr(
        steps,
        "_lost",
        lambda *_: {"least": 0.0, "plain_validation_macro_f1": 0.0, "plain_test_macro_f1": 0.0},
    )
    monkeypatch.setattr(
        steps,
        "_repair",
        lambda *_, **__: (
            found
            | {
                "smoothed_macro_f1": 0.0,
                "macro_f1": 0.1,
                "int8_share": 0.9,
                "passes": 1,
                "seconds": 1.0,
            }
        ),
    )
    repaired = measure(run, INT8)
    assert repaired.kept_fp32 == ("classifier",)
    assert repaired.smoothed
    before = logits(timing.loaded(run, INT8), ["a text"])
    for seed in range(1, 2 + timing.LOADED):
        timing.loaded(run, cell(seed=seed % 2))
    timing.loaded.cache_clear()
    predictor = timing.loaded(run, INT8)
    assert predictor.info.variant.kept_fp32 == ("classifier",)
    np.testing.assert_array_equal(logits(predictor, ["a text"]), before)


def test_times_are_of_equal_batches_and_turns(run_of: RunOf) -> None:
    run = run_of()
    fp32, int8 = (add_times(run, measure(run, each)) for each in (FP32, INT8))
    for scenario in ("real", "single"):
        a, b = fp32.latency[scenario], int8.latency[scenario]
        assert (a.texts_sha256, a.batches, len(a.times_s)) == (
            b.texts_sha256,
            b.batches,
            len(b.times_s),
        )
    assert "padded128" not in fp32.latency
    assert [s.reference for s in int8.speedups] == [FP32.id]
    assert len(int8.speedups[0].candidate_s) == 2
    assert fp32.offline is not None
    assert fp32.offline.texts == 96


def test_other_engines_take_turns_with_torch_too() -> None:
    assert [c.id for c in timing.references_of(cell("onnxruntime", "int8"))] == [
        "tiny-raw-onnxruntime-fp32",
        "tiny-raw-torch-fp32",
    ]
    assert not timing.references_of(cell("onnxruntime"))


def test_keys_can_be_read_beside_their_results(run_of: RunOf) -> None:
    run = run_of()
    entry = convert(run, INT8).entry
    key = json.loads((entry.content.parent / "key.json").read_text())
    assert key["variant"] == {
        "engine": "torch",
        "precision": "int8",
        "smoothed": False,
        "kept_fp32": [],
    }
    assert "torch" in key["versions"]


def test_spread_takes_rows_from_all_over() -> None:
    assert spread(list("abcdefg"), 3) == ["a", "c", "e"]
    assert spread(["a"], 3) == ["a"]


def test_a_plan_is_a_value(plan: Plan) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.threads = 3  # type: ignore[misc]

"""An encoder with the floor beside it, as a cell: what it is made of, in every engine, and its weight."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from goemo_eval.engines import registry
from goemo_eval.engines.artifact import Variant, describe, read_info
from goemo_eval.engines.base import logits
from goemo_eval.engines.registry import load
from goemo_eval.errors import CheckpointError, EngineError, OptionError
from goemo_eval.measure.threshold_choice import cross_validate
from goemo_eval.measure.thresholds import sigmoid
from goemo_eval.models.checkpoint import read_checkpoint
from goemo_eval.models.encoders import Encoder, get_encoder
from goemo_eval.models.manifest import MANIFEST
from goemo_eval.models.weights import Weights
from goemo_eval.pipeline import fitting
from goemo_eval.pipeline.assemble import add_times, measure
from goemo_eval.pipeline.cells import matrix
from goemo_eval.pipeline.fitting import Run, fit
from goemo_eval.pipeline.mixing import UNFITTED, WEIGHTS, choose_weight, mixed
from goemo_eval.pipeline.repair import repair
from goemo_eval.pipeline.steps import artifact, convert, predict
from goemo_eval.records.schema import Cell
from goemo_eval.run_file import read_options

RunOf = Callable[..., Run]
ENGINES = ("torch", "onnxruntime", "openvino")


def cell(
    encoder: str = "tiny+tfidf",
    engine: str = "torch",
    precision: str = "fp32",
    scheme: str = "raw",
) -> Cell:
    return Cell.model_validate(
        {"encoder": encoder, "scheme": scheme, "engine": engine, "precision": precision}
    )


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("engine", ENGINES)
def test_its_logits_are_the_weighted_sum_of_its_parts(
    run_of: RunOf, shared_store: Path, engine: str, precision: str
) -> None:
    run = run_of(store=shared_store)
    both, own, floor = (
        cell(engine=engine, precision=precision),
        cell("tiny", engine, precision),
        cell("tfidf", "linear", precision),
    )
    info = read_info(convert(run, both).entry.content)
    assert info.floor_weight is not None
    for split in ("validation", "test"):
        parts = (predict(run, part).logits(split) for part in (own, floor))
        expected = mixed(*parts, info.floor_weight)
        np.testing.assert_array_equal(predict(run, both).logits(split), expected)
    sizes = [convert(run, each).entry for each in (own, floor)]
    alone = [read_info(entry.content) for entry in sizes]
    assert info.parameters == sum(each.parameters for each in alone)
    assert info.tokens == alone[0].tokens
    assert info.kernels == "; floor: ".join(each.kernels for each in alone)
    whole = sum(entry.size_bytes for entry in sizes)
    assert convert(run, both).entry.size_bytes == pytest.approx(whole, abs=4000)


def test_it_goes_to_a_record_with_times(run_of: RunOf) -> None:
    run = run_of()
    record = add_times(run, measure(run, cell(precision="int8")))
    assert record.cell.id == "tiny+tfidf-raw-torch-int8"
    assert record.scores is not None
    assert record.served is not None
    assert {"real", "single"} <= record.latency.keys()
    assert [s.reference for s in record.speedups] == ["tiny+tfidf-raw-torch-fp32"]
    assert record.length is not None
    again = run_of()
    measure(again, cell(precision="int8"))
    assert not again.store.made


def test_int8_is_repaired_with_the_floor_beside_it(run_of: RunOf, tmp_path: Path) -> None:
    """Every layer is kept where nothing is enough, and the floor is part of what is tried."""
    run = run_of()
    texts = run.plan.task("raw").texts["validation"][:16]
    seen: list[np.ndarray] = []

    def score(found: np.ndarray) -> float:
        seen.append(found)
        return 0.0

    repaired = repair(
        fit(run, cell()).checkpoint,
        "torch",
        texts=texts,
        macro_f1=score,
        least=1.0,
        threads=2,
        scratch=tmp_path,
    )
    assert repaired.int8_share == 0
    variant = Variant(
        engine="torch",
        precision="int8",
        smoothed=repaired.smoothed,
        kept_fp32=repaired.kept_fp32,
    )
    (out := tmp_path / "written").mkdir()
    written = registry.convert(fit(run, cell()).checkpoint, variant, out, threads=2)
    assert written.info.floor_weight is not None
    np.testing.assert_array_equal(logits(load(written, threads=2), texts), seen[-1])
    assert (seen[0] != seen[-1]).any()


def test_the_weight_is_the_one_that_validation_chose(run_of: RunOf) -> None:
    run = run_of()
    parts = [
        predict(run, part).logits("validation") for part in (cell("tiny"), cell("tfidf", "linear"))
    ]
    targets = run.plan.task("raw").targets["validation"]
    found = fit(run, cell()).checkpoint
    assert found.floor_weight == choose_weight(*parts, targets)
    assert found.encoder == "tiny+tfidf"
    assert found.seed == 0


def test_the_weight_follows_what_the_parts_are_worth() -> None:
    rng = np.random.default_rng(0)
    for targets in (rng.random((400, 3)) < 0.3, rng.integers(0, 3, 400)):
        truth = targets if targets.ndim == 2 else np.eye(3, dtype=bool)[targets]
        good = (truth * 2.0 - 1 + rng.normal(0, 0.8, truth.shape)).astype(np.float32)
        other = (truth * 2.0 - 1 + rng.normal(0, 0.8, truth.shape)).astype(np.float32)
        noise = rng.normal(0, 1, truth.shape).astype(np.float32)
        assert choose_weight(good, noise, targets) <= 0.2
        assert choose_weight(noise, good, targets) >= 0.8
        assert 0.3 <= choose_weight(good, other, targets) <= 0.7


def test_the_weight_is_judged_on_rows_that_its_thresholds_have_not_seen() -> None:
    """Of two parts that know nothing, in-sample thresholds would prefer one; by the definition, written out."""
    rng = np.random.default_rng(1)
    targets = rng.random((120, 2)) < 0.3
    own, floor = (rng.normal(0, 1, targets.shape).astype(np.float32) for _ in range(2))
    scores = [
        cross_validate(sigmoid(mixed(own, floor, w)), targets, strategies=("per-label",))
        for w in WEIGHTS
    ]
    best = max(range(len(WEIGHTS)), key=lambda i: scores[i]["per-label"])
    assert choose_weight(own, floor, targets) == WEIGHTS[best]


def test_the_weight_is_part_of_what_it_is(run_of: RunOf, tmp_path: Path) -> None:
    path = fit(run_of(), cell()).checkpoint.path
    other = Path(shutil.copytree(path, tmp_path / "other"))
    manifest = json.loads((other / MANIFEST).read_text())
    manifest["floor_weight"] = 0.9 if manifest["floor_weight"] < 0.9 else 0.1
    (other / MANIFEST).write_text(json.dumps(manifest))
    assert read_checkpoint(other).content_sha256 != read_checkpoint(path).content_sha256
    assert read_checkpoint(other).sha256 == read_checkpoint(path).sha256
    # A copy can be brought, and is what it was.
    run = run_of(checkpoints={("tiny+tfidf", "raw"): path})
    np.testing.assert_array_equal(
        predict(run, cell()).logits("test"), predict(run_of(), cell()).logits("test")
    )


def test_parts_that_do_not_belong_together_are_refused(run_of: RunOf, tmp_path: Path) -> None:
    run = run_of()
    int8 = convert(run, cell(precision="int8")).entry.content
    fp32 = artifact(run, cell()).content
    swapped = Path(shutil.copytree(fp32, tmp_path / "swapped"))
    shutil.copyfile(int8 / "floor.safetensors", swapped / "floor.safetensors")
    with pytest.raises(EngineError, match="altered since it was written"):
        load(swapped, threads=1)
    describe(swapped, read_info(fp32))
    with pytest.raises(EngineError, match="int8 weights in an artifact of precision fp32"):
        load(swapped, threads=1)
    tensors = load_file(fp32 / "floor.safetensors")
    save_file(tensors | {"bias": tensors["bias"][:-1]}, swapped / "floor.safetensors")
    describe(swapped, read_info(fp32))
    with pytest.raises(EngineError, match=r"floor.safetensors: bias: expected shape"):
        load(swapped, threads=1)

    whole, alone = fit(run, cell()).checkpoint.path, fit(run, cell("tiny")).checkpoint.path
    with pytest.raises(CheckpointError, match=r"has the floor .* --checkpoint tiny\+tfidf-raw=DIR"):
        fit(run_of(checkpoints={("tiny", "raw"): whole}), cell("tiny"))
    with pytest.raises(
        CheckpointError, match=r"has no floor .* bring it as --checkpoint tiny-raw="
    ):
        fit(run_of(checkpoints={("tiny+tfidf", "raw"): alone}), cell())
    plain = Path(shutil.copytree(fit(run, cell("tiny")).checkpoint.path, tmp_path / "plain"))
    (plain / MANIFEST).unlink()
    with pytest.raises(CheckpointError, match=r"has no manifest, and tiny\+tfidf needs one"):
        fit(run_of(checkpoints={("tiny", "raw"): plain}), cell())


def test_of_an_encoder_that_is_not_scored_it_is_not_scored_either(
    run_of: RunOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Encoder(
        name="tiny",
        model_type="bert",
        config={
            "vocab_size": 30522,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        },
    )
    run = run_of()
    monkeypatch.setattr(
        type(run.plan), "encoder", lambda _, name: small if name == "tiny" else get_encoder("tfidf")
    )
    monkeypatch.setattr(
        fitting, "find_weights", lambda *_: Weights("random", "random", reason="out of reach")
    )
    found = fit(run, cell())
    assert found.unscored_reason == "no pretrained weights: out of reach"
    assert found.checkpoint.floor_weight == UNFITTED
    # The same labels, the same stand-in: raw's, and raw's floor beside it.
    assert fit(run, cell(scheme="simplified")) == found


def test_names(tmp_path: Path) -> None:
    def cells(*words: str, **options: object) -> list[str]:
        given = {"encoders": ",".join(words), "schemes": "raw", "engines": "torch"} | options
        return [each.id for each in matrix(read_options(given, run_file=None)).cells]

    assert cells("minilm@3+tfidf", precisions="int8") == ["minilm@3+tfidf-raw-torch-int8"]
    assert len(cells("minilm+tfidf", "tfidf", "minilm", engines="torch,linear")) == 6
    brought = [f"mine-raw={tmp_path}"]
    assert len(cells("mine+tfidf", checkpoint=brought)) == 2
    with pytest.raises(OptionError, match=r"tfidf\+tfidf: the floor has itself beside it"):
        cells("tfidf+tfidf")
    with pytest.raises(CheckpointError, match=r"\+tfidf for the floor beside it"):
        cells("minilm+floor")
    with pytest.raises(CheckpointError, match="unknown encoder 'minilmm'"):
        cells("minilmm+tfidf")

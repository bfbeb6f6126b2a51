"""What a recipe can ask of fine-tuning beyond the plain form, on a tiny encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import Trainer, TrainerCallback

from goemo_eval.data.dataset import Split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.errors import CheckpointError, DivergedError
from goemo_eval.measure.scoring import validation_score
from goemo_eval.models import recipes
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.pretrained import load_pretrained
from goemo_eval.models.recipes import Recipe, load_recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.models.validation import Validation
from goemo_eval.models.weights import find_weights

Run = Callable[..., Checkpoint]


@pytest.fixture
def run(
    weights_dir: Callable[..., Path],
    short_sample: dict[str, Split],
    quick_recipe: Recipe,
    tmp_path: Path,
) -> Run:
    """Fine-tune a tiny encoder under a changed recipe."""
    directory = weights_dir(head=False)
    encoder = get_encoder("tiny", directory)

    def start(
        out: str, *, scheme: str = "raw", validation: Validation | None = None, **changed: object
    ) -> Checkpoint:
        recipe = quick_recipe.model_dump() | {"batch_size": 16, "max_length": 32} | changed
        return fine_tune(
            encoder,
            get_scheme(scheme),
            short_sample["train"],
            recipe=Recipe.model_validate(recipe),
            weights=find_weights(encoder, directory),
            out=tmp_path / out,
            partial=tmp_path / f"{out}-states",
            validation=validation,
        )

    return start


def tensors(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    return load_file(checkpoint.path / "model.safetensors")


def logits(checkpoint: Checkpoint, split: Split) -> np.ndarray:
    loaded = load_pretrained(checkpoint)
    options = {"padding": True, "truncation": True, "max_length": checkpoint.max_length}
    inputs = loaded.tokenizer(list(split.texts), return_tensors="pt", **options)
    with torch.inference_mode():
        return loaded.module(inputs["input_ids"], inputs["attention_mask"]).logits.numpy()


def same(a: Checkpoint, b: Checkpoint) -> bool:
    left, right = tensors(a), tensors(b)
    return all(np.array_equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("scheme", ["raw", "simplified"])
def test_every_option_trains_and_matters(run: Run, scheme: str) -> None:
    plain = run("plain", scheme=scheme)
    for i, changed in enumerate(
        (
            {"loss": "focal"},
            {"loss": "asymmetric", "label_weighting": "class-balanced"},
            {"label_smoothing": 0.1, "schedule": "cosine"},
            {"layer_decay": 0.5, "head_rate_factor": 5.0},
            {"repeat_below": 0.5},
            {"averaged_share": 0.5},
        )
    ):
        other = run(f"other{i}", scheme=scheme, **changed)
        assert all(np.isfinite(t).all() for t in tensors(other).values())
        assert not same(plain, other)
        assert other.recipe is not None
        assert other.recipe.items() >= changed.items()


def test_a_rate_per_depth_of_one_is_the_plain_rate(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run("plain")
    grouped = run("grouped", layer_decay=1.0, head_rate_factor=1.0 + 1e-12)
    assert not same(plain, run("decayed", layer_decay=0.5))
    for name, tensor in tensors(plain).items():
        np.testing.assert_allclose(tensors(grouped)[name], tensor, atol=1e-6)


def test_the_rates_that_the_optimizer_starts_with(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []

    class Look(TrainerCallback):
        def on_train_begin(self, args, state, control, optimizer=None, **_):  # type: ignore[no-untyped-def]
            rates.extend(group["initial_lr"] for group in optimizer.param_groups)

    plain_init = Trainer.__init__
    monkeypatch.setattr(
        Trainer,
        "__init__",
        lambda self, *a, **k: plain_init(self, *a, **k | {"callbacks": [Look()]}),
    )
    run("rates", layer_decay=0.5, head_rate_factor=4.0, learning_rate=1e-3)
    assert sorted(set(rates)) == pytest.approx([2.5e-4, 5e-4, 1e-3, 4e-3])


def test_watching_changes_no_weight_and_tells_every_epoch(
    run: Run, short_sample: dict[str, Split]
) -> None:
    told: list[tuple[int, float]] = []
    watched = Validation(
        short_sample["validation"], validation_score, lambda epoch, f1: told.append((epoch, f1))
    )
    seen = run("seen", epochs=3, validation=watched)
    assert same(seen, run("unseen", epochs=3))
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    expected = validation_score(
        logits(seen, short_sample["validation"]), short_sample["validation"].labels
    )
    assert told[-1][1] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("scheme", ["raw", "simplified"])
def test_early_stopping_keeps_the_best_epoch(
    run: Run, short_sample: dict[str, Split], scheme: str
) -> None:
    scripted = iter([0.2, 0.5, 0.4, 0.3, 0.9, 0.9])
    told: list[int] = []
    watched = Validation(
        short_sample["validation"],
        lambda logits, targets: next(scripted),
        lambda epoch, _: told.append(epoch),
    )
    stopped = run(
        "stopped",
        scheme=scheme,
        epochs=6,
        schedule="constant",
        early_stopping_patience=2,
        validation=watched,
    )
    assert told == [1, 2, 3, 4]
    # A constant rate with no warm-up to scale makes two epochs of six the same as two of two.
    two = run("two", scheme=scheme, epochs=2, schedule="constant", warmup_ratio=0.0)
    scripted = iter([0.2, 0.5, 0.4, 0.3])
    unwarmed = run(
        "unwarmed",
        scheme=scheme,
        epochs=6,
        schedule="constant",
        warmup_ratio=0.0,
        early_stopping_patience=2,
        validation=Validation(short_sample["validation"], lambda *_: next(scripted)),
    )
    assert same(unwarmed, two)
    assert not same(stopped, two)


def test_a_resumed_run_remembers_its_patience(run: Run, short_sample: dict[str, Split]) -> None:
    told: list[int] = []
    scores = {1: 0.5, 2: 0.4, 3: 0.3, 4: 0.9}

    def cut(epoch: int, f1: float) -> None:
        told.append(epoch)
        if epoch == 3 and told.count(3) == 1 and len(told) == 3:
            raise KeyboardInterrupt

    pending: list[int] = []

    def score(*_: object) -> float:
        pending.append(1)
        return scores[len(pending)]

    watched = Validation(short_sample["validation"], score, cut)
    options = {"epochs": 6, "early_stopping_patience": 2, "validation": watched}
    with pytest.raises(KeyboardInterrupt):
        run("cut", **options)
    pending.pop()  # the third epoch is trained and scored again
    run("cut", **options)
    assert told == [1, 2, 3, 1, 2, 3]


def test_a_shifted_prior_changes_the_heads_bias_only(
    run: Run, short_sample: dict[str, Split]
) -> None:
    watched = Validation(short_sample["validation"], validation_score)
    options = {"scheme": "simplified", "label_weighting": "inverse", "validation": watched}
    plain, shifted = run("plain", **options), run("shift", **options, prior_shift="validation")
    a, b = tensors(plain), tensors(shifted)
    assert plain.prior_shift is None
    assert shifted.prior_shift is not None
    changed = {name for name in a if not np.array_equal(a[name], b[name])}
    assert changed == ({"classifier.bias"} if shifted.prior_shift else set())
    # Of a multilabel scheme the thresholds do that.
    assert run("raw", prior_shift="validation", validation=watched).prior_shift is None


def test_refusals(
    run: Run, short_sample: dict[str, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        CheckpointError, match="early_stopping_patience 2 and prior_shift none: pass"
    ):
        run("x", early_stopping_patience=2)
    watched = Validation(short_sample["validation"], validation_score)
    with pytest.raises(DivergedError, match="lower the recipe's learning_rate"):
        run("y", learning_rate=1.0, weight_decay=100.0, epochs=20, validation=watched)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(CheckpointError, match="batch_size 16, which 3 processes cannot share"):
        run("z")


@pytest.mark.parametrize("has", [True, False])
def test_auto_is_bf16_where_the_processor_has_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    """Emulated bfloat16 gives what instructions give, so that both are tried here."""
    monkeypatch.setattr(recipes, "has_bf16", lambda: has)
    plain, auto = run("plain"), run("auto", compute="auto")
    assert plain.compute == "fp32"
    assert auto.compute == ("bf16" if has else "fp32")
    assert auto.recipe is not None
    assert auto.recipe["compute"] == "auto"
    assert same(plain, auto) == (not has)
    for name, tensor in tensors(plain).items():
        np.testing.assert_allclose(tensors(auto)[name], tensor, atol=0.01)
        assert tensors(auto)[name].dtype == np.float32
    if not has:
        with pytest.raises(CheckpointError, match=r"compute bf16, for which .* set it to auto"):
            run("z", compute="bf16")


def test_strong_trains_anywhere(
    weights_dir: Callable[..., Path], short_sample: dict[str, Split], tmp_path: Path
) -> None:
    directory = weights_dir(head=False)
    encoder = get_encoder("tiny", directory)
    recipe = recipes.load_recipe("strong").for_cell("tiny", "raw")
    found = fine_tune(
        encoder,
        get_scheme("raw"),
        short_sample["train"],
        recipe=recipe.model_copy(update={"max_length": 32}),
        weights=find_weights(encoder, directory),
        out=tmp_path / "out",
        partial=tmp_path / "states",
    )
    assert found.compute in ("fp32", "bf16")


def test_averaged_weights_are_the_mean_of_the_last_steps(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, np.ndarray]] = []

    class Look(TrainerCallback):
        def on_step_end(self, args, state, control, model, **_):  # type: ignore[no-untyped-def]
            seen.append({k: v.detach().numpy().copy() for k, v in model.named_parameters()})

    plain_init = Trainer.__init__

    def init(self, *args, callbacks=(), **kwargs):  # type: ignore[no-untyped-def]
        plain_init(self, *args, callbacks=[Look(), *callbacks], **kwargs)

    monkeypatch.setattr(Trainer, "__init__", init)
    averaged = load_pretrained(run("averaged", averaged_share=0.3)).module
    last = round(0.3 * len(seen))
    assert last >= 2
    for name, parameter in averaged.named_parameters():
        wanted = np.mean([weights[name] for weights in seen[-last:]], axis=0, dtype=np.float64)
        np.testing.assert_allclose(parameter.detach().numpy(), wanted, atol=1e-6)


def test_epochs_are_scored_by_the_mean_that_a_run_ends_with(
    run: Run, short_sample: dict[str, Split]
) -> None:
    judged: list[np.ndarray] = []

    def score(found: np.ndarray, targets: np.ndarray) -> float:
        judged.append(found)
        return validation_score(found, targets)

    split = short_sample["validation"]
    changed = {"averaged_share": 0.5, "learning_rate": 1e-2}
    watched = run("watched", validation=Validation(split, score), **changed)
    found, wanted = (np.sort(each, axis=0) for each in (judged[-1], logits(watched, split)))
    np.testing.assert_allclose(found, wanted, atol=1e-5)  # sorted: they are judged by length
    plain = run("plain", validation=Validation(split, score), learning_rate=1e-2)
    assert np.abs(np.sort(judged[-1], axis=0) - wanted).max() > 1e-3
    # Looking changes nothing that is trained.
    assert same(watched, run("unwatched", **changed))
    assert not same(watched, plain)


def test_the_mean_of_weights_and_the_best_epoch_are_two_choices() -> None:
    values = load_recipe("strong").values()
    with pytest.raises(ValueError, match="set one to 0"):
        Recipe.model_validate(values | {"averaged_share": 0.1, "early_stopping_patience": 1})

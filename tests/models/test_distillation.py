"""Learning from teachers: the loss, where it leads, and that an interruption changes no bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Trainer, TrainerCallback

from goemo_eval.data.dataset import Split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.errors import CheckpointError
from goemo_eval.measure.scoring import validation_score
from goemo_eval.models import states
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.distillation import (
    Teacher,
    apart,
    distillation_loss,
    mean_teacher,
    taught_loss,
    with_teacher,
)
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.losses import loss_of
from goemo_eval.models.pretrained import load_pretrained
from goemo_eval.models.recipes import Recipe, load_recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.models.validation import Validation
from goemo_eval.models.weights import find_weights

KINDS = {"raw": "multilabel", "simplified": "multiclass"}


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 3, shape)).float()


def softened(logits: torch.Tensor, kind: str, temperature: float) -> np.ndarray:
    """Probabilities, written out in float64; of a label's yes and no where it stands alone."""
    z = logits.double().numpy() / temperature
    if kind == "multiclass":
        powers = np.exp(z - z.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    yes = 1 / (1 + np.exp(-z))
    return np.stack([yes, 1 - yes], axis=-1)


@pytest.mark.parametrize("kind", KINDS.values())
@given(seed=st.integers(0, 99), temperature=st.sampled_from([0.5, 1.0, 4.0]))
def test_the_distance_is_the_divergence_and_what_the_teacher_leaves_open(
    kind: str, seed: int, temperature: float
) -> None:
    own, aim = numbers(seed, 5, 3), numbers(seed + 1000, 5, 3)
    p, q = softened(aim, kind, temperature), softened(own, kind, temperature)
    divergence = (p * np.log(p / q)).sum(axis=-1)
    entropy = -(p * np.log(p)).sum(axis=-1)
    expected = temperature**2 * (divergence + entropy).mean()
    found = distillation_loss(own, aim, kind=kind, temperature=temperature)
    assert found.item() == pytest.approx(expected, rel=1e-4)
    alike = distillation_loss(aim, aim, kind=kind, temperature=temperature)
    assert alike.item() == pytest.approx(temperature**2 * entropy.mean(), rel=1e-4)
    assert alike <= found + 1e-6


def test_a_higher_temperature_keeps_the_size_of_the_gradient() -> None:
    """Of small logits, in the limit of section 2.1 of the paper."""
    aim = numbers(1, 4, 3) / 100
    sizes = []
    for temperature in (2.0, 20.0):
        own = (numbers(2, 4, 3) / 100).requires_grad_()
        distillation_loss(own, aim, kind="multiclass", temperature=temperature).backward()  # type: ignore[no-untyped-call]
        assert own.grad is not None
        sizes.append(own.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


@pytest.mark.parametrize(
    ("kind", "targets"), [("multilabel", [[1.0, 0.0, 1.0]]), ("multiclass", [2])]
)
@pytest.mark.parametrize("changed", [{}, {"label_weighting": "inverse", "loss": "focal"}])
def test_one_weight_mixes_true_targets_and_teacher(
    kind: str, targets: list[Any], changed: dict[str, Any]
) -> None:
    values = load_recipe("study").model_dump() | changed
    own, said = numbers(3, 1, 3), numbers(4, 1, 3)
    [row] = with_teacher([{"input_ids": [1], "labels": targets[0]}], said.numpy())
    assert row["input_ids"] == [1]
    carried = torch.tensor([row["labels"]])
    true, teacher = apart(carried, n_labels=3, kind=kind)
    assert true.tolist() == targets
    assert teacher is not None
    torch.testing.assert_close(teacher, said)

    def loss(weight: float, given: torch.Tensor) -> float:
        recipe = Recipe.model_validate(
            values | {"teacher_weight": weight, "teacher_temperature": 2.0}
        )
        plain = loss_of(recipe, kind=kind, counts=np.array([1, 2, 3]))
        return taught_loss(recipe, plain, kind=kind)(own, given).item()

    alone = loss(0.25, torch.tensor(targets))  # as rows of validation are
    soft = distillation_loss(own, said, kind=kind, temperature=2.0).item()
    assert loss(0.0, carried) == pytest.approx(alone)
    assert loss(1.0, carried) == pytest.approx(soft)
    assert loss(0.25, carried) == pytest.approx(0.75 * alone + 0.25 * soft)


def test_several_teachers_are_their_mean_and_known_by_their_bits() -> None:
    one, other = np.zeros((2, 3), np.float32), np.full((2, 3), 4, np.float32)
    mean = mean_teacher([one, other], notes=["a", "b"])
    assert mean.logits.dtype == np.float32
    assert (mean.logits == 2).all()
    assert mean.notes == ("a", "b")
    assert mean.sha256 == Teacher(np.full((2, 3), 2, np.float32)).sha256
    assert mean.sha256 != Teacher(np.full((3, 2), 2, np.float32)).sha256


@pytest.fixture
def run(
    weights_dir: Callable[..., Path],
    sample: dict[str, Split],
    head_of: Callable[[Split, int], Split],
    quick_recipe: Recipe,
    tmp_path: Path,
) -> Callable[..., Checkpoint]:
    """Teach a tiny encoder, with dropout, in 10 steps."""
    directory = weights_dir(head=False)
    encoder = get_encoder("tiny", directory)
    train = head_of(sample["train"], 40)

    def start(
        out: str,
        *,
        scheme: str = "raw",
        teacher: Teacher | None = None,
        watch: bool = False,
        **changed: Any,
    ) -> Checkpoint:
        recipe = quick_recipe.model_dump() | {
            "epochs": 2,
            "batch_size": 8,
            "max_length": 16,
            "teacher_weight": 0.5,
        }
        validation = Validation(head_of(sample["validation"], 16), validation_score)
        return fine_tune(
            encoder,
            get_scheme(scheme),
            train,
            recipe=Recipe.model_validate(recipe | changed),
            weights=find_weights(encoder, directory),
            out=tmp_path / out,
            partial=tmp_path / f"{out}-states",
            validation=validation if watch else None,
            teacher=teacher,
        )

    return start


def teacher_of(seed: int = 0) -> Teacher:
    logits = np.random.default_rng(seed).normal(-2, 2, (40, 28)).astype(np.float32)
    return Teacher(logits, ("taught by chance",))


@pytest.mark.parametrize("scheme", KINDS)
def test_a_student_comes_near_its_teacher(
    run: Callable[..., Checkpoint], sample: dict[str, Split], scheme: str
) -> None:
    """Of a teacher who says the same of every text, a few steps are enough; the targets say otherwise."""
    said = np.tile(np.linspace(-4, 4, 28, dtype=np.float32), (40, 1))
    options = {"learning_rate": 0.05, "teacher_weight": 1.0, "epochs": 8}
    taught = run("taught", scheme=scheme, teacher=Teacher(said, ("taught by a line",)), **options)
    plain = run("plain", scheme=scheme, teacher_weight=0.0)
    assert taught.notes == ("taught by a line",)
    assert plain.notes == ()

    def likeness(checkpoint: Checkpoint) -> float:
        loaded = load_pretrained(checkpoint)
        inputs = loaded.tokenizer(
            list(sample["train"].texts[:40]), padding=True, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = loaded.module(inputs["input_ids"], inputs["attention_mask"]).logits.numpy()
        return float(np.corrcoef(logits.mean(axis=0), said[0])[0, 1])

    assert likeness(taught) > 0.9
    assert likeness(plain) < 0.7


def test_validation_is_scored_on_its_true_targets(run: Callable[..., Checkpoint]) -> None:
    """An epoch is chosen, and a prior shifted, by targets that no teacher stands behind."""
    for scheme in KINDS:
        changed = {"early_stopping_patience": 1, "prior_shift": "validation"}
        found = run(scheme, scheme=scheme, teacher=teacher_of(), watch=True, **changed)
        assert (found.prior_shift is not None) == (scheme == "simplified")


@pytest.mark.parametrize("scheme", KINDS)
def test_an_interrupted_lesson_goes_on_to_the_same_bits(
    run: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str
) -> None:
    monkeypatch.setattr(states, "SECONDS_BETWEEN", 0.0)
    whole = run("whole", scheme=scheme, teacher=teacher_of())
    steps: list[int] = []

    class Interrupt(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            steps.append(state.global_step)
            if state.global_step == 7 and len(steps) == 7:
                raise KeyboardInterrupt

    plain = Trainer.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        plain(self, *args, **options)
        self.add_callback(Interrupt())

    monkeypatch.setattr(Trainer, "__init__", init)
    with pytest.raises(KeyboardInterrupt):
        run("cut", scheme=scheme, teacher=teacher_of())
    assert run("cut", scheme=scheme, teacher=teacher_of()).content_sha256 == whole.content_sha256
    assert steps == [*range(1, 8), *range(7, 11)]  # the sixth step's state was the last one written
    # The states of another teacher's lesson are no start for this one.
    other = run("other", scheme=scheme, teacher=teacher_of(1))
    assert other.content_sha256 != whole.content_sha256
    (tmp_path / "whole-states").rename(tmp_path / "mixed-states")
    again = run("mixed", scheme=scheme, teacher=teacher_of(1))
    assert again.content_sha256 == other.content_sha256


def test_a_recipe_and_its_teacher_belong_together(run: Callable[..., Checkpoint]) -> None:
    with pytest.raises(CheckpointError, match=r"teacher_weight 0.5 and no teacher: pass one with"):
        run("x")
    with pytest.raises(CheckpointError, match=r"teacher_weight 0 and a teacher: pass one with"):
        run("x", teacher=teacher_of(), teacher_weight=0.0)

"""An interrupted fine-tuning goes on to the bits of an undisturbed one, or starts again."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import Trainer, TrainerCallback

from goemo_eval.data.dataset import Split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.models import states
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.models.validation import Validation
from goemo_eval.models.weights import find_weights

from .conftest import save_model, save_tokenizer

STEPS = 10  # 2 epochs of 5 batches; a state after each step
CUT = 8
FILES = (
    *("model.safetensors", "config.json", "optimizer.pt", "scheduler.pt", "rng_state.pth"),
    *("trainer_state.json", "training_args.bin", "tokenizer.json", "tokenizer_config.json"),
    *("averaged.pt", "goemo_state.json"),
)
Run = Callable[..., Checkpoint]


@pytest.fixture(scope="module", autouse=True)
def _a_state_after_each_step() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "SECONDS_BETWEEN", 0.0)
        yield


class Interrupt(TrainerCallback):
    """Ends a run as Ctrl-C does."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == CUT:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    sample: dict[str, Split],
    head_of: Callable[[Split, int], Split],
    quick_recipe: Recipe,
) -> Run:
    """Fine-tune a tiny encoder; with dropout, so that the generator's state matters."""
    directory = tmp_path_factory.mktemp("states") / "weights"
    save_model(directory, head=False)
    save_tokenizer(directory)
    encoder = get_encoder("tiny", directory)
    weights = find_weights(encoder, directory)
    train = head_of(sample["train"], 40)

    def start(where: Path, *, seed: int = 0, validation: Any = None, **changed: Any) -> Checkpoint:
        recipe = quick_recipe.model_dump() | {"epochs": 2, "batch_size": 8, "max_length": 16}
        if validation is None:
            recipe["averaged_share"] = 0.5  # of which two steps lie before the cut
        return fine_tune(
            encoder,
            get_scheme("raw"),
            train,
            recipe=Recipe.model_validate(recipe | changed),
            weights=weights,
            out=where / "out",
            partial=where / "partial",
            seed=seed,
            validation=validation,
        )

    return start


@pytest.fixture(scope="module")
def whole(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """An undisturbed run."""
    return run(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def interrupted(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves that was interrupted: the states after steps 6 and 7."""
    where = tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as patch:
        plain = Trainer.__init__

        def init(self: Any, *args: Any, **options: Any) -> None:
            plain(self, *args, **options)
            self.add_callback(Interrupt())

        patch.setattr(Trainer, "__init__", init)
        with pytest.raises(KeyboardInterrupt):
            run(where)
    kept = sorted(state.name for state in (where / "partial").iterdir())
    assert kept == ["checkpoint-6", "checkpoint-7"]
    assert {file.name for file in (where / "partial" / "checkpoint-7").iterdir()} == {*FILES}
    return where / "partial"


@pytest.fixture
def left(interrupted: Path, tmp_path: Path) -> Path:
    """A copy of those states, where the next run looks for them."""
    return Path(shutil.copytree(interrupted, tmp_path / "partial"))


def resume(run: Run, left: Path, **options: Any) -> Checkpoint:
    return run(left.parent, **options)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each step that is trained."""
    taken: list[int] = []
    step = Trainer.training_step
    monkeypatch.setattr(
        Trainer, "training_step", lambda self, *a, **k: (taken.append(1), step(self, *a, **k))[1]
    )
    return taken


def test_it_goes_on_to_the_same_bits(
    run: Run, whole: Checkpoint, left: Path, steps: list[int]
) -> None:
    assert resume(run, left).content_sha256 == whole.content_sha256
    assert len(steps) == STEPS - 7


@pytest.mark.parametrize("name", FILES)
def test_a_state_that_lost_a_file_is_not_gone_on_from(
    run: Run,
    whole: Checkpoint,
    left: Path,
    steps: list[int],
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (left / "checkpoint-7" / name).unlink()
    assert resume(run, left).content_sha256 == whole.content_sha256
    assert len(steps) == STEPS - 6
    [note] = caplog.messages
    assert "checkpoint-7" in note
    assert "goes on from an earlier state or the start" in note
    assert "\n" not in note


@pytest.mark.parametrize(
    ("name", "damage"),
    [("optimizer.pt", "altered"), ("rng_state.pth", "empty"), ("goemo_state.json", "cut")],
)
def test_nor_is_one_with_an_altered_file(
    run: Run, whole: Checkpoint, left: Path, steps: list[int], name: str, damage: str
) -> None:
    file = left / "checkpoint-7" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    new = {"altered": content, "cut": content[: len(content) // 2], "empty": b""}[damage]
    file.write_bytes(new)
    assert resume(run, left).content_sha256 == whole.content_sha256
    assert len(steps) == STEPS - 6


def test_without_a_whole_state_it_starts_again(
    run: Run, whole: Checkpoint, left: Path, steps: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    (left / "checkpoint-7" / "optimizer.pt").unlink()
    (left / "checkpoint-6" / "rng_state.pth").unlink()
    (left / "checkpoint-8").mkdir()  # a killed process had just begun
    (left / "checkpoint-x").mkdir()
    (left / "tmp").mkdir()
    assert resume(run, left).content_sha256 == whole.content_sha256
    assert len(steps) == STEPS
    assert len(caplog.records) == 3
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


@pytest.mark.parametrize("changed", [{"seed": 1}, {"epochs": 3}])
def test_another_runs_state_is_not_gone_on_from(
    run: Run, left: Path, steps: list[int], changed: dict[str, Any], tmp_path: Path
) -> None:
    found = resume(run, left, **changed)
    taken = len(steps)
    assert taken == STEPS * changed.get("epochs", 2) // 2
    assert run(tmp_path / "fresh", **changed).content_sha256 == found.content_sha256


def test_a_finished_run_whose_checkpoint_was_not_taken(
    run: Run, whole: Checkpoint, tmp_path: Path, steps: list[int]
) -> None:
    run(tmp_path)
    shutil.rmtree(tmp_path / "out")
    assert run(tmp_path).content_sha256 == whole.content_sha256
    assert len(steps) == STEPS


@pytest.mark.parametrize("lost", ["the last", "the best", "neither"])
def test_the_best_epochs_state_is_needed_too(
    run: Run, sample: dict[str, Split], tmp_path: Path, steps: list[int], lost: str
) -> None:
    """Early stopping ends with the best epoch's weights, which lie in a state of their own."""
    by_epoch = {1: 0.2, 2: 0.5, 3: 0.4, 4: 0.3}
    options: dict[str, Any] = {"epochs": 6, "early_stopping_patience": 2}

    def scored(until: int, epochs: list[int]) -> Validation:
        def after(epoch: int, _: float) -> None:
            if epoch > until:
                raise KeyboardInterrupt

        def score(*_: Any) -> float:
            epochs.append(1)
            return by_epoch[len(epochs)]

        return Validation(sample["validation"], score, after)

    undisturbed = run(tmp_path / "whole", validation=scored(9, []), **options)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", validation=scored(3, []), **options)
    left = tmp_path / "cut" / "partial"
    assert {state.name for state in left.iterdir()} == {"checkpoint-10", "checkpoint-15"}
    gone = {"the last": "checkpoint-15", "the best": "checkpoint-10"}.get(lost)
    if gone:
        (left / gone / "model.safetensors").unlink()
    done = {"neither": 3, "the last": 2, "the best": 0}[lost]
    steps.clear()
    found = run(tmp_path / "cut", validation=scored(9, [1] * done), **options)
    assert found.content_sha256 == undisturbed.content_sha256
    assert len(steps) == 5 * (4 - done)

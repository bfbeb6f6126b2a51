from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from goemo_eval import cpu
from goemo_eval.cpu import ISA_LIMITS
from goemo_eval.errors import CheckpointError
from goemo_eval.models import recipes
from goemo_eval.models.compute import has_bf16
from goemo_eval.models.recipes import Recipe, load_recipe, recipe_names, recipe_toml


def test_the_studys_values() -> None:
    study = load_recipe("study")
    assert (study.epochs, study.batch_size) == (3, 32)
    assert (study.learning_rate, study.weight_decay) == (5e-5, 0.01)
    assert recipe_names() == ("distil", "sample", "strong", "study")


GOOD = "epochs = 2\nbatch_size = 8\nlearning_rate = 1e-4\nschedule = 'linear'\nweight_decay = 0.0\nwarmup_ratio = 0.1\nmax_length = 64\n"


def test_recipe_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert load_recipe(str(path)).name == "mine"


def test_a_recipe_based_on_another_says_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "based_on = 'strong'\nepochs = 5\n[encoder.minilm]\nepochs = 2\n[encoder.albert]\nlearning_rate = 1e-5\n"
    )
    mine, strong = load_recipe(str(path)), load_recipe("strong")
    assert mine.values() == strong.values() | {"name": "mine", "epochs": 5}
    assert mine.scheme == strong.scheme
    # A table replaces the base's table of that name, and leaves the others.
    changed = {"minilm": {"epochs": 2}, "albert": {"learning_rate": 1e-5}}
    assert mine.encoder == {**strong.encoder, **changed}
    assert load_recipe("distil").encoder == strong.encoder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs", "based_on = 'stong'\nepochs"), "mine.toml: based_on: unknown recipe 'stong'"),
        (("epochs", "based_on = 'mine.toml'\nepochs"), "mine.toml: based_on: unknown recipe"),
        (("epochs", "based_on = 3\nepochs"), "mine.toml: based_on: unknown recipe '3': known are"),
        (
            ("= 2", "= 2\nbased_on = 'strong'\nencoder = 3"),
            "mine.toml: encoder: Input should be a valid",
        ),
        (("1e-4", "-1e-4"), "mine.toml: learning_rate: Input should be greater than 0"),
        (("1e-4", "nan"), "mine.toml: learning_rate"),
        (("epochs", "epoch"), "mine.toml: epochs: Field required"),
        (("max_length", "dropout = 1\nmax_length"), "mine.toml: dropout: Extra inputs"),
        (("= 2", "= 'two'"), "mine.toml: epochs: Input should be a valid integer"),
        (("'linear'", "'cosin'"), "mine.toml: schedule: Input should be 'constant', 'linear' or"),
        (("max_length", "loss = 'mse'\nmax_length"), "mine.toml: loss: Input should be 'bce'"),
        (("max_length", "layer_decay = 0.0\nmax_length"), "mine.toml: layer_decay: Input should"),
        (("= 2", "= "), "mine.toml: not a recipe in TOML"),
        (("= 2", "= 2\nname = 'x'"), "mine.toml: not a recipe in TOML"),
        (("= 64", "= 64\n[encoder.a]\nepochs = 0"), "mine.toml: encoder.a.epochs: Input should"),
        (("= 64", "= 64\n[scheme.raw]\nrate = 1"), "mine.toml: scheme.raw.rate: Extra inputs"),
        (("= 64", "= 64\n[scheme.raw]\nname = 'x'"), "mine.toml: name: cannot differ"),
        (("= 64", "= 64\n[head]\nepochs = 1"), "mine.toml: head: Extra inputs"),
        (("= 2", "= 999999999999"), "mine.toml: epochs: Input should be less than or equal to"),
        (("= 2", "= " + "9" * 5000), "mine.toml: not a recipe in TOML"),
        (("= 2", "= " + "9" * 400), "mine.toml: epochs: Input should be less than or equal to"),
        (("= 2", "= true"), "mine.toml: epochs: Input should be a valid integer"),
        (("= 2", "= 2.0"), "mine.toml: epochs: Input should be a valid integer"),
        (("= 2", "= 2020-01-01"), "mine.toml: epochs: Input should be a valid integer"),
        (("= 2", "= " + "[" * 100_000), "mine.toml: not a recipe in TOML"),
        (("= 8\n", "= 0\n"), "mine.toml: batch_size: Input should be greater than or equal"),
        (("= 8\n", "= 1000000\n"), "mine.toml: batch_size: Input should be less than or equal"),
        (("1e-4", "1.5"), "mine.toml: learning_rate: Input should be less than or equal to 1"),
        (("1e-4", "inf"), "mine.toml: learning_rate"),
        (("= 0.0", "= 1e300"), "mine.toml: weight_decay: Input should be less than or equal"),
        (("= 64", "= 4"), "mine.toml: max_length: Input should be greater than or equal to 8"),
        (("= 64", "= 100000"), "mine.toml: max_length: Input should be less than or equal to"),
        (
            ("= 64", "= 64\ncompute = 'fp16'"),
            "mine.toml: compute: Input should be 'auto', 'fp32' or",
        ),
        (("= 64", '= 64\n"a\\u001b[2J" = 1'), "mine.toml: a\\x1b[2J: Extra inputs"),
        (("= 64", "= 64\nepochs = 3"), "mine.toml: not a recipe in TOML"),
        (("= 64", "= 64\nencoder = 3"), "mine.toml: encoder: Input should be a valid"),
        (("= 64", "= 64\n[encoder]\na = 3"), "mine.toml: encoder.a: Input should be a valid"),
    ],
)
def test_malformed(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(*change, 1))
    with pytest.raises(CheckpointError) as raised:
        load_recipe(str(path))
    assert message in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500


def test_files_that_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"# {'x' * (50 << 20)}\n{GOOD}")
    with pytest.raises(
        CheckpointError, match=r"mine.toml: 52,.* bytes: at most 1,048,576 are read"
    ):
        load_recipe(str(path))
    path.write_bytes(b"\xff" + GOOD.encode())
    with pytest.raises(CheckpointError, match="is not UTF-8: save the file as UTF-8"):
        load_recipe(str(path))
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_recipe(str(path)).epochs == 2
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="no regular file: pass a file"):
        load_recipe(str(path))
    (tmp_path / "sub.toml").mkdir()
    with pytest.raises(CheckpointError, match="no regular file"):
        load_recipe(str(tmp_path / "sub.toml"))
    odd = tmp_path / "a\x1bb.toml"
    odd.write_text(GOOD)
    with pytest.raises(CheckpointError, match="name: String should match pattern"):
        load_recipe(str(odd))


def test_unknown(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="unknown recipe 'strng': known are distil, sample, strong, study"
    ):
        load_recipe("strng")
    with pytest.raises(CheckpointError, match=r"nowhere.toml: cannot read"):
        load_recipe(str(tmp_path / "nowhere.toml"))


def test_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    changed = {"name": "mine", "loss": "focal", "learning_rate": 3e-7, "layer_decay": 0.9}
    recipe = Recipe.model_validate(load_recipe("study").model_dump() | changed)
    path.write_text(recipe_toml(recipe, comment="found by\nsomebody"))
    assert path.read_text().startswith("# found by\n# somebody\nepochs = 3\n")
    assert load_recipe(str(path)) == recipe


def test_what_training_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_recipe("study")
    # A further field with a default, or another way to decide, trains nothing again.
    assert study.training_facts() == {
        "name": "study",
        "epochs": 3,
        "batch_size": 32,
        "learning_rate": 5e-5,
        "schedule": "constant",
        "weight_decay": 0.01,
        "warmup_ratio": 0.0,
        "max_length": 128,
    }
    chosen = study.model_copy(update={"threshold_strategy": "chosen"})
    assert chosen.training_facts() == study.training_facts()
    # What is computed in is what it means on this machine.
    auto = study.model_copy(update={"compute": "auto"})
    monkeypatch.setattr(recipes, "has_bf16", lambda: False)
    assert auto.training_facts() == study.training_facts()
    monkeypatch.setattr(recipes, "has_bf16", lambda: True)
    assert auto.training_facts() == study.training_facts() | {"compute": "bf16"}
    focal = study.model_copy(update={"loss": "focal"})
    assert focal.training_facts() == study.training_facts() | {"loss": "focal"}


def test_tables_for_an_encoder_and_a_scheme(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        f"{GOOD}[encoder.albert]\nlearning_rate = 2e-5\nloss = 'focal'\n"
        "[scheme.simplified]\nlearning_rate = 3e-5\n"
    )
    recipe = load_recipe(str(path))
    assert recipe.for_cell("minilm", "raw").learning_rate == 1e-4
    assert recipe.for_cell("albert", "raw").learning_rate == 2e-5
    both = recipe.for_cell("albert", "simplified")
    assert (both.learning_rate, both.loss) == (3e-5, "focal")
    assert not both.encoder
    # What another cell does is no reason to train this one anew.
    plain = Recipe.model_validate(recipe.model_dump() | {"encoder": {}, "scheme": {}})
    assert recipe.for_cell("minilm", "raw").training_facts() == plain.training_facts()
    path.write_text(recipe_toml(recipe))
    assert load_recipe(str(path)) == recipe


def test_bf16_is_used_by_its_instructions_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("ATEN_CPU_CAPABILITY", "FBGEMM_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpu, "cpu", lambda: ("a cpu", ("avx2",)))
    assert not has_bf16()
    monkeypatch.setattr(cpu, "cpu", lambda: ("a cpu", ("avx2", "avx512_bf16")))
    assert has_bf16()
    for name, value in ISA_LIMITS["avx2"].items():
        monkeypatch.setenv(name, value)
    assert not has_bf16()  # it may not use them


def test_distil_is_strong_with_teachers() -> None:
    taught, strong = load_recipe("distil"), load_recipe("strong")
    assert taught.teacher_weight > 0
    changed = {"name", "teacher_weight", "teacher_temperature"}
    assert taught.model_dump(exclude=changed) == strong.model_dump(exclude=changed)

from __future__ import annotations

from pathlib import Path

import pytest

from goemo_eval.errors import CheckpointError
from goemo_eval.models.recipes import Recipe, load_recipe, recipe_names, recipe_toml


def test_the_studys_values() -> None:
    study = load_recipe("study")
    assert (study.epochs, study.batch_size) == (3, 32)
    assert (study.learning_rate, study.weight_decay) == (5e-5, 0.01)
    assert recipe_names() == ("sample", "strong", "study")


GOOD = "epochs = 2\nbatch_size = 8\nlearning_rate = 1e-4\nschedule = 'linear'\nweight_decay = 0.0\nwarmup_ratio = 0.1\nmax_length = 64\n"


def test_recipe_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert load_recipe(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
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
    ],
)
def test_malformed(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(*change, 1))
    with pytest.raises(CheckpointError, match=message):
        load_recipe(str(path))


def test_unknown(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="unknown recipe 'strng': known are sample, strong, study"
    ):
        load_recipe("strng")
    with pytest.raises(CheckpointError, match="cannot read the recipe"):
        load_recipe(str(tmp_path / "nowhere.toml"))


def test_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    changed = {"name": "mine", "loss": "focal", "learning_rate": 3e-7, "layer_decay": 0.9}
    recipe = Recipe.model_validate(load_recipe("study").model_dump() | changed)
    path.write_text(recipe_toml(recipe, comment="found by\nsomebody"))
    assert path.read_text().startswith("# found by\n# somebody\nepochs = 3\n")
    assert load_recipe(str(path)) == recipe


def test_what_training_depends_on() -> None:
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

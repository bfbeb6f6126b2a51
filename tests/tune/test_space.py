from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from goemo_eval.errors import TuneError
from goemo_eval.models.recipes import load_recipe
from goemo_eval.tune.space import Space, read_space


@pytest.fixture
def read(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write_and_read(text: str) -> Space:
        path = tmp_path / "space.toml"
        path.write_text(text)
        return read_space(path, load_recipe("study"))

    return write_and_read


def test_grid(read) -> None:  # type: ignore[no-untyped-def]
    space = read("epochs = [1, 2]\nloss = ['bce', 'focal']\nlayer_decay = [0.9]")
    assert space.fields == ("epochs", "loss", "layer_decay")
    assert space.grid() == [
        {"epochs": e, "loss": loss, "layer_decay": 0.9} for e in (1, 2) for loss in ("bce", "focal")
    ]
    recipe = space.recipe(space.grid()[1], name="x")
    assert (recipe.name, recipe.epochs, recipe.loss, recipe.batch_size) == ("x", 1, "focal", 32)


def test_random_points_are_inside_and_always_the_same(read) -> None:  # type: ignore[no-untyped-def]
    space = read(
        "learning_rate = { low = 1e-5, high = 1e-3, log = true }\n"
        "epochs = { low = 2, high = 4 }\n"
        "warmup_ratio = { low = 0.0, high = 0.2 }\n"
        "loss = ['bce', 'focal']"
    )
    points = list(islice(space.random(0), 200))
    assert points[:50] == list(islice(space.random(0), 50))
    assert points[:50] != list(islice(space.random(1), 50))
    assert {p["epochs"] for p in points} == {2, 3, 4}
    assert {p["loss"] for p in points} == {"bce", "focal"}
    assert all(1e-5 <= p["learning_rate"] <= 1e-3 for p in points)
    assert 60 < sum(p["learning_rate"] < 1e-4 for p in points) < 140  # even in the logarithm
    for point in points[:20]:
        space.recipe(point, name="x")
    with pytest.raises(TuneError, match="learning_rate: a grid needs a list"):
        space.grid()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "searches nothing"),
        ("epoch = [1]", "unknown recipe field 'epoch': known are averaged_share"),
        ("name = ['a']", "unknown recipe field 'name'"),
        ("epochs = []", "epochs: an empty list"),
        ("epochs = [1, 1]", "epochs: a value stands twice"),
        ("epochs = 3", "epochs: expected a list of values or"),
        ("epochs = [0, 1]", "epochs: 0: Input should be greater than or equal to 1"),
        ("epochs = ['two']", "epochs: 'two': Input should be a valid integer"),
        ("loss = ['mse']", "loss: 'mse': Input should be 'bce'"),
        ("epochs = [1979-05-27]", "epochs: datetime.date.1979, 5, 27.: Input should be a valid"),
        ("epochs = 1979-05-27", "epochs: expected a list of values or"),
        ("epochs = [true]", "epochs: True: Input should be a valid integer"),
        ("epochs = [nan]", "epochs: nan: Input should be"),
        ("epochs = [[1]]", "epochs: .1.: Input should be a valid integer"),
        ("epochs = [{ low = 1 }]", "epochs: .'low': 1.: Input should be a valid integer"),
        (f"epochs = [{'9' * 400}]", "epochs: 9+[.]{3}: "),
        (f"epochs = [{'9' * 5000}]", "not a search space in TOML"),
        (f"epochs = {{ low = 1, high = {'9' * 400} }}", "low must be below high, and both finite"),
        ("learning_rate = { low = 1e-4, high = inf }", "low must be below high, and both finite"),
        ("learning_rate = { low = nan, high = 1e-3 }", "low must be below high, and both finite"),
        ("learning_rate = { low = true, high = 1e-3 }", "expected numbers low and high"),
        ("learning_rate = { low = 1e-4, high = 1e-3, log = 1 }", "log = true or false"),
        ('"a\\u001b[2J" = [1]', "unknown recipe field 'a.*x1b.2J'"),
        ('epochs = ["\\u001b[2J"]', "epochs: '.*x1b.2J': Input should be"),
        ("a = " + "[" * 100_000, "not a search space in TOML"),
        ("learning_rate = [-1e-4]", "learning_rate: -0.0001: Input should be greater than 0"),
        ("learning_rate = { low = 1e-3, high = 1e-4 }", "low must be below high"),
        ("learning_rate = { low = 0.0, high = 1e-4 }", "learning_rate: 0.0: Input should be"),
        ("weight_decay = { low = 0.0, high = 0.1, log = true }", "must begin above 0"),
        ("learning_rate = { low = 1e-4, hi = 1e-3 }", "unknown key of a range 'hi'"),
        ("learning_rate = { low = 1e-4 }", "expected numbers low and high"),
        ("epochs = [", "not a search space in TOML"),
    ],
)
def test_malformed(read, text: str, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TuneError, match=message) as raised:
        read(text)
    assert str(raised.value).isprintable()
    with pytest.raises(TuneError, match=r"nowhere\.toml: cannot read"):
        read_space(Path("nowhere.toml"), load_recipe("study"))

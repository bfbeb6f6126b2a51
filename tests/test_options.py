from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from goemo_eval.errors import OptionError
from goemo_eval.options import Options, find_run_file, pytest_table, read_options, views
from goemo_eval.pytest_plugin import TABLE

RUN_FILE = """
[data]
source = "tickets.csv"
labels = ["billing", "bug"]

[run]
encoders = ["tfidf", "minilm"]
seeds = [1, 2]
store = "kept"
weights = { mine = "weights" }

[budgets]
max_int8_drop = 0.02

[gate]
max_drop = 0.03

[encoders.mine]
model_type = "bert"

[schemes.urgent]
urgent = ["bug"]
"""


def write(directory: Path, text: str, name: str = "goemo.toml") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_run_file_fills_the_model_and_its_paths_start_from_it(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").touch()
    options = read_options({}, run_file=write(tmp_path, RUN_FILE))

    assert options.data == str(tmp_path / "tickets.csv")
    assert options.labels == ("billing", "bug")
    assert options.encoders == ("tfidf", "minilm")
    assert options.seeds == (1, 2)
    assert options.store == tmp_path / "kept"
    assert options.weights == {"mine": tmp_path / "weights"}
    assert options.budgets == {"max_int8_drop": 0.02}
    assert options.max_drop == 0.03
    assert options.encoder_tables == {"mine": {"model_type": "bert"}}
    assert options.groups == {"urgent": {"urgent": ("bug",)}}


def test_an_option_beats_the_file_and_the_file_beats_the_default(tmp_path: Path) -> None:
    path = write(tmp_path, "[run]\nencoders = ['a']\nthreads = 3\n")
    options = read_options({"encoders": "b,c", "train": None}, run_file=path)
    assert options.encoders == ("b", "c")
    assert options.threads == 3
    assert options.train == "missing"


def test_pyproject_holds_the_same_tables(tmp_path: Path) -> None:
    assert find_run_file(tmp_path) is None
    path = write(tmp_path, '[tool.goemo-eval.run]\nengines = ["torch"]\n', "pyproject.toml")
    assert find_run_file(tmp_path) == path
    assert read_options({}, run_file=path).engines == ("torch",)
    own = write(tmp_path, "")
    assert find_run_file(tmp_path) == own
    write(tmp_path, "[tool.other]\n", "pyproject.toml")
    own.unlink()
    assert find_run_file(tmp_path) is None


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"seeds": "1,x"}, "--seeds 1,x: expected integers"),
    ({"seeds": "-1"}, "--seeds -1"),
    ({"seeds": "9" * 400}, "--seeds"),
    ({"seeds": ""}, "--seeds"),
    ({"seeds": "१"}, "--seeds"),
    ({"threads": "0"}, "--threads 0"),
    ({"threads": "9" * 5000}, "--threads"),
    ({"threads": "two"}, "--threads two"),
    ({"max_drop": "nan"}, "--max-drop nan"),
    ({"max_drop": "-0.1"}, "--max-drop"),
    ({"max_drop": "1.5"}, "--max-drop"),
    ({"alpha": "0.5"}, "--alpha 0.5"),
    ({"alpha": "inf"}, "--alpha inf"),
    ({"gpus_per_cell": "nan"}, "--gpus-per-cell nan"),
    ({"train": "perhaps"}, "--train perhaps"),
    ({"dominance": "loudest"}, "--dominance loudest"),
    ({"isa": "sse"}, "--isa sse"),
    ({"timing": "never"}, "--timing never"),
    ({"int8_repair": "yes"}, "--int8-repair yes"),
    ({"executor": "slurm"}, "--executor slurm"),
    ({"weights": ["mine"]}, "--weights ['mine']: expected NAME=DIR"),
    ({"weights": ["=x"]}, "expected NAME=DIR"),
    ({"checkpoint": ["mine-raw="]}, "expected NAME=DIR"),
    ({"max_length": "1"}, "--max-length 1"),
    ({"split_seed": "-4"}, "--split-seed -4"),
    ({"unknown": "x"}, "--unknown x"),
]


@pytest.mark.parametrize(("given", "said"), MISTAKES)
def test_a_mistake_names_the_option_and_what_came(given: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError) as caught:
        read_options(given, run_file=None)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


FILES = [
    ("seeds", "not TOML"),
    ("[run\n", "not TOML"),
    ("[race]\n", "unknown table 'race'"),
    ("run = 3\n", "expected a table [run]"),
    ("[run]\nencoder = 'x'\n", "unknown key 'encoder'"),
    ("[data]\ndata = 'x'\n", "unknown key 'data'"),
    ("[run]\nseeds = [true]\n", "run.seeds"),
    ("[run]\nseeds = ['1', 'x']\n", "run.seeds"),
    ("[run]\nseeds = []\n", "run.seeds"),
    ("[run]\nthreads = 1e400\n", "run.threads"),
    ("[run]\nthreads = " + "9" * 5000 + "\n", "goemo.toml"),
    ("[run]\nencoders = 3\n", "run.encoders"),
    ("[run]\nweights = 3\n", "run.weights"),
    ("[gate]\nmax_drop = nan\n", "gate.max_drop"),
    ("[gate]\nmax_drop = 'much'\n", "gate.max_drop"),
    ("[schemes]\nmine = 3\n", "schemes"),
    ("[schemes.mine]\na = 'b'\n", "schemes"),
    ("[run]\nstarted = 2026-01-01\n", "unknown key"),
    ("[run]\nthreads = 2026-01-01\n", "run.threads"),
    ("a = " + "[" * 100_000, "not TOML"),
]


@pytest.mark.parametrize(("text", "said"), FILES)
def test_a_malformed_run_file_is_named_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(OptionError) as caught:
        read_options({}, run_file=path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_and_sizes_that_are_no_run_file(tmp_path: Path) -> None:
    path = tmp_path / "goemo.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match="not UTF-8"):
        read_options({}, run_file=path)
    path.write_bytes(b"# " + b"x" * (2 << 20))
    with pytest.raises(OptionError, match="at most"):
        read_options({}, run_file=path)
    with pytest.raises(OptionError, match="cannot read"):
        read_options({}, run_file=tmp_path / "none.toml")
    with pytest.raises(OptionError, match="no regular file"):
        read_options({}, run_file=Path("/dev/zero"))


def test_every_field_has_a_help_text_and_pytests_table_is_that_of_the_model() -> None:
    assert all(view.help for view in views())
    assert {view.name for view in views()} == Options.model_fields.keys() - {
        "encoder_tables",
        "groups",
    }
    assert json.loads(TABLE.read_text(encoding="utf-8")) == json.loads(pytest_table()), (
        'write it again: python -c "from goemo_eval.options import pytest_table; print(pytest_table())"'
    )

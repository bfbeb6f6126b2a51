"""The run file: what it fills, what beats it, and what of it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from goemo_eval.errors import OptionError
from goemo_eval.run_file import find_run_file, read_options

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

"""The search end to end on the tiny encoder: in this process, and by workers that die and share."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from PIL import Image

from goemo_eval.cli.app import main
from goemo_eval.errors import DivergedError, TuneError
from goemo_eval.models.recipes import load_recipe
from goemo_eval.tune import study
from goemo_eval.tune.queue import queue_again

Command = Callable[..., list[str]]

BASE = """epochs = 1
batch_size = 16
learning_rate = 1e-3
schedule = 'linear'
weight_decay = 0.01
warmup_ratio = 0.1
max_length = 16
"""


@pytest.fixture
def command(tmp_path: Path, tsv_dir: Callable[..., Path], tiny_weights_dir: Path) -> Command:
    """The arguments of ``goemo-eval`` for a search of the tiny encoder."""
    (tmp_path / "base.toml").write_text(BASE)

    def make(space: str, *more: str) -> list[str]:
        (tmp_path / "space.toml").write_text(space)
        return [
            "tune",
            str(tmp_path / "space.toml"),
            *("--encoder", "tiny", "--weights", f"tiny={tiny_weights_dir}", "--scheme", "raw"),
            *("--data", str(tsv_dir()), "--recipe", str(tmp_path / "base.toml")),
            *("--store", str(tmp_path / "store"), "--threads", "1", "--heartbeat-s", "3"),
            *more,
        ]

    return make


def trials_of(tmp_path: Path) -> list[optuna.trial.FrozenTrial]:
    url = f"sqlite:///{tmp_path / 'store' / 'tune' / 'studies.db'}"
    return optuna.load_study(study_name="tiny-raw-space", storage=url).get_trials()


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "trials.csv").read_text().splitlines()))


def finished(tmp_path: Path) -> list[optuna.trial.FrozenTrial]:
    return [t for t in trials_of(tmp_path) if t.state.name in ("COMPLETE", "PRUNED")]


def test_grid_killed_in_the_middle_then_two_workers(command: Command, tmp_path: Path) -> None:
    """2 x 2 points end as four finished trials, none twice, whoever ran them."""
    space = "epochs = [4, 5]\nlearning_rate = [1e-4, 1e-3]\n"
    arguments = command(space, "--sampler", "grid", "--no-prune")

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "goemo_eval", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    database = tmp_path / "store" / "tune" / "studies.db"
    first = start()
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.2)
        try:
            states = [t.state.name for t in trials_of(tmp_path)] if database.exists() else []
        except Exception:  # the tables are being made
            continue
        if states.count("COMPLETE") >= 1 and "RUNNING" in states:
            break
    assert first.poll() is None, first.communicate()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    before = len(finished(tmp_path))
    assert 1 <= before < 4
    workers = [start(), start()]
    outputs = [worker.communicate(timeout=600) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    done = finished(tmp_path)
    points = [(t.params["epochs"], t.params["learning_rate"]) for t in done]
    assert sorted(points) == [(e, r) for e in (4, 5) for r in (1e-4, 1e-3)]
    lost = [t for t in trials_of(tmp_path) if t.state.name == "FAIL" and "worker" in t.user_attrs]
    assert len(lost) == 1  # the killed worker's
    assert [t.user_attrs["retry_of"] for t in done if "retry_of" in t.user_attrs] == [
        lost[0].number
    ]
    assert len({t.user_attrs["worker"] for t in done}) == 3
    assert outputs[0][0].count("complete") == 4
    assert not list((tmp_path / "store" / "tune" / "tiny-raw-space").glob("*.partial"))


def test_a_worker_that_died_before_its_first_sign_of_life_loses_no_point(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = command("learning_rate = [1e-4, 3e-4]\n", "--sampler", "grid", "--no-prune")

    def dies(worker: Any, n_trials: int) -> None:
        with warnings.catch_warnings():  # that nobody gives signs of life is what is tested
            warnings.simplefilter("ignore")
            worker._study.ask()
        raise TuneError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("goemo_eval.tune.study._Worker.run_one", dies)
        assert main(arguments) == 2
    assert [t.state.name for t in trials_of(tmp_path)] == ["RUNNING", "WAITING"]
    assert main(arguments) == 0
    assert sorted(t.params["learning_rate"] for t in finished(tmp_path)) == [1e-4, 3e-4]
    assert [t.state.name for t in trials_of(tmp_path)].count("FAIL") == 1


def test_tpe_writes_table_recipe_and_importance(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = "learning_rate = { low = 1e-4, high = 1e-2, log = true }\nloss = ['bce', 'focal']\n"
    out = tmp_path / "out"
    arguments = command(space, "--sampler", "tpe", "--n-trials", "12", "--out", str(out))
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "best recipe:" in printed
    assert len(finished(tmp_path)) == 12
    rows = table(out)
    assert len(rows) == 12
    best = load_recipe(str(out / "best.toml"))
    assert best.learning_rate == float(rows[0]["learning_rate"])
    assert best.loss == rows[0]["loss"]
    assert best.epochs == 1
    complete = [float(r["validation_macro_f1"]) for r in rows if r["state"] == "complete"]
    assert complete[0] == max(complete)
    assert "validation Macro-F1" in (out / "best.toml").read_text().splitlines()[0]
    with Image.open(out / "importance.png") as image:
        assert image.format == "PNG"
    # Given again, it runs nothing; with more trials it goes on; as another search it is refused.
    assert main(arguments) == 0
    assert len(finished(tmp_path)) == 12
    more = [*arguments[:-3], "13", *arguments[-2:]]
    assert main(more) == 0
    assert len(finished(tmp_path)) == 13
    capsys.readouterr()
    assert main([*arguments, "--seed", "5"]) == 2
    assert "was begun with seed 0, not 5: pass another --study" in capsys.readouterr().err


def test_a_diverged_trial_is_pruned_and_told(
    command: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def diverges(*arguments: Any, recipe: Any, **options: Any) -> Any:
        if recipe.weight_decay > 1:
            raise DivergedError("fine-tuning tiny diverged (loss nan)")
        return fine_tune(*arguments, recipe=recipe, **options)

    fine_tune = study.fine_tune
    monkeypatch.setattr(study, "fine_tune", diverges)
    arguments = command(
        "weight_decay = [0.01, 10.0]\n", "--sampler", "grid", "--rows", "64", "--out", str(tmp_path)
    )
    assert main(arguments) == 0
    rows = table(tmp_path)
    assert [row["state"] for row in rows] == ["complete", "pruned"]
    assert "diverged" in rows[1]["why"]


def test_a_worker_that_was_taken_for_dead_drops_its_trial_and_goes_on(
    command: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Silent for too long, as on a machine that was asleep: what came of its trial is another's."""
    fine_tune, late = study.fine_tune, ["before an epoch", "after the last"]

    def taken() -> None:
        url = f"sqlite:///{tmp_path / 'store' / 'tune' / 'studies.db'}"
        others = optuna.load_study(study_name="tiny-raw-space", storage=url)
        running = next(t for t in others.get_trials() if t.state.name == "RUNNING")
        queue_again(others, others.tell(running.number, state=optuna.trial.TrialState.FAIL))

    def slow(*arguments: Any, **options: Any) -> Any:
        when = late.pop() if late else ""
        if when == "before an epoch":
            taken()
        done = fine_tune(*arguments, **options)
        if when == "after the last":
            taken()
        return done

    monkeypatch.setattr(study, "fine_tune", slow)
    assert main(command("epochs = [1, 2]\n", "--sampler", "grid", "--rows", "64")) == 0
    assert [t.params["epochs"] for t in finished(tmp_path)].count(1) == 1
    assert len(finished(tmp_path)) == 2
    assert [t.state.name for t in trials_of(tmp_path)].count("FAIL") == 2
    assert capsys.readouterr().err.count("taken for lost, and queued again") == 2


def test_mistakes_are_one_line(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = "epochs = [1]\n"
    for space, more, message in (
        ("epoch = [1]\n", (), "unknown recipe field 'epoch'"),
        ("epochs = []\n", (), "an empty list"),
        ("epochs = { low = 1, high = 2 }\n", ("--sampler", "grid"), "a grid needs a list"),
        (good, ("--sampler", "bayes"), "unknown sampler 'bayes': known are grid, random"),
        (good, ("--storage", f"sqlite:///{tmp_path}/no/such.db"), "out of reach"),
        (good, ("--storage", "nonsense"), "storage nonsense: out of reach"),
        (good, ("--storage", "postgresql://localhost/x"), "out of reach"),
        (good, ("--rows", "100000"), "cannot take 100000 of them"),
    ):
        assert main(command(space, *more)) == 2
        error = capsys.readouterr().err.strip()
        assert message in error
        assert error.count("\n") == 0

"""A search with teachers: they speak of the rows that are trained on, and are part of the study."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.cli.app import main
from goemo_eval.data.dataset import Split, subset
from goemo_eval.data.sources import load_dataset
from goemo_eval.models.recipes import load_recipe
from goemo_eval.pipeline.fitting import Run
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.store import Store
from goemo_eval.pipeline.teaching import learned, lessons_of
from goemo_eval.tune.space import Space
from goemo_eval.tune.study import Search, teacher_of


def test_of_some_rows_the_teacher_speaks_of_those_that_the_scheme_keeps(
    short_sample: dict[str, Split], tmp_path: Path
) -> None:
    dataset = dataclasses.replace(load_dataset("sample"), splits=short_sample)
    plan = Plan(dataset=dataset, recipe=load_recipe("distil"), dominance="only", floor_teaches=True)
    run = Run(plan, Store(tmp_path))
    search = Search("tiny", "simplified", Space(plan.recipe, {}, {}), "grid", 1, seed=3, rows=50)
    found = teacher_of(search, run)
    whole = learned(run.store, lessons_of(plan, "simplified"))
    assert found is not None
    assert whole is not None
    scheme, train = plan.scheme("simplified"), dataset.splits["train"]
    rows = subset(train, 50, seed=3)
    kept = [row for row, keep in zip(rows.ids, scheme.keeps(rows.labels), strict=True) if keep]
    assert 0 < len(kept) < 50
    positions = [plan.task("simplified").ids["train"].index(row) for row in kept]
    np.testing.assert_array_equal(found.logits, whole.logits[positions])
    everything = dataclasses.replace(search, rows=None)
    assert teacher_of(everything, run) is not None
    untaught = Run(dataclasses.replace(plan, floor_teaches=False), run.store)
    assert teacher_of(search, untaught) is None


def test_their_weight_can_be_searched(
    tmp_path: Path,
    project: Path,
    tiny_weights_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "space.toml").write_text(
        "teacher_weight = [0.0, 0.9]\nteacher_temperature = [2.0]\n"
    )
    (tmp_path / "base.toml").write_text(
        "epochs = 1\nbatch_size = 16\nlearning_rate = 1e-2\nschedule = 'linear'\n"
        "weight_decay = 0.01\nwarmup_ratio = 0.1\nmax_length = 16\nteacher_weight = 0.5\n"
    )
    words = [
        *("tune", tmp_path / "space.toml", "--encoder", "tiny", "--scheme", "raw"),
        *("--weights", f"tiny={tiny_weights_dir}", "--data", project / "data", "--rows", 60),
        *("--recipe", tmp_path / "base.toml", "--teacher", "tfidf", "--sampler", "grid"),
        *("--no-prune", "--store", tmp_path / "store", "--threads", 1),
    ]
    assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.count("complete") == 2
    assert len(list((tmp_path / "store" / "lessons").iterdir())) == 1
    # The same study without them is another search.
    del words[words.index("--teacher") : words.index("--teacher") + 2]
    (tmp_path / "base.toml").write_text(
        (tmp_path / "base.toml").read_text().replace("teacher_weight = 0.5", "")
    )
    assert main([str(word) for word in words]) == 2
    assert "was begun with" in capsys.readouterr().err

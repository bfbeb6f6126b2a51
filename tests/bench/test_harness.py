"""The harness: what it compares does the same work, and what falls short is shown as such."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"load_start": 0.1, "load_end": 0.1, "taken_by_others": 0.0, "spread": None, "reason": ""}
BUSY = {**QUIET, "reason": "other processes took 40% of the processors"}


def test_the_ratio_of_steady_times_has_no_width() -> None:
    from bench.harness.turns import ratio

    assert ratio([4.0] * 5, [2.0] * 5) == (2.0, 2.0, 2.0)


def test_the_interval_covers_the_ratio_and_scales_with_it() -> None:
    from bench.harness.turns import ratio

    rng = np.random.default_rng(0)
    slow, fast = rng.uniform(3, 5, 9), rng.uniform(1, 2, 9)
    one, ten = ratio(slow, fast), ratio(10 * slow, fast)
    assert one.low < one.value < one.high
    np.testing.assert_allclose(ten, np.multiply(one, 10))


def test_a_ratio_needs_times_of_the_same_rounds() -> None:
    from bench.harness.turns import ratio

    with pytest.raises(ValueError, match="got 2 and 1"):
        ratio([1.0, 2.0], [1.0])


def test_each_contender_has_its_turn_in_every_round_and_another_goes_first() -> None:
    from bench.harness.turns import in_turns

    seen: list[tuple[str, int]] = []
    calls = {name: (lambda number, n=name: seen.append((n, number))) for name in "ab"}
    seconds, _ = in_turns(calls, rounds=3, warm_up=False)
    assert seen == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_the_grid_finds_no_better_thresholds_than_the_search() -> None:
    from sklearn.metrics import f1_score

    from bench.harness.numbers import synthetic
    from bench.harness.peers import thresholds_by_grid
    from goemo_eval import search_thresholds

    probabilities, targets = synthetic(300, 3)
    ours = search_thresholds(probabilities, targets, fitted_on="here").values
    theirs = thresholds_by_grid(probabilities, targets)
    for k in range(3):
        reached = [f1_score(targets[:, k], probabilities[:, k] >= t[k]) for t in (ours, theirs)]
        assert reached[0] >= reached[1]


def test_the_loop_draws_what_the_bootstrap_draws() -> None:
    from bench.harness.numbers import synthetic
    from bench.harness.peers import bootstrap_by_loop
    from goemo_eval import paired_bootstrap

    _, targets = synthetic(200, 3)
    rng = np.random.default_rng(0)
    baseline, candidate = (targets ^ (rng.random(targets.shape) < p) for p in (0.02, 0.1))
    drawn = bootstrap_by_loop(targets, baseline, candidate, draws=200)
    ours = paired_bootstrap(targets, baseline, candidate)
    assert drawn.std() == pytest.approx(ours.standard_error, rel=0.3)
    assert drawn.mean() == pytest.approx(ours.point, abs=ours.standard_error)


def test_the_pipeline_scores_what_our_engine_scores(
    minilm_raw: Any, short_sample: dict[str, Any]
) -> None:
    from bench.harness.peers import Pipeline
    from goemo_eval import load_classifier

    texts = short_sample["test"].texts[:40]
    theirs = Pipeline(minilm_raw.path, threads=1)
    np.testing.assert_allclose(
        theirs.logits(texts), load_classifier(minilm_raw.path, threads=1).logits(texts), atol=1e-4
    )
    one = {entry["label"]: entry["score"] for entry in theirs.scores_of_one(texts[0])[0]}
    assert set(one) == set(minilm_raw.labels)
    assert all(0 <= score <= 1 for score in one.values())


def _result(**parts: Any) -> dict[str, Any]:
    machine = {
        "cpu": "a cpu",
        "isa_flags": ["avx2"],
        "isa_limit": None,
        "dot_products": True,
        "threads": 2,
        "versions": {"torch": "2.13.0"},
        "python": "CPython 3.11.7",
        "commit": "abc",
        "load_start": 0.1,
        "load_end": 0.2,
    }
    return {"command": "python -m bench.harness", "machine": machine, "found": parts}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.5, "**falls short**"), (0.1, "reached"), (0.05, "goal reached")],
)
def test_a_line_says_whether_its_target_is_reached(seconds: float, said: str) -> None:
    from bench.harness.lines import lines
    from bench.harness.page import page

    part = {"seconds": {"pipeline": [1.0] * 3, "torch fp32": [seconds] * 3}, "load": QUIET}
    (line,) = lines({"single": part})
    assert line.verdict(dot_products=True) == said
    assert ("Tried, " in page(_result(single=part))) == line.falls_short(True) == ("short" in said)


def test_logits_that_differ_make_no_ratio_true() -> None:
    from bench.harness.page import page

    score = {"validation": 0.5, "test": 0.5, "test_loss": [0.0, 0.0, 0.0]}
    chosen = {"names": {"fp32": "torch fp32"}, "scores": {"torch fp32": score}}
    seconds = {"pipeline": [3.0] * 3, "fp32": [1.0] * 3}
    found = {"seconds": seconds, "logits_apart": 0.1, "load": BUSY}
    text = page(_result(choose=chosen, scoring=found))
    assert "**falls short** (see the note)" in text
    assert "logits differ by 1.0e-01" in text
    assert "unstable: other processes took 40% of the processors" in text


def test_what_is_kept_is_taken_only_where_it_was_made_of_the_same(tmp_path: Path) -> None:
    from bench.harness.keeping import keep, kept

    keep(tmp_path, "part", {"rows": 1}, {"seconds": [1.0]})
    assert kept(tmp_path, "part", {"rows": 1}) == {"seconds": [1.0]}
    assert kept(tmp_path, "part", {"rows": 2}) is None
    assert kept(tmp_path, "other", {"rows": 1}) is None


def test_the_command_goes_on_where_it_stopped(minilm_raw: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.harness", "--out", str(tmp_path / "out")]
    command += ["--checkpoint", str(minilm_raw.path), "--kept", str(tmp_path / "kept")]
    command += ["--only", "starts"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    first, second = (
        subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        for _ in range(2)
    )
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "starts" in first.stderr
    assert second.stderr == ""
    result = json.loads((tmp_path / "out" / "speed.json").read_text(encoding="utf-8"))
    assert len(result["found"]["starts"]["seconds"]["import"]) > 1
    text = (tmp_path / "out" / "speed.md").read_text(encoding="utf-8")
    assert "| `goemo-eval --help`" in text
    assert str(tmp_path) not in text


def test_the_table_of_the_readme_is_that_of_the_results() -> None:
    from bench.harness.readme import RESULTS, table, written

    results = [json.loads((ROOT / "reports" / name).read_text()) for name in RESULTS]
    readme = (ROOT / "README.md").read_text()
    assert written(readme, table(results)) == readme
    part = {"seconds": {"pipeline": [1.0] * 3, "torch fp32": [0.5] * 3}, "load": QUIET}
    assert "| 2 x (falls short) " in table([_result(single=part)] * 2)

"""The simulation's worlds are as true as it says, and its command goes on where it stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def root_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation is a script of the repository, not of the package."""
    monkeypatch.syspath_prepend(str(ROOT))


def test_the_true_drop_is_that_of_very_many_texts() -> None:
    from bench.gate.world import SMALL, Model, Texts, thresholds_of, true_drop, weaker
    from goemo_eval.measure.f1 import macro_f1

    many, first = Texts(200_000, SMALL.shares), Model()
    second = weaker(many, first, 0.03)
    assert true_drop(many, first, second) == pytest.approx(0.03, abs=1e-6)
    rng = np.random.default_rng(0)
    truth, hard, thresholds = many.truth(rng), many.noise(rng), thresholds_of(many, first)
    scores = [
        macro_f1(truth, model.decide(truth, hard, many.noise(rng), thresholds))
        for model in (first, second)
    ]
    assert scores[0] - scores[1] == pytest.approx(0.03, abs=0.003)
    assert scores[0] == pytest.approx(first.macro_f1(many, thresholds), abs=0.005)


def test_models_differ_as_much_as_said() -> None:
    from bench.gate.world import ANEW, FULL, SAME, Model, thresholds_of

    rng = np.random.default_rng(0)
    for private, share, within in ((SAME, 0.15, 0.02), (ANEW, 0.35, 0.03)):
        model = Model(private=private)
        thresholds = thresholds_of(FULL, model)
        truth, hard = FULL.truth(rng), FULL.noise(rng)
        first, second = (model.decide(truth, hard, FULL.noise(rng), thresholds) for _ in range(2))
        flips = (first != second).sum() / first.sum()  # as a share of the positive decisions
        assert flips == pytest.approx(share, abs=within)


def test_the_quick_judgement_is_the_gates() -> None:
    from bench.gate.judged import measure, p_value
    from bench.gate.world import SMALL, Model, thresholds_of, weaker
    from goemo_eval.measure.statistics import resample

    rng, model = np.random.default_rng(1), Model()
    thresholds = thresholds_of(SMALL, model)
    truth, hard = SMALL.truth(rng), SMALL.noise(rng)
    first = model.decide(truth, hard, SMALL.noise(rng), thresholds)
    for loss in (0.0, 0.03):
        loser = weaker(SMALL, model, loss) if loss else model
        second = loser.decide(truth, hard, SMALL.noise(rng), thresholds)
        drawn = resample(truth, (first, second), n_resamples=500, seed=3)
        drop = measure(truth, first, second)
        assert (drop.value, drop.error) == pytest.approx(
            (-drawn.point, drawn.standard_error), abs=1e-6
        )
        options = {"budget": 0.0, "n_resamples": 500, "seed": 3}
        _, p = p_value(truth, first, second, least=0.5, **options)  # type: ignore[arg-type]
        assert p in (1.0, pytest.approx(drawn.p_value(0.0)))
        assert (p <= 0.05) == (drawn.p_value(0.0) <= 0.05)


def test_what_was_drawn_is_not_drawn_again(tmp_path: Path) -> None:
    from bench.gate.keeping import Drawn, Kept

    def make(rng: np.random.Generator) -> Drawn:
        made.append(1)
        return {"value": float(rng.random())}

    made: list[int] = []
    whole = Kept(tmp_path, seed=0, scale=1.0).draw("part", "case", 5, make)
    assert len(made) == 5
    assert Kept(tmp_path, seed=0, scale=1.0).draw("part", "case", 5, make) == whole
    assert len(made) == 5
    longer = Kept(tmp_path, seed=0, scale=1.0).draw("part", "case", 8, make)
    assert (longer[:5], len(made)) == (whole, 8)
    others = [
        Kept(tmp_path, seed=1, scale=1.0).draw("part", "case", 5, make),
        Kept(tmp_path, seed=0, scale=1.0).draw("part", "case", 5, make, loss=0.1),
        Kept(tmp_path, seed=0, scale=1.0).draw("part", "other", 5, make),
    ]
    assert len(made) == 23
    assert whole not in (others[0], others[2])


def test_every_part_says_what_it_found(tmp_path: Path) -> None:
    from bench.gate.__main__ import PARTS
    from bench.gate.keeping import Kept

    kept = Kept(tmp_path, seed=0, scale=0.001)
    for name, part in PARTS.items():
        found = part.run(kept)
        assert json.loads(json.dumps(found)) == found, name
        text = part.render(found)
        assert text.startswith("## ")
        assert "nan" not in text.lower().split()
        assert part.run(kept) == found  # from what was kept
        assert part.render(found) == text


def test_one_command_writes_the_report_and_the_same_one_again(tmp_path: Path) -> None:
    def run(name: str) -> dict[str, bytes]:
        command = [sys.executable, "-m", "bench.gate", "--out", str(tmp_path / name)]
        options = ["--kept", str(tmp_path / f"kept-{name}"), "--scale", "0.001", "--part", "drift"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(
            [*command, *options], check=True, capture_output=True, cwd=ROOT, env=environment
        )
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    first = run("a")
    assert sorted(first) == ["gate_simulation.json", "gate_simulation.md"]
    assert b"--scale 0.001 --part drift" in first["gate_simulation.md"]
    assert run("b") == first  # drawn anew

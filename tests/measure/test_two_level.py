"""The two-level bootstrap against closed forms, and against worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from goemo_eval.errors import ScoreError
from goemo_eval.measure.f1 import macro_f1
from goemo_eval.measure.statistics import paired_bootstrap
from goemo_eval.measure.two_level import Side, TwoLevel, two_level_bootstrap

N, K = 800, 4


def world(rng: np.random.Generator, seeds: int, *, own: float = 0.4) -> list[np.ndarray]:
    """Truth, and decisions of several training runs that share what is hard about a text."""
    truth = rng.random((N, K)) < 0.25
    score = truth * 2.0 + rng.normal(size=(N, K))
    return [truth, *(score + own * rng.normal(size=(N, K)) > 1.2 for _ in range(seeds))]


def test_the_point_is_the_difference_of_the_means() -> None:
    truth, *runs = world(np.random.default_rng(0), 7)
    found = two_level_bootstrap(truth, runs[:3], runs[3:], paired=False, n_resamples=100)
    scores = [macro_f1(truth, run) for run in runs]
    assert found.point == pytest.approx(np.mean(scores[3:]) - np.mean(scores[:3]))
    assert [side.seeds for side in found.sides] == [3, 4]
    assert found.sides[0].over_seeds == pytest.approx(np.var(scores[:3], ddof=1))
    pairs = two_level_bootstrap(truth, runs[:3], runs[3:6], paired=True, n_resamples=100)
    drops = np.subtract(scores[3:6], scores[:3])
    assert pairs.sides[0].over_seeds == pytest.approx(drops.var(ddof=1))
    assert pairs.paired
    assert not found.paired


def test_with_seeds_that_are_all_the_same_only_the_texts_are_left() -> None:
    truth, first, second = world(np.random.default_rng(1), 2)
    found = two_level_bootstrap(truth, [first] * 3, [second] * 3, paired=True)
    error, freedom = found.spread()
    alone = paired_bootstrap(truth, first, second, n_resamples=2000)
    assert error == pytest.approx(alone.standard_error, rel=0.06)
    assert freedom == float("inf")
    assert found.interval() == pytest.approx(
        (found.point - 1.96 * error, found.point + 1.96 * error), abs=1e-4
    )


def test_students_interval_where_only_the_seeds_vary() -> None:
    found = TwoLevel(point=-0.01, shared=0.0, sides=(Side(seeds=3, over_seeds=4e-4, of_texts=0.0),))
    low, high = found.interval(0.9)
    width = student.ppf(0.95, 2) * np.sqrt(4e-4 / 3)
    assert (low, high) == pytest.approx((-0.01 - width, -0.01 + width))


def test_the_parts_add_up_to_the_spread_of_the_texts() -> None:
    """What all seeds share and what each has of its own, against many splits drawn anew."""
    rng = np.random.default_rng(2)
    splits = []
    for _ in range(300):
        truth, *runs = world(rng, 4)
        scores = [macro_f1(truth, run) for run in runs]
        splits.append(np.subtract(scores[2:], scores[:2]))
    own = np.var(np.subtract(*np.transpose(splits)), ddof=1) / 2
    truth, *runs = world(rng, 4)
    found = two_level_bootstrap(truth, runs[:2], runs[2:], paired=True)
    assert found.sides[0].of_texts == pytest.approx(own, rel=0.3)
    assert found.shared < own / 2  # the runs have nothing in common that would not cancel


def test_pairing_tells_smaller_losses_where_seeds_do_pair() -> None:
    """A quantized model differs little from its own original, and much from another seed's."""
    rng = np.random.default_rng(3)
    truth, *runs = world(rng, 3, own=0.8)
    worse = [run & (rng.random(run.shape) < 0.98) for run in runs]
    pairs = two_level_bootstrap(truth, runs, worse, paired=True)
    apart = two_level_bootstrap(truth, runs, worse, paired=False)
    assert pairs.point == apart.point
    assert pairs.detectable(alpha=0.05) < apart.detectable(alpha=0.05) / 2


def test_how_many_seeds_would_do() -> None:
    found = TwoLevel(point=0.0, shared=1e-6, sides=(Side(seeds=3, over_seeds=1e-4, of_texts=2e-5),))
    wanted = found.seeds_needed(0.01, alpha=0.05)
    assert wanted is not None
    assert found.detectable(alpha=0.05, seeds=wanted) <= 0.01
    assert found.detectable(alpha=0.05, seeds=wanted - 1) > 0.01
    assert found.detectable(alpha=0.05) > 0.02  # three seeds
    assert found.seeds_needed(0.002, alpha=0.05) is None  # the texts that all share do not allow it
    assert found.seeds_needed(0.9, alpha=0.05) == 2


def test_a_seed_fixes_every_bit() -> None:
    truth, *runs = world(np.random.default_rng(4), 4)
    once, again, other = (
        two_level_bootstrap(truth, runs[:2], runs[2:], paired=True, n_resamples=300, seed=seed)
        for seed in (0, 0, 1)
    )
    assert once == again != other


def test_mistakes() -> None:
    truth, *runs = world(np.random.default_rng(0), 5)
    with pytest.raises(ScoreError, match="at least 2 a side: got 1 and 4"):
        two_level_bootstrap(truth, runs[:1], runs[1:], paired=False)
    with pytest.raises(ScoreError, match="as many on both sides: got 2 and 3"):
        two_level_bootstrap(truth, runs[:2], runs[2:], paired=True)
    with pytest.raises(ScoreError, match="at least 100: got 9"):
        two_level_bootstrap(truth, runs[:2], runs[2:4], paired=True, n_resamples=9)
    with pytest.raises(ScoreError, match="rows"):
        two_level_bootstrap(truth[1:], runs[:2], runs[2:4], paired=True)

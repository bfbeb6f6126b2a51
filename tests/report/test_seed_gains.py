"""Gains by the means over seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from goemo_eval.records.schema import Record
from goemo_eval.records.view import Group, View
from goemo_eval.report.intervals import resample
from goemo_eval.report.seed_gains import seed_gain

Make = Callable[..., Record]


def group(records: list[Record]) -> Group:
    (found,) = View(records).groups
    return found


def test_it_is_the_difference_of_the_means_and_knows_both_chances(erring: Make) -> None:
    low = [erring("tfidf", wrong=0.2, draw=s, seed=s) for s in (1, 2, 3)]
    high = [
        erring("minilm", wrong=wrong, draw=s + 5, seed=s) for s, wrong in ((1, 0.10), (2, 0.16))
    ]
    f1s = [[r.scores.test.macro_f1 for r in side if r.scores] for side in (low, high)]
    gain = seed_gain(group(low), group(high))
    assert gain is not None
    assert gain.point == pytest.approx(np.mean(f1s[1]) - np.mean(f1s[0]))
    # No less than seeds alone would leave open, with quantiles that a handful of seeds asks for.
    of_seeds = np.sqrt(sum(np.var(side, ddof=1) / len(side) for side in f1s))
    assert gain.high - gain.point > 1.96 * of_seeds
    assert gain.point == pytest.approx((gain.low + gain.high) / 2)


def test_one_seed_says_nothing_of_seeds(erring: Make) -> None:
    one = [erring("tfidf", wrong=0.2, draw=1, seed=1)]
    two = [erring("minilm", wrong=0.1, draw=s, seed=s) for s in (1, 2)]
    assert seed_gain(group(one), group(two)) is None
    assert seed_gain(group(two), group(one)) is None


def test_other_texts_are_not_compared(erring: Make) -> None:
    some = [erring("tfidf", wrong=0.2, draw=s, seed=s, rows=400) for s in (1, 2)]
    more = [erring("minilm", wrong=0.1, draw=s, seed=s) for s in (1, 2)]
    assert seed_gain(group(some), group(more)) is None


def test_every_cell_with_seeds_is_held_against_the_floor_over_its_seeds(erring: Make) -> None:
    floor = [erring("tfidf", wrong=0.2, draw=s, seed=s) for s in (1, 2)]
    several = [erring("minilm", wrong=0.1, draw=s + 2, seed=s) for s in (1, 2)]
    lone = erring("albert", wrong=0.1, draw=9, seed=1)
    found = resample(View([*floor, *several, lone]), {}).floor_over_seeds
    assert found == {"minilm-simplified-torch-fp32-s1": seed_gain(group(floor), group(several))}

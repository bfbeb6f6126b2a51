"""Is the recipe worse? Several seeds on both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from goemo_eval.judge.gate import gate
from goemo_eval.judge.verdict import SeedVerdict
from goemo_eval.judge.words import of_seeds
from goemo_eval.records.schema import Record

Make = Callable[..., Record]
QUICK: dict[str, Any] = {"n_resamples": 200}


def at_seeds(make_record: Make, wrong: list[float], first: int = 0) -> list[Record]:
    """A record for each share of wrong decisions, at seeds that follow one another."""
    records = [make_record(wrong=w) for w in wrong]
    return [
        r.model_copy(update={"cell": r.cell.model_copy(update={"seed": first + i})})
        for i, r in enumerate(records)
    ]


def scores(records: list[Record]) -> list[float]:
    return [r.scores.test.macro_f1 for r in records if r.scores]


def seeds_of(old: list[Record], new: list[Record], **options: Any) -> SeedVerdict:
    (found,) = gate(old, new, **QUICK | options).seeds
    return found


def test_reseeding_or_worse(make_record: Make) -> None:
    old = at_seeds(make_record, [0.20, 0.24, 0.16])
    alike = seeds_of(old, at_seeds(make_record, [0.24, 0.17, 0.20]))
    assert (alike.cell, alike.seeds, alike.paired) == ("minilm-simplified-torch-fp32", 3, True)
    assert not alike.larger_than_reseeding
    assert not alike.worse
    assert alike.least_drop < 0 < alike.most_drop
    worse = seeds_of(old, at_seeds(make_record, [0.40, 0.45, 0.38]))
    assert worse.larger_than_reseeding
    assert worse.worse
    assert worse.drop == pytest.approx(0.2, abs=0.05)
    assert worse.least_drop < worse.drop < worse.most_drop


def test_p_values_are_scipys(make_record: Make) -> None:
    wrong, other = [0.20, 0.24, 0.16, 0.21], [0.22, 0.25, 0.23]
    old = at_seeds(make_record, wrong)
    new = at_seeds(make_record, other)
    paired = ttest_rel(scores(old[:3]), scores(new), alternative="greater").pvalue
    assert seeds_of(old[:3], new).p_value == pytest.approx(paired)
    apart = seeds_of(old, at_seeds(make_record, other, first=10))
    welch = ttest_ind(scores(old), scores(new), equal_var=False, alternative="greater").pvalue
    assert apart.p_value == pytest.approx(welch)
    assert (apart.paired, apart.seeds) == (False, 3)


def test_only_seeds_that_both_sides_have_are_pairs(make_record: Make) -> None:
    old = at_seeds(make_record, [0.20, 0.24, 0.16])
    new = at_seeds(make_record, [0.24, 0.17, 0.9], first=1)
    found = seeds_of(old, new)
    assert (found.paired, found.seeds) == (True, 2)
    assert found.baseline == pytest.approx(np.mean(scores(old[1:])))
    assert found.candidate == pytest.approx(np.mean(scores(new[:2])))


def test_one_seed_tells_nothing_of_a_recipe(make_record: Make) -> None:
    old = at_seeds(make_record, [0.2, 0.24, 0.16])
    assert gate(old[:1], old, **QUICK).seeds == ()
    other = [r.model_copy(update={"dominance": "rare"}) for r in old]
    assert gate(old, other, **QUICK).seeds == ()


def test_three_seeds_say_plainly_what_they_cannot_tell(make_record: Make) -> None:
    old = at_seeds(make_record, [0.20, 0.24, 0.16])
    found = seeds_of(old, at_seeds(make_record, [0.24, 0.17, 0.21]))
    assert found.detectable_drop > 0.05
    assert found.wanted_drop == 0.01
    said = of_seeds(found, alpha=0.05)
    assert "is the recipe worse?" in said
    assert "not larger than what reseeding alone does" in said
    assert "so it is not proven worse" in said
    assert (
        f"With 3 seeds only large drops, from {found.detectable_drop:.3f} on, can be told" in said
    )
    assert "arXiv:2511.19794" in said
    # 500 texts of three labels leave more open than 0.01, however many seeds there are.
    assert (found.seeds_needed is None) == ("no number of seeds would do" in said)


def test_how_many_seeds_would_do(make_record: Make) -> None:
    """Where every text is decided alike but a few, seeds are all that matters."""
    old = at_seeds(make_record, [0.200, 0.210, 0.190])
    found = seeds_of(old, at_seeds(make_record, [0.205, 0.200, 0.195]), max_drop=0.03)
    assert found.wanted_drop == 0.03
    assert found.seeds_needed is not None
    assert f"takes about {found.seeds_needed} seeds a side" in of_seeds(found, alpha=0.05)


def test_the_same_models_under_the_same_seeds(make_record: Make) -> None:
    old = at_seeds(make_record, [0.20, 0.24, 0.16])
    found = seeds_of(old, old)
    assert (found.drop, found.p_value, found.worse) == (0, 1, False)
    assert (found.least_drop, found.most_drop, found.detectable_drop) == (0, 0, 0)

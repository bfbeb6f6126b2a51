from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from goemo_eval.errors import RecordError
from goemo_eval.records.over_seeds import over_seeds, summarize
from goemo_eval.records.schema import Cell, Record


def cell(seed: int, precision: str = "fp32") -> Cell:
    return Cell(
        encoder="minilm", scheme="simplified", engine="torch", precision=precision, seed=seed
    )


def test_interval_is_scipys() -> None:
    values = [0.41, 0.44, 0.46, 0.43]
    found = over_seeds(values, confidence=0.9)
    low, high = stats.t.interval(0.9, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))


def test_it_covers_the_mean_of_all_seeds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        found = over_seeds(rng.normal(0.45, 0.01, 3).tolist())
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.45 <= found.high
    assert 0.93 < covered / 2000 < 0.97


def test_scored_records_over_their_seeds(make_record: Callable[..., Record]) -> None:
    records = [make_record(cell=cell(1), wrong=0.2), make_record(cell=cell(2), wrong=0.3)]
    found = summarize(records)
    assert (found.cell, found.seeds) == (cell(0), (1, 2))
    by_seed = [r.scores.test.macro_f1 for r in records if r.scores]
    assert found.test_macro_f1.values == tuple(by_seed)
    assert found.test_macro_f1.mean == pytest.approx(np.mean(by_seed))
    assert summarize(records[:1]).test_macro_f1.low is None


def test_different_recipes_are_not_averaged(make_record: Callable[..., Record]) -> None:
    with pytest.raises(
        RecordError, match="minilm-simplified-torch-fp32-s1: its recipe is not that"
    ):
        summarize([make_record(), make_record(cell=cell(1), recipe={"name": "other"})])

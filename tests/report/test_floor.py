"""What a cell gains over the floor, and for what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from goemo_eval.judge.recommend import recommend
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.floor import Bought, bought, floor_of
from goemo_eval.report.intervals import resample

Make = Callable[..., Record]


def paid(records: list[Record]) -> dict[str, Bought]:
    view = View(records)
    (said,) = recommend(records)
    found = bought(said, floor_of(view), resample(view, {}).floor)
    return {option.cell.split("-")[0]: one for option, one in zip(said.options, found, strict=True)}


def test_a_gain_is_priced_in_what_cells_are_ranked_by(erring: Make) -> None:
    untimed = {"latency": {}}
    floor = erring("tfidf", wrong=0.40, draw=1, size_bytes=2_000_000, **untimed)
    good = erring("minilm", wrong=0.10, draw=2, size_bytes=12_000_000, **untimed)
    found = paid([floor, good])
    assert found["tfidf"] == Bought(None, None)
    gain = found["minilm"].gain
    assert gain is not None
    assert good.scores is not None
    assert floor.scores is not None
    own = good.scores.test.macro_f1 - floor.scores.test.macro_f1
    assert gain.point == pytest.approx(own)
    assert found["minilm"].per_cost == pytest.approx(100 * own / 10)  # megabytes


def test_what_may_be_chance_and_what_costs_no_more_have_no_price(erring: Make) -> None:
    floor = erring("tfidf", wrong=0.20, draw=1, size_bytes=2_000_000, latency={})
    level = erring("minilm", wrong=0.19, draw=2, size_bytes=12_000_000, latency={})
    small = erring("albert", wrong=0.05, draw=3, size_bytes=1_000_000, latency={})
    found = paid([floor, level, small])
    assert found["minilm"].gain is not None
    assert found["minilm"].per_cost is None
    assert found["albert"].gain is not None
    assert found["albert"].gain.low > 0
    assert found["albert"].per_cost is None


def test_without_a_floor_nothing_is_known(erring: Make) -> None:
    assert paid([erring("minilm", wrong=0.1, draw=1)]) == {"minilm": Bought(None, None)}

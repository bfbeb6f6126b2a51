"""What more layers of one encoder buy: told from the fewest parameters up, with paired intervals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from goemo_eval.measure.statistics import paired_bootstrap
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.document import Table
from goemo_eval.report.findings import find
from goemo_eval.report.ladder import ladders, rungs_below
from goemo_eval.report.sections.ladder import ladder

Make = Callable[..., Record]


@pytest.fixture(scope="module")
def climbed(erring: Make) -> list[Record]:
    """One, two and all layers; two are far better than one, all of them only as good as two."""
    return [
        erring("minilm", wrong=0.100, draw=1, parameters=60),
        erring("minilm@2", wrong=0.102, draw=2, parameters=20),
        erring("minilm@1", wrong=0.300, draw=3, parameters=10),
        erring("minilm@1+tfidf", wrong=0.2, draw=4, parameters=15),
        erring("tfidf", wrong=0.4, draw=5, parameters=5),
    ]


def test_rungs_go_up_by_parameters_and_leave_other_models_out(climbed: list[Record]) -> None:
    (rungs,) = ladders(View(climbed))
    assert [r.shown.cell.encoder for r in rungs] == ["minilm@1", "minilm@2", "minilm"]
    below = {cell: record.cell.encoder for cell, record in rungs_below(View(climbed)).items()}
    assert below == {
        "minilm@2-simplified-torch-fp32": "minilm@1",
        "minilm-simplified-torch-fp32": "minilm@2",
    }


def test_the_floor_beside_it_makes_a_ladder_of_its_own(climbed: list[Record], erring: Make) -> None:
    both = [*climbed, erring("minilm@2+tfidf", wrong=0.1, draw=6, parameters=25)]
    names = [[r.shown.cell.encoder for r in rungs] for rungs in ladders(View(both))]
    assert sorted(names) == [
        ["minilm@1", "minilm@2", "minilm"],
        ["minilm@1+tfidf", "minilm@2+tfidf"],
    ]


def test_steps_are_told_with_the_interval_that_says_so(climbed: list[Record]) -> None:
    found = find(climbed)
    said, shown = ladder(found.view, found.intervals)[1:]
    assert isinstance(said, str)
    assert isinstance(shown, Table)
    assert "from minilm\\@1 up: minilm\\@2 gains +0.19" in said
    assert said.endswith("over minilm\\@1 beyond chance; no other step does.")
    column = next(c for c in shown.columns if c.head == "over the next fewer")
    assert column.cells[0] == "—"
    assert "(chance)" not in column.cells[1]
    assert column.cells[2].endswith("(chance)")


def test_the_interval_is_the_paired_bootstraps(climbed: list[Record]) -> None:
    gain = find(climbed).intervals.fewer["minilm@2-simplified-torch-fp32"]
    upper, lower = (climbed[i].decisions for i in (1, 2))
    assert upper is not None
    assert lower is not None
    truth, ours = unpack_decisions(upper)
    other = paired_bootstrap(truth, unpack_decisions(lower)[1], ours)
    assert gain.point == pytest.approx(other.point)
    assert gain.low == pytest.approx(other.low, abs=0.01)
    assert gain.high == pytest.approx(other.high, abs=0.01)


def test_one_rung_is_no_ladder(climbed: list[Record]) -> None:
    found = find([climbed[0], climbed[3], climbed[4]])
    assert ladder(found.view, found.intervals) == []
    assert found.intervals.fewer == {}

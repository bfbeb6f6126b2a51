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
    assert "Under simplified, gained over minilm\\@1: minilm\\@2 +0.19" in said
    assert said.endswith(" beyond chance.")  # and no step beyond the first
    columns = {c.head: c.cells for c in shown.columns}
    assert [cell.endswith("(chance)") for cell in columns["over the next fewer"]] == [
        False,
        False,
        True,
    ]
    assert columns["over the fewest"][0] == columns["over the next fewer"][0] == "—"
    assert not any(cell.endswith("(chance)") for cell in columns["over the fewest"])


def test_what_does_not_gain_is_named_beside_what_does(erring: Make) -> None:
    found = find(
        [
            erring("minilm@1", wrong=0.300, draw=1, parameters=10),
            erring("minilm@2", wrong=0.298, draw=2, parameters=20),
            erring("minilm", wrong=0.100, draw=3, parameters=60),
        ]
    )
    (said,) = ladder(found.view, found.intervals)[1:2]
    assert isinstance(said, str)
    assert "beyond chance; minilm\\@2 not. Over the next fewer layers, at the shown seed: " in said
    assert said.endswith("over minilm\\@2.")
    level = find([erring(f"minilm@{n}", wrong=0.3, draw=n, parameters=n) for n in (1, 2)])
    (said,) = ladder(level.view, level.intervals)[1:2]
    assert said == "- Under simplified, gained over minilm\\@1: nothing beyond chance."


def test_seeds_are_taken_together_where_there_are_several(erring: Make) -> None:
    """At the seed that is shown two layers gain much (`over the next fewer`); another seed of theirs is as bad as one layer."""
    found = find(
        [
            erring(encoder, wrong=wrong, draw=10 * layers + seed, seed=seed, parameters=layers)
            for layers, encoder, errors in (
                (1, "minilm@1", (0.30, 0.31, 0.30)),
                (2, "minilm@2", (0.10, 0.29, 0.11)),
            )
            for seed, wrong in enumerate(errors, start=1)
        ]
    )
    said, shown = ladder(found.view, found.intervals)[1:]
    assert isinstance(said, str)
    assert isinstance(shown, Table)
    columns = {c.head: c.cells for c in shown.columns}
    over_seeds = found.intervals.fewest_over_seeds["minilm@2-simplified-torch-fp32-s1"]
    assert columns["over the fewest"] == [
        "—",
        f"{over_seeds.low:+.3f} to {over_seeds.high:+.3f} (chance)",
    ]
    assert over_seeds.low < 0 < over_seeds.point  # one of three seeds failed
    assert "nothing beyond chance, by the means over seeds where both have several" in said


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

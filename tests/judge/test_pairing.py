"""One cell in the place of another: the verdict is that of their own decisions, either way round."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from goemo_eval.errors import RecordError
from goemo_eval.judge.gate import gate
from goemo_eval.measure.statistics import paired_bootstrap
from goemo_eval.records.schema import Cell, Record
from goemo_eval.records.verified import verified_decisions

Make = Callable[..., Record]


@pytest.fixture
def floor(make_record: Make) -> Record:
    cell = Cell(encoder="tfidf", scheme="simplified", engine="linear", precision="fp32")
    return make_record(cell=cell, wrong=0.35)


@pytest.fixture
def encoder(make_record: Make) -> Record:
    return make_record(wrong=0.15)


def test_a_worse_one_is_a_regression_and_a_better_one_passes(
    floor: Record, encoder: Record
) -> None:
    records = [floor, encoder]
    worse = gate(records, records, pairs={encoder.cell.id: floor.cell.id})
    better = gate(records, records, pairs={floor.cell.id: encoder.cell.id})
    assert (worse.status, better.status) == ("regression", "pass")
    assert [cell.cell for cell in worse.cells] == [encoder.cell.id]
    assert worse.pairs == {encoder.cell.id: floor.cell.id}
    assert worse.only_in_candidate == ()
    truth, first = verified_decisions(encoder)
    _, second = verified_decisions(floor)
    interval = paired_bootstrap(truth, first, second, confidence=0.9)
    (judged,) = worse.cells
    assert judged.drop == pytest.approx(-interval.point)
    assert judged.least_drop == pytest.approx(-interval.high)


@pytest.mark.parametrize(
    ("pairs", "options", "said"),
    [
        ({"minilm": "tfidf"}, {}, "--pair minilm=tfidf: the baseline: unknown cell 'minilm'"),
        ({"minilm-simplified-torch-fp32": "x"}, {}, "the candidate: unknown cell 'x': known are"),
        (
            {"minilm-simplified-torch-fp32": "minilm-raw-torch-fp32"},
            {},
            "schemes simplified and raw",
        ),
        ({"minilm-simplified-torch-fp32": "x"}, {"min_speedup": 1.5}, "leave one out"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(
    encoder: Record, pairs: dict[str, str], options: dict[str, float], said: str
) -> None:
    other = encoder.model_copy(update={"cell": encoder.cell.model_copy(update={"scheme": "raw"})})
    with pytest.raises(RecordError, match=said):
        gate([encoder], [encoder, other], pairs=pairs, **options)

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.errors import RecordError
from goemo_eval.results.gate import gate
from goemo_eval.results.records import Data, Record, SplitData

Make = Callable[..., Record]


def test_point_difference(make_record: Make) -> None:
    old, new = make_record(wrong=0.2), make_record(wrong=0.25)
    drop = old.scores.test.macro_f1 - new.scores.test.macro_f1  # type: ignore[union-attr]
    assert 0.03 < drop < 0.07
    lenient = gate([old], [new], max_drop=drop)
    assert lenient.status == "pass"  # a drop that equals the limit is allowed
    strict = gate([old], [new], max_drop=drop - 1e-6)
    assert strict.status == "regression"
    assert strict.cells[0].drop == pytest.approx(drop)
    assert gate([new], [old], max_drop=0.0).status == "pass"


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.3))
def test_never_passes_a_larger_drop(make_record: Make, a: float, b: float, limit: float) -> None:
    old, new = make_record(wrong=a), make_record(wrong=b)
    drop = old.scores.test.macro_f1 - new.scores.test.macro_f1  # type: ignore[union-attr]
    assert (gate([old], [new], max_drop=limit).status == "pass") == (drop <= limit + 1e-9)


def test_one_bad_cell_of_many_fails(make_record: Make) -> None:
    old = [make_record(), make_record("int8")]
    new = [make_record(), make_record("int8", wrong=0.5)]
    verdict = gate(old, new)
    assert verdict.status == "regression"
    assert [cell.passed for cell in verdict.cells] == [True, False]


def other_test_split(record: Record) -> Record:
    splits = record.data.splits | {"test": SplitData(sha256="c" * 64, rows=500)}
    return record.model_copy(update={"data": Data(source="tsv", revision=None, splits=splits)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_test_split, "not comparable: test split sha256 differs"),
        (lambda r: r.model_copy(update={"labels": r.labels[::-1]}), "label order differs"),
        (lambda r: r.model_copy(update={"dominance": "rare"}), "dominance rule differs"),
        (
            lambda r: r.model_copy(update={"scores": None, "unscored_reason": "no weights"}),
            "was not scored in the candidate: no weights",
        ),
    ],
)
def test_not_comparable(
    make_record: Make, change: Callable[[Record], Record], message: str
) -> None:
    with pytest.raises(RecordError, match=message):
        gate([make_record()], [change(make_record())])


def test_nothing_to_compare(make_record: Make) -> None:
    with pytest.raises(RecordError, match="no scored cell"):
        gate([make_record(scored=False)], [make_record()])
    with pytest.raises(
        RecordError, match="minilm-simplified-torch-int8 of the baseline is missing"
    ):
        gate([make_record("int8")], [make_record()])
    with pytest.raises(RecordError, match=r"max_drop must lie in \[0, 1\]: got -0.1"):
        gate([make_record()], [make_record()], max_drop=-0.1)


def test_new_cells_are_named_not_judged(make_record: Make) -> None:
    verdict = gate([make_record()], [make_record(), make_record("int8", wrong=0.9)])
    assert verdict.status == "pass"
    assert verdict.only_in_candidate == ("minilm-simplified-torch-int8",)

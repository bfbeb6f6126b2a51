from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.records import verified
from goemo_eval.records.decisions import pack_decisions
from goemo_eval.records.schema import Record
from goemo_eval.records.verified import verified_decisions

Make = Callable[..., Record]


def test_a_record_is_verified_once(make_record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    scored = verified.score_predictions

    def counting(*args: object, **options: object) -> object:
        calls.append(args)
        return scored(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(verified, "score_predictions", counting)
    record = make_record()
    first, again = verified_decisions(record), verified_decisions(record)
    np.testing.assert_array_equal(first, again)
    assert len(calls) == 1
    # another object is another record, whatever it holds
    verified_decisions(record.model_copy())
    assert len(calls) == 2


def test_a_changed_copy_of_a_true_record_is_not_believed(make_record: Make) -> None:
    record = make_record()
    verified_decisions(record)
    assert record.scores
    test = record.scores.test.model_copy(update={"macro_f1": 0.99})
    forged = record.model_copy(update={"scores": record.scores.model_copy(update={"test": test})})
    for _ in range(2):
        with pytest.raises(RecordError, match=r"scores.test.macro_f1 0.99 \(found 0.8"):
            verified_decisions(forged)


def test_what_is_gone_is_forgotten(make_record: Make) -> None:
    gc.collect()
    before = len(verified._TRUE)
    record = make_record()
    verified_decisions(record)
    assert len(verified._TRUE) == before + 1
    del record
    gc.collect()
    assert len(verified._TRUE) == before


def test_what_cannot_be_verified(make_record: Make) -> None:
    with pytest.raises(RecordError, match="keeps no decisions: run it again"):
        verified_decisions(make_record(scored=False))
    record = make_record()
    rng = np.random.default_rng(0)
    two = pack_decisions(rng.random((500, 3)) < 0.5, rng.random((500, 3)) < 0.5, 3)
    for decisions, message in (
        (two, "do not name one class per text"),
        (pack_decisions(np.ones((5, 2), bool), np.ones((5, 2), bool), 2), "decisions for 2 labels"),
    ):
        with pytest.raises(RecordError, match=f"cell {record.cell.id}: .*{message}"):
            verified_decisions(record.model_copy(update={"decisions": decisions}))

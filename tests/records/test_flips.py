from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.records.decisions import pack_decisions, unpack_decisions
from goemo_eval.records.flips import flips
from goemo_eval.records.schema import Record


def test_flips_are_counted_label_by_label(make_record: Callable[..., Record]) -> None:
    fp32, int8 = make_record(), make_record("int8", wrong=0.3)
    truth, before = unpack_decisions(fp32.decisions)
    _, after = unpack_decisions(int8.decisions)
    found = flips(fp32, int8)
    assert [f.label for f in found] == list(fp32.labels)
    assert sum(f.flips for f in found) == (before != after).sum() > 0
    for k, label in enumerate(found):
        changed = [(bool(b), bool(a)) for b, a in zip(before[:, k], after[:, k], strict=True)]
        assert label.gained == changed.count((False, True))
        assert label.lost == changed.count((True, False))
        assert label.support == truth[:, k].sum()
        assert label.delta == pytest.approx(
            int8.scores.test.per_label[k].f1 - fp32.scores.test.per_label[k].f1
        )


def test_the_same_decisions_flip_nothing(make_record: Callable[..., Record]) -> None:
    assert [f.flips for f in flips(make_record(), make_record("int8"))] == [0, 0, 0]


def test_other_rows_are_refused(make_record: Callable[..., Record]) -> None:
    rng = np.random.default_rng(1)
    other = pack_decisions(rng.integers(0, 3, 500), rng.integers(0, 3, 500), 3)
    with pytest.raises(RecordError, match="cannot be compared: truth of the test split differs"):
        flips(make_record(), make_record("int8", decisions=other))
    with pytest.raises(RecordError, match="has no decisions to compare"):
        flips(make_record(), make_record("int8", scored=False))

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from goemo_eval.records.schema import Cell, Record

Make = Callable[..., Record]


def test_ids() -> None:
    cell = Cell(encoder="minilm", scheme="raw", engine="torch", precision="int8")
    assert cell.id == "minilm-raw-torch-int8"
    assert cell.at("fp32").id == "minilm-raw-torch-fp32"
    assert cell.model_copy(update={"seed": 3}).id == "minilm-raw-torch-int8-s3"
    with pytest.raises(ValidationError):
        Cell(encoder="a|b", scheme="raw", engine="torch", precision="int8")


def test_records_are_frozen_and_closed(make_record: Make) -> None:
    record = make_record()
    with pytest.raises(ValidationError):
        record.parameters = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        make_record(colour="red")
    with pytest.raises(ValidationError, match="finite"):
        make_record(split_latency_s=float("nan"))


def test_speedup_is_the_median_of_pairs(make_record: Make) -> None:
    speedup = make_record("int8").speedup
    assert speedup is not None
    assert speedup.ratio == pytest.approx(2.0)

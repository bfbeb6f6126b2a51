from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.records.schema import Cell, Record
from goemo_eval.records.view import View

Make = Callable[..., Record]


def cell(seed: int = 0, precision: str = "fp32", **words: str) -> Cell:
    base = {"encoder": "minilm", "scheme": "simplified", "engine": "torch"}
    return Cell(**base | words, precision=precision, seed=seed)  # type: ignore[arg-type]


def test_cells_are_grouped_by_all_but_the_seed(make_record: Make) -> None:
    records = [
        make_record(cell=cell(2), wrong=0.3),
        make_record(cell=cell(1), wrong=0.2),
        make_record(cell=cell(1, "int8"), wrong=0.2),
        make_record(cell=cell(3), scored=False),
    ]
    view = View(records)
    fp32, int8 = view.groups
    assert (fp32.cell, fp32.seeds, int8.seeds) == (cell(), (1, 2, 3), (1,))
    assert view.several_seeds
    assert fp32.summary
    assert fp32.summary.seeds == (1, 2)
    by_seed = [records[1].scores, records[0].scores]
    assert fp32.summary.test_macro_f1.values == tuple(s.test.macro_f1 for s in by_seed if s)
    assert fp32.summary.test_macro_f1.mean == pytest.approx(
        np.mean([s.test.macro_f1 for s in by_seed if s])
    )
    assert [s.seeds for s in view.summaries] == [(1, 2), (1,)]
    assert view.group_of(records[3]) is fp32
    assert View([]).groups == View([]).summaries == ()


def test_the_shown_seed_is_the_one_that_most_cells_have(make_record: Make) -> None:
    alone = View([make_record(cell=cell(3))])
    assert alone.shown is alone
    fp32 = [make_record(cell=cell(s), wrong=w) for s, w in ((3, 0.1), (1, 0.3), (2, 0.2))]
    assert list(View(fp32).shown) == [fp32[1]]  # the lowest, whatever they scored
    int8 = make_record("int8", cell=cell(2, "int8"))
    assert list(View([*fp32, int8]).shown) == [fp32[2], int8]  # so that both stand side by side
    unscored = [make_record(cell=cell(1), scored=False), fp32[2]]
    assert list(View(unscored).shown) == [fp32[2]]
    untimed = [r.model_copy(update={"latency": {}}) for r in (fp32[1], fp32[2], int8)]
    assert list(View([*untimed, fp32[0]]).shown) == [untimed[2], fp32[0]]  # times would go unseen
    raw = fp32[0].model_copy(update={"cell": cell(3, scheme="raw")})
    assert list(View([*fp32, raw]).shown) == [raw, fp32[1]]
    assert list(View([]).shown) == []


def test_pairs_and_twins(make_record: Make) -> None:
    fp32, int8 = make_record(), make_record("int8")
    lonely = make_record("int8", cell=cell(0, "int8", engine="openvino"))
    other_seed = make_record("int8", cell=cell(4, "int8"))
    bf16 = make_record("bf16")
    view = View([lonely, int8, bf16, fp32, other_seed])
    assert [tuple(pair) for pair in view.pairs] == [(fp32, bf16), (fp32, int8)]
    assert view.twin(bf16) is fp32
    assert view.twin(int8) is fp32
    assert view.twin(fp32) is int8
    assert view.twin(lonely) is None
    assert view.find("minilm-simplified-torch-int8-s4") is other_seed
    assert view.find(cell(9)) is None


def test_the_reference_is_torch_or_else_the_first_engine(make_record: Make) -> None:
    records = [
        make_record(cell=cell(0, engine="onnxruntime")),
        make_record(cell=cell(0)),
        make_record(cell=cell(0, encoder="tfidf", engine="linear")),
        make_record(cell=cell(0, scheme="raw", engine="openvino")),
        make_record(cell=cell(1, scheme="raw", engine="openvino")),
        make_record("int8", cell=cell(0, "int8", encoder="albert")),
    ]
    view = View(records)
    assert [r.shown for r in view.references] == [records[3], records[1], records[2]]
    # minilm has two seeds under raw, so nothing of it is called by one of them
    assert [r.named for r in view.references] == [
        cell(scheme="raw", engine="openvino"),
        cell(),
        cell(encoder="tfidf", engine="linear"),
    ]
    assert view.references[0].group.seeds == (0, 1)
    assert view.engines == ("torch", "linear", "onnxruntime", "openvino")


def test_a_lone_seed_keeps_its_name(make_record: Make) -> None:
    (found,) = View([make_record(cell=cell(5))]).references
    assert found.named == cell(5)
    assert found.summary
    assert found.summary.seeds == (5,)


def test_order_schemes_and_what_cannot_be(make_record: Make) -> None:
    records = [
        make_record("int8"),
        make_record(cell=cell(0, engine="onnxruntime")),
        make_record(),
        make_record(cell=cell(0, scheme="raw")),
    ]
    view = View(records)
    assert [r.cell.id for r in view] == [
        "minilm-raw-torch-fp32",
        "minilm-simplified-torch-fp32",
        "minilm-simplified-torch-int8",
        "minilm-simplified-onnxruntime-fp32",
    ]
    assert view.schemes == ("raw", "simplified")
    assert view.of_scheme("raw").records == (records[3],)
    assert len(view.scored) == len(view) == 4
    with pytest.raises(RecordError, match="unknown scheme 'ekman': known are raw, simplified"):
        view.of_scheme("ekman")
    with pytest.raises(RecordError, match="two records of cell minilm-simplified-torch-fp32"):
        View([records[2], records[2]])

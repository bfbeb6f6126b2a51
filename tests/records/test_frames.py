from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from goemo_eval.records.files import read_records
from goemo_eval.records.frames import cell_row, label_rows, labels_to_frame, records_to_frame
from goemo_eval.records.schema import Memory, Record
from goemo_eval.records.view import View

Make = Callable[..., Record]
SCHEMA_2 = Path(__file__).parent / "schema2.json"


def test_a_row_per_cell(make_record: Make) -> None:
    fp32 = make_record(memory=Memory(peak_rss_bytes=250, start_s=1.5, texts=10))
    int8, unscored = make_record("int8"), make_record(scored=False)
    unscored = unscored.model_copy(
        update={"cell": fp32.cell.model_copy(update={"encoder": "albert"})}
    )
    frame = records_to_frame([int8, unscored, fp32])
    assert list(frame.index) == [unscored.cell.id, fp32.cell.id, int8.cell.id]
    assert fp32.scores
    row = frame.loc[fp32.cell.id]
    assert row["test_macro_f1"] == fp32.scores.test.macro_f1
    assert row["real_p50_ms"] == pytest.approx(200)
    assert (row["peak_rss_bytes"], row["start_s"]) == (250, 1.5)
    assert np.isnan(frame.loc[int8.cell.id, "peak_rss_bytes"])
    assert frame.loc[int8.cell.id, "speedup_over_fp32"] == 2.0
    assert np.isnan(frame.loc[unscored.cell.id, "test_macro_f1"])
    assert frame.loc[unscored.cell.id, "unscored_reason"] == "no pretrained weights"
    assert cell_row(fp32).keys() == cell_row(unscored).keys()


def test_a_row_per_label(make_record: Make) -> None:
    fp32, int8 = make_record(), make_record("int8", wrong=0.3)
    frame = labels_to_frame(
        [fp32, int8, make_record(scored=False, cell=fp32.cell.model_copy(update={"seed": 3}))]
    )
    assert frame.index.names == ["cell", "label"]
    assert len(frame) == 6
    assert int8.scores
    ours = frame.loc[int8.cell.id]
    assert list(ours.index) == list(int8.labels)
    assert list(ours["f1"]) == [s.f1 for s in int8.scores.test.per_label]
    changed = ours["given_by_int8_alone"] + ours["withheld_by_int8_alone"]
    assert changed.sum() > 0
    assert ours["f1_minus_fp32"].to_numpy() == pytest.approx(
        ours["f1"].to_numpy() - frame.loc[fp32.cell.id]["f1"].to_numpy()
    )
    assert frame.loc[fp32.cell.id]["f1_minus_fp32"].isna().all()
    pd.testing.assert_frame_equal(fp32.to_frame(), labels_to_frame([fp32]))
    assert label_rows(make_record(scored=False)) == []


def test_nothing_is_an_empty_table() -> None:
    assert records_to_frame([]).empty
    assert labels_to_frame([]).empty


def test_real_records_as_csv_and_parquet() -> None:
    records = read_records(SCHEMA_2)
    for frame in (records_to_frame(records), labels_to_frame(records)):
        text = io.StringIO(frame.to_csv())
        back = pd.read_csv(text, index_col=list(range(frame.index.nlevels)))
        assert back.shape == frame.shape
        content = io.BytesIO(frame.to_parquet())
        pd.testing.assert_frame_equal(pd.read_parquet(content), frame)
    assert "minilm-raw-torch-int8-s1" in View(records)._repr_html_()

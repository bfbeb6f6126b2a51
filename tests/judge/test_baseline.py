from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.judge.baseline import compare, dump_baseline, make_baseline
from goemo_eval.judge.gate import gate
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.files import read_records
from goemo_eval.records.schema import Record

Make = Callable[..., Record]


def written(records: list[Record], path: Path) -> Path:
    path.write_text(dump_baseline(make_baseline(records)))
    return path


def test_a_baseline_is_a_record_file_that_the_gate_reads(make_record: Make, tmp_path: Path) -> None:
    records = [make_record(), make_record("int8"), make_record("int8", scored=False)][:2]
    kept = read_records(written(records, tmp_path / "b.json"))
    assert [r.cell.id for r in kept] == [r.cell.id for r in records]
    for record, original in zip(kept, records, strict=True):
        assert record.scores == original.scores
        assert record.decisions == original.decisions
        assert record.latency == {}
        assert record.speedups == ()
    assert gate(kept, records, n_resamples=100).status == "pass"
    (timed, _) = make_baseline(records, keep_latency=True)
    assert timed.latency == records[0].latency


def test_text_is_sorted_stable_and_a_line_per_label(make_record: Make) -> None:
    text = dump_baseline(make_baseline([make_record("int8"), make_record()]))
    assert text == dump_baseline(make_baseline([make_record(), make_record("int8")]))
    lines = [line for line in text.splitlines() if '"label": "joy"' in line]
    assert len(lines) == 4  # validation and test of two cells
    assert json.loads(lines[0].strip().rstrip(","))["label"] == "joy"
    content = json.loads(text)
    assert list(content["records"][0]) == sorted(content["records"][0])


def test_only_sound_scores_become_a_baseline(make_record: Make) -> None:
    record = make_record()
    assert record.decisions is not None
    damaged = record.decisions.model_copy(update={"targets": "AAAA"})
    with pytest.raises(RecordError, match=r"torch-fp32: decisions\.targets"):
        make_baseline([record.model_copy(update={"decisions": damaged})])
    with pytest.raises(RecordError, match="no record is scored"):
        make_baseline([make_record(scored=False)])


def test_differences_in_words(make_record: Make) -> None:
    old = [make_record(wrong=0.2)]
    new = [make_record(wrong=0.25), make_record("int8")]
    assert compare(old, old) == []
    lines = compare(old, new)
    flips = [unpack_decisions(r.decisions)[1] for r in (old[0], new[0])]  # type: ignore[arg-type]
    count = int(np.not_equal(*flips).sum())
    assert lines[0].startswith("minilm-simplified-torch-fp32: 0.")
    assert lines[0].endswith(f"{count} decisions differ")
    assert sum("F1" in line and "tp" in line for line in lines) == 3
    assert lines[-1].startswith("minilm-simplified-torch-int8: added, 0.")
    assert compare(new, old)[-1] == "minilm-simplified-torch-int8: removed"
    other = new[0].model_copy(update={"dominance": "rare"})
    assert "not comparable: dominance rule differs" in compare(old, [other])[0]

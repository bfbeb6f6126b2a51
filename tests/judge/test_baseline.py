from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.judge.baseline import (
    Baseline,
    compare,
    count_run,
    dump_baseline,
    make_baseline,
    read_baseline,
    update_baseline,
)
from goemo_eval.judge.gate import gate
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.files import dump_records, read_records
from goemo_eval.records.schema import Record, SplitData

Make = Callable[..., Record]


def written(records: list[Record], path: Path) -> Path:
    path.write_text(dump_baseline(update_baseline(None, records)))
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
    text = dump_baseline(Baseline(tuple(make_baseline([make_record("int8"), make_record()]))))
    assert text == dump_baseline(
        Baseline(tuple(make_baseline([make_record(), make_record("int8")])))
    )
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


SPLIT = "test" * 8
"""The sha256 of the test split in `make_record`."""


def test_a_file_is_read_back_as_it_was_written(make_record: Make, tmp_path: Path) -> None:
    old = update_baseline(None, [make_record(wrong=0.2)], judged=4)
    new = update_baseline(old, [make_record(wrong=0.25)], keep_anchor=True)
    path = tmp_path / "b.json"
    path.write_text(dump_baseline(new))
    found = read_baseline(path)
    assert found == new
    assert found.runs == 5
    assert dump_baseline(found) == path.read_text()
    (line,) = [line for line in path.read_text().splitlines() if '"judged"' in line]
    assert line.strip() == f'"judged": {{"{SPLIT}": 5}}'


def test_records_serve_as_a_baseline_that_counts_nothing(make_record: Make, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text(dump_records([make_record()]))
    found = read_baseline(path)
    assert (found.anchor, found.runs) == ((), None)
    verdict = gate(found.records, found.records, n_resamples=100)
    with pytest.raises(
        RecordError, match="keep no count of runs: make one with goemo-eval baseline"
    ):
        count_run(found, verdict)


def test_the_anchor_stays_until_it_is_let_go(make_record: Make) -> None:
    states = [make_record(wrong=wrong) for wrong in (0.2, 0.22, 0.24, 0.26)]
    first = update_baseline(None, states[:1], keep_anchor=True)
    assert first.anchor == ()  # there is nothing yet to measure drift from
    second = update_baseline(first, states[1:2], keep_anchor=True)
    third = update_baseline(second, states[2:3], keep_anchor=True)
    for found in (second, third):
        assert [r.scores for r in found.anchor] == [states[0].scores]
        assert found.anchor[0].latency == {}
    assert update_baseline(third, states[3:]).anchor == ()


def test_a_cell_that_is_new_gets_its_anchor_later(make_record: Make) -> None:
    fp32 = [make_record(wrong=wrong) for wrong in (0.2, 0.22, 0.24)]
    int8 = [make_record("int8", wrong=wrong) for wrong in (0.3, 0.32)]
    first = update_baseline(None, fp32[:1])
    second = update_baseline(first, [fp32[1], int8[0]], keep_anchor=True)
    assert [r.cell for r in second.anchor] == [fp32[0].cell]
    third = update_baseline(second, [fp32[2], int8[1]], keep_anchor=True)
    assert [r.scores for r in third.anchor] == [fp32[0].scores, int8[0].scores]
    gone = update_baseline(third, [int8[1]], keep_anchor=True)
    assert [r.cell for r in gone.anchor] == [int8[0].cell]


def test_an_anchor_of_other_texts_is_not_kept(make_record: Make) -> None:
    old = update_baseline(None, [make_record()])
    other = make_record().model_copy(update={"dominance": "rare"})
    with pytest.raises(
        RecordError, match=r"cannot be kept: dominance rule differs .* without --keep"
    ):
        update_baseline(old, [other], keep_anchor=True)
    assert update_baseline(old, [other]).anchor == ()


def test_counting(make_record: Make) -> None:
    old = update_baseline(None, [make_record(wrong=0.2)])
    assert old.runs == 0
    # The comparison that a new state was accepted on is one; the same state again is none.
    new = update_baseline(old, [make_record(wrong=0.25)])
    assert new.runs == 1
    assert update_baseline(new, [make_record(wrong=0.25)]).runs == 1
    assert update_baseline(new, [make_record(wrong=0.25)], judged=30).runs == 31
    verdict = gate(new.records, [make_record(wrong=0.3)], n_resamples=100)
    assert count_run(count_run(new, verdict), verdict).runs == 3
    refused = gate(new.records, [make_record("int8")], n_resamples=100)
    assert refused.status == "not-comparable"
    assert count_run(new, refused).runs == 1  # it judged nothing


def test_another_test_split_has_not_judged_yet(make_record: Make) -> None:
    def on(split: str) -> Record:
        record = make_record()
        splits = record.data.splits | {"test": SplitData(sha256=split, rows=500)}
        return record.model_copy(update={"data": record.data.model_copy(update={"splits": splits})})

    old = update_baseline(None, [on("a" * 64)], judged=9)
    assert old.judged == {"a" * 64: 9}
    assert update_baseline(old, [on("b" * 64)], judged=0).judged == {"b" * 64: 0}


def broken(**changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["baseline"].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(baseline=3), "baseline: .*valid dictionary"),
        (lambda c: c.update(baseline=None), "baseline: .*valid dictionary"),
        (lambda c: c.update(other=1), "unknown key 'other'"),
        (broken(judged=7), "baseline: judged: "),
        (broken(judged={SPLIT: -1}), f"baseline: judged.{SPLIT}: .*greater than or equal to 0"),
        (broken(judged={SPLIT: 1.0}), f"baseline: judged.{SPLIT}: "),
        (broken(judged={SPLIT: True}), f"baseline: judged.{SPLIT}: "),
        (broken(judged={SPLIT: float("nan")}), "nan is no number that a record may hold"),
        (broken(judged={"": 1}), "baseline: judged"),
        (broken(judged={"x\x1b": 1}), "a key holds the character"),
        (broken(judged={SPLIT: 10**30}), "a whole number of 19 digits or more"),
        (lambda c: c["baseline"].pop("judged"), "baseline: judged: Field required"),
        (lambda c: c["baseline"].pop("anchor"), "baseline: anchor: Field required"),
        (broken(more=1), "baseline: more: "),
        (broken(anchor={}), "baseline: anchor: "),
        (broken(anchor=[3]), "baseline: anchor: record 0: "),
        (
            lambda c: c["baseline"]["anchor"][0].update(labels=["joy"]),
            "baseline: anchor: record 0: ",
        ),
        (
            lambda c: c["baseline"]["anchor"][0]["scores"]["test"].update(macro_f1=0.99),
            "baseline: anchor: record 0: .*does not follow from",
        ),
        (
            lambda c: c["baseline"]["anchor"][0]["cell"].update(engine="onnxruntime"),
            "anchor: minilm-simplified-onnxruntime-fp32 is no cell of the records",
        ),
        (
            lambda c: c["baseline"]["anchor"].append(
                c["baseline"]["anchor"][0] | {"parameters": 11}
            ),
            "anchor: record 1: another record of cell .* precedes it",
        ),
        (
            lambda c: c["baseline"]["anchor"][0].update(decisions=None),
            "baseline: anchor: ",
        ),
    ],
)
def test_a_malformed_section_is_one_line(
    make_record: Make, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    old = update_baseline(None, [make_record(wrong=0.2)])
    new = update_baseline(old, [make_record(wrong=0.25)], keep_anchor=True)
    content = json.loads(dump_baseline(new))
    change(content)
    path = tmp_path / "b.json"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=message) as caught:
        read_baseline(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_baseline_of_schema_2_is_read_and_counts_nothing() -> None:
    found = read_baseline(Path(__file__).parents[1] / "records" / "schema2.json")
    assert found.runs is None
    assert any(record.scores for record in found.records)
    assert update_baseline(found, found.records).runs == 0

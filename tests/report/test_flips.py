"""What the report says of several INT8 engines: who wins, what it lost, what flipped, what was repaired."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from goemo_eval.records.flips import flips
from goemo_eval.records.schema import Cell, PrecisionSearch, Record, Speedup
from goemo_eval.report.render import write_report


@pytest.fixture
def records(make_record: Callable[..., Record]) -> list[Record]:
    """Torch and OpenVINO, FP32 and INT8; torch's INT8 was repaired, OpenVINO's is faster."""
    made = []
    for engine, seconds, wrong in (("torch", 2.0, 0.21), ("openvino", 1.0, 0.25)):
        cell = Cell(encoder="minilm", scheme="simplified", engine=engine, precision="int8")
        torch_fp32 = cell.model_copy(update={"engine": "torch", "precision": "fp32"})
        made.append(make_record(cell=cell.at("fp32")))
        search = PrecisionSearch(
            budget=0.01,
            plain_validation_macro_f1=0.123,
            plain_test_macro_f1=0.124,
            validation_macro_f1=0.79,
            within_budget=True,
            int8_share=0.75,
            passes=3,
            seconds=12.0,
        )
        speedups = tuple(
            Speedup(reference=r.id, reference_s=(4.0,), candidate_s=(seconds,))
            for r in dict.fromkeys([cell.at("fp32"), torch_fp32])
        )
        repaired = engine == "torch"
        made.append(
            make_record(
                "int8",
                cell=cell,
                wrong=wrong,
                speedups=speedups,
                precision_search=search if repaired else None,
                kept_fp32=("layer.0.dense",) if repaired else (),
            )
        )
    return made


def test_the_winner_and_what_it_lost(records: list[Record], tmp_path: Path) -> None:
    report = write_report(records, tmp_path).read_text()
    fp32, _, _, int8 = records
    assert fp32.scores is not None
    assert int8.scores is not None
    lost = fp32.scores.test.macro_f1 - int8.scores.test.macro_f1
    assert lost > 0
    said = report.replace("\\", "")
    assert (
        "minilm simplified: of 2 INT8 engines openvino is fastest over the test split, 4.00 times "
        f"minilm-simplified-torch-fp32, and loses {lost:.3f} test Macro-F1 to it." in said
    )


def test_table_3_has_every_engine_its_speed_over_torch_and_the_repair(
    records: list[Record], tmp_path: Path
) -> None:
    report = write_report(records, tmp_path).read_text()
    three = report.split("## Table 3.")[1].split("\n## ")[0]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in three.splitlines()]
    speeds = {cells[0]: cells[-1] for cells in rows if len(cells) == 10 and "simplified" in cells}
    assert speeds == {"minilm": "2.00", "minilm openvino": "4.00"}
    repaired = next(c for c in rows if "layer.0.dense" in c)
    assert repaired[:3] == ["minilm", "simplified", "layer.0.dense"]
    assert repaired[3:] == ["0.123", "0.790", "0.124", "75", "3", "12"]


def test_flips_stand_folded_with_the_worst_label_first(
    records: list[Record], tmp_path: Path
) -> None:
    report = write_report(records, tmp_path).read_text()
    counted = flips(records[2], records[3])
    worst = min(counted, key=lambda f: (f.delta, f.label))
    total = sum(f.flips for f in counted)
    (summary,) = re.findall(r"<summary>(minilm-simplified-openvino-int8: .*)</summary>", report)
    assert summary == (
        f"minilm-simplified-openvino-int8: {total} of 1,500 decisions flipped; "
        f"{worst.label} {worst.delta:+.3f} F1"
    )

"""The README's table of results is that of the committed records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from goemo_eval.records.files import read_records
from goemo_eval.records.schema import Cell, Record
from goemo_eval.records.view import View

ROOT = Path(__file__).parents[2]


def test_the_table_of_the_readme_is_that_of_the_records() -> None:
    from bench.headline import RECORDS, table, written

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert written(readme, table(View(read_records(ROOT / RECORDS)))) == readme


def test_rows_go_from_the_floor_up(make_record: Callable[..., Record]) -> None:
    from bench.headline import table

    def cell(encoder: str, precision: str = "fp32") -> Cell:
        engine = "linear" if encoder == "tfidf" else "onnxruntime"
        return Cell(encoder=encoder, scheme="raw", engine=engine, precision=precision)

    records = [
        make_record(cell=cell("minilm"), wrong=0.1, parameters=60),
        make_record("int8", cell=cell("minilm", "int8"), wrong=0.1, parameters=60, speedups=()),
        make_record(cell=cell("minilm@1+tfidf"), wrong=0.1, parameters=30),
        make_record(cell=cell("tfidf"), wrong=0.4, parameters=20),
    ]
    lines = [[word.strip() for word in row.split("|")] for row in table(View(records)).splitlines()]
    assert [row[1] for row in lines[2:]] == [
        "the study's four",
        "`tfidf`",
        "`minilm`",
        "`minilm@1+tfidf`",
    ]
    assert lines[4][3].startswith("**+0.")  # beyond chance
    assert lines[4][3].endswith("**‡")
    assert lines[4][4:6] == [lines[4][2], "200.0"]
    assert lines[3][4:6] == ["", ""]  # no INT8 of it was measured


def test_gains_are_of_the_means_where_both_have_several_seeds(
    make_record: Callable[..., Record],
) -> None:
    from bench.headline import table

    def records(encoder: str, engine: str, wrong: float) -> list[Record]:
        return [
            make_record(
                cell=Cell(encoder=encoder, scheme="raw", engine=engine, precision="fp32", seed=s),
                wrong=wrong + 0.001 * s,
            )
            for s in (1, 2)
        ]

    several = [*records("tfidf", "linear", 0.4), *records("minilm", "torch", 0.1)]
    rows = [[w.strip() for w in row.split("|")] for row in table(View(several)).splitlines()]
    assert rows[4][2].endswith(" (2 seeds)")
    assert rows[4][3].endswith("**")  # of no single seed

"""The whole report from records alone."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from goemo_eval.errors import RecordError
from goemo_eval.records.files import Provenance, dump_records, read_provenance, read_records
from goemo_eval.records.schema import Cell, Data, Record, SplitData, StrategyScore, ThresholdsEntry
from goemo_eval.report.render import write_report
from goemo_eval.report.study.published import load_study

MakeRecord = Callable[..., Record]


@pytest.fixture
def records(make_record: MakeRecord) -> list[Record]:
    """MiniLM scored in both schemes and precisions; ALBERT timed only."""
    made = []
    for encoder, scheme, wrong in (
        ("minilm", "simplified", 0.2),
        ("minilm", "raw", 0.4),
        ("albert", "raw", None),
    ):
        for precision in ("fp32", "int8"):
            cell = Cell(encoder=encoder, scheme=scheme, engine="torch", precision=precision)
            scored = wrong is not None
            extra = (wrong or 0) + (0.05 if precision == "int8" else 0)
            record = make_record(precision, wrong=extra, scored=scored, cell=cell)
            if scored:
                record = record.model_copy(
                    update={"scores_refitted": record.scores if precision == "int8" else None}
                )
            made.append(record)
    return made


def row(report: str, *words: str) -> list[str]:
    """The first table row that begins with the given words."""
    for line in report.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[: len(words)] == list(words):
            return cells
    raise AssertionError(f"no row {words}")


def section(report: str, title: str) -> str:
    return report.split(title, 1)[1].split("\n## ", 1)[0]


def test_files(records: list[Record], tmp_path: Path) -> None:
    page = write_report(records, tmp_path, command="pytest bench")
    assert page == tmp_path / "report.md"
    figures = sorted(path.name for path in (tmp_path / "figures").iterdir())
    names = ["figure1", "figure2", "figure3", "figure4", "pareto"]
    assert figures == sorted(f"{name}.{form}" for name in names for form in ("png", "svg"))
    for path in (tmp_path / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.width == 1200
            assert len(image.convert("RGB").getcolors(1 << 20) or []) > 5
    links = re.findall(r"\]\((.+?)\)", page.read_text())
    assert sorted(links) == [f"figures/{name}.png" for name in names]
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert read_records(tmp_path / "records.json") == sorted(records, key=lambda r: r.cell.id)


def test_the_same_records_give_the_same_bytes(records: list[Record], tmp_path: Path) -> None:
    for name, given in (("one", records), ("two", records[::-1])):
        write_report(given, tmp_path / name)
    one, two = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")}
        for n in ("one", "two")
    )
    assert one == two
    assert len(one) == 13


def test_the_tables_hold_the_records_values_beside_the_study_s(
    records: list[Record], tmp_path: Path
) -> None:
    report = write_report(records, tmp_path).read_text()
    fp32, int8 = records[0], records[1]
    assert fp32.scores is not None
    assert int8.scores is not None
    assert int8.speedup is not None
    one = row(section(report, "## Table 1."), "minilm", "simplified")
    validation, test = fp32.scores.validation.macro_f1, fp32.scores.test.macro_f1
    # 500 rows are not the study's, so no difference is taken
    assert one[2:] == [f"{validation:.3f}", "0.350", "—", f"{test:.3f}", "0.348", "—"]
    two = row(section(report, "## Table 2."), "minilm", "simplified", "FP32")
    assert two[3:10] == ["0.00", "22.72", "200.0", "280.0", "298.0", "—", "84.0"]
    three = row(section(report, "## Table 3."), "minilm", "simplified")
    drop = int8.scores.test.macro_f1 - test
    interval = three.pop(7)
    low, high = map(float, interval.split(" to "))
    assert low < int8.scores.test.macro_f1 - test < high
    assert three[2:8] == [
        f"{test:.3f}",
        "0.348",
        f"{int8.scores.test.macro_f1:.3f}",
        "0.338",
        f"{drop:+.3f}",
        "-0.010",
    ]
    speed = row(section(report, "Forward seconds over the test split"), "minilm", "simplified")
    assert speed[2:] == ["4.00", "47.9", "2.00", "41.5", "2.00", "1.16", "1.80 to 2.20", "2.00"]
    assert "is 2.00 to 2.00 times as fast as its FP32" in section(report, "## Assessment")


def test_a_difference_is_taken_on_the_study_s_rows(make_record: MakeRecord, tmp_path: Path) -> None:
    rows = load_study().rows
    data = Data(
        source="goemotions",
        revision=None,
        splits={name: SplitData(sha256="0" * 64, rows=n) for name, n in rows.items()},
    )
    record = make_record(data=data)
    assert record.scores is not None
    report = write_report([record], tmp_path).read_text()
    difference = record.scores.test.macro_f1 - 0.348
    assert row(section(report, "## Table 1."), "minilm", "simplified")[-1] == f"{difference:+.3f}"


def test_an_unscored_cell_is_a_dash_with_its_reason(records: list[Record], tmp_path: Path) -> None:
    report = write_report(records, tmp_path).read_text()
    assert row(section(report, "## Table 1."), "albert", "raw")[2] == "—"
    assert "— albert-raw-torch-fp32: no pretrained weights" in report
    assert row(section(report, "## Table 2."), "albert", "raw", "FP32")[5] == "200.0"


def test_one_cell_and_no_scored_cell(make_record: MakeRecord, tmp_path: Path) -> None:
    for name, record in (
        ("one", make_record()),
        ("none", make_record(scored=False)),
        ("int8", make_record("int8")),
        ("untimed", make_record(latency={}, speedups=())),
    ):
        report = write_report([record], tmp_path / name).read_text()
        assert "## Table 2." in report
    with pytest.raises(RecordError, match="no records"):
        write_report([], tmp_path)


def test_threshold_strategies(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(
        thresholds=ThresholdsEntry(strategy="per-label", values=(0.1, 0.2, 0.3), fitted_on="v"),
        strategies=tuple(
            StrategyScore(strategy=s, validation_macro_f1=v, test_macro_f1=v / 2)
            for s, v in (("fixed", 0.2), ("global", 0.4), ("per-label", 0.6))
        ),
    )
    report = write_report([record], tmp_path).read_text()
    cells = row(section(report, "### Table 1b."), "minilm", "simplified", "FP32")
    assert cells[3:] == ["0.200", "0.100", "0.400", "0.200", "0.600", "0.300"]


def test_the_summary_names_the_cell_to_deploy(records: list[Record], tmp_path: Path) -> None:
    summary = section(write_report(records, tmp_path).read_text(), "## Summary")
    assert "**simplified**: deploy **minilm-simplified-torch-" in summary
    assert "ms per batch of 32 (p95)" in summary
    assert "2 of 6 cells were not scored, and are not judged: no pretrained weights" in summary
    assert "albert" not in summary.split("deploy")[1].split("|")[0]


def test_without_scores_nothing_is_recommended(make_record: MakeRecord, tmp_path: Path) -> None:
    report = write_report([make_record(scored=False)], tmp_path).read_text()
    summary = section(report, "## Summary")
    assert "No recommendation: no cell was scored" in summary
    assert "deploy" not in summary


def test_intervals_are_shown(rendered: Path) -> None:
    report = (rendered / "report.md").read_text()
    found = re.search(
        r"deploy \*\*(.+?)\*\*, test Macro-F1 (\S+) \(95 % interval (\S+) to (\S+)\)", report
    )
    assert found
    f1, low, high = map(float, found.groups()[1:])
    assert low < f1 < high
    assert "INT8 is" in section(report, "## Assessment")


def test_damaged_decisions_are_one_clear_line(full: list[Record], tmp_path: Path) -> None:
    decisions = full[0].decisions
    assert decisions
    damaged = decisions.model_copy(update={"targets": decisions.targets[:-8]})
    with pytest.raises(RecordError, match=r"decisions.targets"):
        write_report([full[0].model_copy(update={"decisions": damaged})], tmp_path)


def test_title_and_command_go_with_the_records(records: list[Record], tmp_path: Path) -> None:
    said = Provenance(title="GoEmotions", command="pytest bench \\\n  --profile x")
    write_report(records, tmp_path, title=said.title, command=said.command)
    assert read_provenance(tmp_path / "records.json") == said
    report = (tmp_path / "report.md").read_text()
    assert report.startswith("# GoEmotions\n")
    assert "    pytest bench \\\n      --profile x" in report


def test_sixty_four_cells_take_seconds(sixty_four: list[Record], tmp_path: Path) -> None:
    """Less than 5 s is promised of an idle machine, from the first import to the last file.

    What is measured is the process's own seconds, which a busy machine stretches too, but less.
    """
    assert len(sixty_four) == 64
    (tmp_path / "records.json").write_text(dump_records(sixty_four))
    arguments = ["report", "records.json", "--out", "out"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "goemo_eval", *arguments], check=True, timeout=300, cwd=tmp_path
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (tmp_path / "out" / "report.html").exists()
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 8


def test_it_needs_neither_torch_nor_transformers(records: list[Record], tmp_path: Path) -> None:
    write_report(records, tmp_path / "in")
    code = (
        "import sys; from goemo_eval.records.files import read_records; "
        "from goemo_eval.report.render import write_report; "
        f"write_report(read_records({str(tmp_path / 'in/records.json')!r}), {str(tmp_path / 'out')!r}); "
        "assert not {'torch', 'transformers', 'sklearn'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_a_place_that_cannot_be_written_to(make_record: MakeRecord, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot write the report there"):
        write_report([make_record()], tmp_path / "file")

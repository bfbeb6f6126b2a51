"""The whole report from records alone: its files, its sections, its tables."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from goemo_eval.errors import RecordError
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.scenarios import Latency
from goemo_eval.records.files import Provenance, join_records, read_records
from goemo_eval.records.flips import flips
from goemo_eval.records.schema import (
    BudgetCheck,
    Cell,
    Length,
    PrecisionSearch,
    Record,
    ServedAgreement,
    StrategyScore,
)
from goemo_eval.report import render
from goemo_eval.report.figures.plots import pictures_of
from goemo_eval.report.render import write_report

MakeRecord = Callable[..., Record]
FIGURES = ["cost", "int8", "reliability", "scores", "thresholds"]
DATA = ["cells.csv", "cells.parquet", "labels.csv", "labels.parquet", "suspects.csv"]


def section(report: str, title: str) -> str:
    return report.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def tables(text: str) -> list[list[dict[str, str]]]:
    """Every table, as rows by head."""
    found: list[list[dict[str, str]]] = []
    lines = [
        [c.strip() for c in line.strip("|").split("|")] if line.startswith("| ") else None
        for line in text.replace("\\", "").splitlines()
    ]
    for before, line in zip([None, *lines], lines, strict=False):
        if line is None:
            continue
        if before is None:
            heads = line
            found.append([])
        elif not line[0].startswith(":--"):
            found[-1].append(dict(zip(heads, line, strict=True)))
    return found


def rows(report: str, title: str, head: str) -> list[dict[str, str]]:
    """The rows of the section's first table that has a column."""
    return next(t for t in tables(section(report, title)) if head in t[0])


def row(found: list[dict[str, str]], **words: str) -> dict[str, str]:
    (one,) = (r for r in found if all(r[k] == v for k, v in words.items()))
    return one


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures' files empty, for a test that looks at words alone: drawing takes most of a report's time."""

    def names(view: Any, _: Any, *plots: Any) -> dict[str, bytes]:
        return {
            f"{name}.{form}": b"" for name in pictures_of(view, *plots) for form in ("png", "svg")
        }

    monkeypatch.setattr(render, "draw", names)


@pytest.fixture(scope="module")
def report(rendered: Path) -> str:
    return (rendered / "report.md").read_text()


def test_files(full: list[Record], rendered: Path, report: str) -> None:
    figures = sorted(path.name for path in (rendered / "figures").iterdir())
    assert figures == sorted(f"{name}.{form}" for name in FIGURES for form in ("png", "svg"))
    for path in (rendered / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.width == 1200
            assert len(image.convert("RGB").getcolors(1 << 20) or []) > 5
    files = sorted(path.name for path in rendered.iterdir() if path.is_file())
    assert files == sorted([*DATA, "records.json", "report.html", "report.md"])
    links = set(re.findall(r"\]\((.+?)\)", report))
    assert links == {f"figures/{name}.png" for name in FIGURES} | {*DATA, "records.json"}
    assert read_records(rendered / "records.json") == sorted(full, key=lambda r: r.cell.id)


def test_the_same_records_give_the_same_bytes(
    full: list[Record], rendered: Path, tmp_path: Path
) -> None:
    write_report(full[::-1], tmp_path)
    one, two = (
        {p.relative_to(out): p.read_bytes() for p in out.rglob("*.*") if p.is_file()}
        for out in (rendered, tmp_path)
    )
    assert one == two
    assert len(one) == 2 * len(FIGURES) + len(DATA) + 3


def test_a_question_per_section_and_not_a_word_of_the_study(report: str) -> None:
    assert re.findall(r"^## (.+)$", report, re.MULTILINE) == [
        "Which cell to deploy",
        "How good",
        "How fast, how large",
        "What INT8 costs",
        "Where it errs",
        "How it was measured",
        "Every number, as data",
    ]
    assert "study" not in report.replace("name study", "")  # but for the recipe of that name


def test_eighteen_cells_take_less_than_40_kb(report: str) -> None:
    assert len(report.encode()) < 25_000


def test_table_1_holds_the_scores_and_their_intervals(full: list[Record], report: str) -> None:
    found = rows(report, "How good", "validation")
    assert [(r["model"], r["scheme"]) for r in found] == [
        (encoder, scheme)
        for encoder in ("albert", "minilm", "tfidf")
        for scheme in ("raw", "simplified")
    ]
    for record in full:
        if record.cell.engine == "openvino" or record.cell.precision == "int8":
            continue
        assert record.scores
        one = row(found, model=record.cell.encoder, scheme=record.cell.scheme)
        test, validation = record.scores.test.macro_f1, record.scores.validation.macro_f1
        assert (one["test"], one["validation"]) == (f"{test:.3f}", f"{validation:.3f}")
        assert one["gap"] == f"{validation - test:+.3f}"
        low, high = map(float, one["95 % over texts"].split(" to "))
        assert low < test < high
        assert (one["minus the floor"] == "—") == (record.cell.encoder == "tfidf")
    assert "all 8 other cells beat it beyond chance" in section(report, "How good")


def test_table_2_holds_the_times_memory_and_size(full: list[Record], report: str) -> None:
    found = rows(report, "How fast, how large", "real p50")
    assert len(found) == len(full)
    record = next(r for r in full if r.cell.id == "minilm-raw-openvino-int8")
    one = row(found, model="minilm openvino", scheme="raw", precision="INT8")
    real, single = record.latency["real"], record.latency["single"]
    assert record.offline
    assert record.memory
    assert one["times"] == "120"
    for name in ("p50", "p90", "p95", "p99"):
        head = "real p50" if name == "p50" else name
        assert one[head] == f"{getattr(real, name + '_s') * 1e3:.1f}"
    assert one["one text p95"] == f"{single.p95_s * 1e3:.1f}"
    assert one["padded128 p50"] == f"{record.latency['padded128'].p50_s * 1e3:.1f}"
    assert one["texts/s"] == f"{record.offline.texts_per_s:,.0f}"
    assert one["memory"] == f"{record.memory.peak_rss_bytes / 1e6:.0f}"
    assert one["start (s)"] == f"{record.memory.start_s:.1f}"
    assert one["size"] == f"{record.size_bytes / 1e6:.1f}"
    for head in ("times", "real p50", "p95", "p99", "texts/s", "memory", "start (s)", "size"):
        assert f"*{head}*: " in section(report, "How fast, how large")


@pytest.mark.usefixtures("undrawn")
def test_percentiles_stand_only_where_times_were_enough(
    make_record: MakeRecord, make_latency: Callable[..., Latency], tmp_path: Path
) -> None:
    record = make_record()
    report = write_report([record], tmp_path).read_text()
    (one,) = rows(report, "How fast, how large", "times")
    assert one["times"] == "3"
    assert "real p50" in one
    assert not {"p90", "p95", "p99"} & one.keys()
    times = make_latency([0.1 + 0.01 * i for i in range(20)])
    more = record.model_copy(update={"latency": {"real": times}})
    (one,) = rows(write_report([more], tmp_path).read_text(), "How fast, how large", "times")
    assert (one["times"], one["p90"], one["p95"]) == ("20", "271.0", "280.5")
    assert "p99" not in one


def test_the_fastest_is_named_where_times_may_be_compared(report: str) -> None:
    said = section(report, "How fast, how large").replace("\\", "")
    assert "Fastest of 18 per batch of 32, real lengths: tfidf-raw-linear-fp32, 1.0 ms" in said
    assert "Fastest of 18 for one text: tfidf-raw-linear-fp32" in said


def test_unstable_times_are_marked_and_support_nothing(
    full: list[Record], busy: Load, timed_beside: Callable[..., Record], tmp_path: Path
) -> None:
    loaded = [timed_beside(r, busy) if r.cell.encoder == "minilm" else r for r in full]
    report = write_report(loaded, tmp_path).read_text().replace("\\", "")
    top = report.split("\n## ", 1)[0]
    assert "**Times are unstable** in 8 of 18 cells: other processes took 40%" in top
    assert "support no ranking" in top
    assert "Fastest of" not in report
    assert "No cell is called the fastest" in section(report, "How fast, how large")
    times = rows(report, "How fast, how large", "real p50")
    for one in times:
        assert one["p95"].endswith("†") == (one["model"].startswith("minilm"))
    assert "Times are left out" in section(report, "How fast, how large")
    int8 = section(report, "What INT8 costs")
    assert "albert raw: of 2 INT8 engines openvino is fastest" in int8
    assert "minilm raw: of 2" not in int8
    assert "(2 pairs) and changes test Macro-F1" in int8  # of four, albert's alone
    for one in rows(report, "What INT8 costs", "speedup"):
        assert one["speedup"].endswith("†") == one["model"].startswith("minilm")


@pytest.mark.usefixtures("undrawn")
def test_times_of_two_machines_rank_nothing(full: list[Record], tmp_path: Path) -> None:
    other = full[0].environment.model_copy(update={"cpu_model": "another cpu"})
    moved = [full[0].model_copy(update={"environment": other}), *full[1:]]
    report = write_report(moved, tmp_path).read_text().replace("\\", "")
    top = report.split("\n## ", 1)[0]
    assert "**Times cannot be compared** under raw: CPU model differs" in top
    assert "another cpu" in top
    assert "No cell under raw is called the fastest" in report
    assert "Fastest of 9 under simplified per batch of 32" in report
    assert "under raw per batch" not in report


@pytest.mark.usefixtures("undrawn")
def test_schemes_that_were_timed_on_two_machines_rank_apart(
    full: list[Record], tmp_path: Path
) -> None:
    other = full[0].environment.model_copy(update={"cpu_model": "another cpu"})
    moved = [
        r.model_copy(update={"environment": other}) if r.cell.scheme == "raw" else r for r in full
    ]
    report = write_report(moved, tmp_path).read_text().replace("\\", "")
    top = report.split("\n## ", 1)[0]
    assert "**Times of two schemes cannot be compared**: CPU model differs" in top
    assert "**Times cannot be compared**" not in top
    for scheme in ("raw", "simplified"):
        assert (
            f"Fastest of 9 under {scheme} per batch of 32, real lengths: tfidf-{scheme}" in report
        )


def test_table_3_holds_what_int8_costs(full: list[Record], report: str) -> None:
    found = rows(report, "What INT8 costs", "INT8")
    by_id = {record.cell.id: record for record in full}
    fp32, int8 = (by_id[f"minilm-simplified-torch-{p}"] for p in ("fp32", "int8"))
    assert fp32.scores
    assert int8.scores
    one = row(found, model="minilm torch", scheme="simplified")
    change = int8.scores.test.macro_f1 - fp32.scores.test.macro_f1
    assert one["FP32"] == f"{fp32.scores.test.macro_f1:.3f}"
    assert one["INT8"] == f"{int8.scores.test.macro_f1:.3f}"
    assert one["Δ"] == f"{change:+.3f}"
    low, high = map(float, one["95 % of Δ"].split(" to "))
    assert low < change < high
    assert (one["FP32 (s)"], one["INT8 (s)"]) == ("4.20", "2.05")
    assert (one["speedup"], one["passes"]) == ("2.05", "2.00 to 2.10")
    assert "thresholds of the same strategy" in section(report, "What INT8 costs")


def test_the_winner_of_int8_and_what_it_lost(full: list[Record], report: str) -> None:
    by_id = {record.cell.id: record for record in full}
    fp32, int8 = (by_id[f"albert-raw-{e}"] for e in ("torch-fp32", "openvino-int8"))
    assert fp32.scores
    assert int8.scores
    lost = fp32.scores.test.macro_f1 - int8.scores.test.macro_f1
    assert (
        "albert raw: of 2 INT8 engines openvino is fastest over the test split, 2.54 times albert-raw-torch-fp32, "
        f"and loses {lost:.3f} test Macro-F1 to it."
    ) in section(report, "What INT8 costs")


def test_flips_stand_folded_with_the_worst_label_first(full: list[Record], report: str) -> None:
    by_id = {record.cell.id: record for record in full}
    counted = flips(by_id["minilm-raw-torch-fp32"], by_id["minilm-raw-torch-int8"])
    one = row(rows(report, "What INT8 costs", "flipped"), model="minilm torch", scheme="raw")
    worst = min(counted, key=lambda f: (f.delta, f.label))
    assert one["flipped"] == str(sum(f.flips for f in counted))
    assert one["of"] == "1,600"
    assert one["most hurt"].startswith(f"{worst.label} {worst.delta:+.3f}")


@pytest.mark.usefixtures("undrawn")
def test_repairs_say_what_was_smoothed_and_kept(make_record: MakeRecord, tmp_path: Path) -> None:
    search = PrecisionSearch(
        budget=0.01,
        plain_validation_macro_f1=0.123,
        plain_test_macro_f1=0.124,
        smoothed_validation_macro_f1=0.456,
        validation_macro_f1=0.79,
        within_budget=True,
        int8_share=0.75,
        passes=3,
        seconds=12.0,
    )
    kept = tuple(f"encoder.layer.{i}.dense" for i in range(5))
    served = ServedAgreement(agreement=0.9993, macro_f1=0.7, change=-0.001, low=-0.004, high=0.002)
    int8 = make_record(
        "int8", precision_search=search, kept_fp32=kept, smoothed=True, served=served
    )
    report = write_report([make_record(), int8], tmp_path).read_text()
    (one,) = rows(report, "What INT8 costs", "smoothed val.")
    assert one["smoothed"] == "yes"
    assert one["kept in FP32"] == "5: encoder.layer.0.dense, encoder.layer.1.dense and 3 more"
    assert (one["plain val."], one["smoothed val."], one["repaired val."]) == (
        "0.123",
        "0.456",
        "0.790",
    )
    assert (one["INT8 weights"], one["passes"], one["seconds"]) == ("75", "3", "12")
    (one,) = rows(report, "What INT8 costs", "same decisions")
    assert (one["same decisions"], one["Δ"]) == ("99.93", "-0.001")


@pytest.mark.usefixtures("undrawn")
def test_threshold_strategies_are_all_explained(make_record: MakeRecord, tmp_path: Path) -> None:
    strategies = ("fixed", "global", "per-label", "smoothed", "shrunk", "cross-fitted")
    record = make_record(
        kind="multilabel",
        strategies=tuple(
            StrategyScore(strategy=s, validation_macro_f1=v / 10, test_macro_f1=v / 20)
            for v, s in enumerate(strategies, 1)
        ),
    )
    report = write_report([record], tmp_path).read_text()
    (one,) = rows(report, "How good", "fixed val.")
    assert (one["shrunk val."], one["shrunk test"]) == ("0.500", "0.250")
    for name in strategies:
        assert f"*{name} val.*: " in report


@pytest.mark.usefixtures("undrawn")
def test_length_and_cut_texts_are_told(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(length=Length(max_length=128, cut_share=0.034))
    report = write_report([record], tmp_path).read_text()
    (one,) = rows(report, "How it was measured", "reads")
    assert (one["reads"], one["cut"]) == ("128", "3.4")


def test_an_unscored_cell_is_a_dash_with_its_reason(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    cell = Cell(encoder="albert", scheme="raw", engine="torch", precision="fp32")
    records = [make_record(), make_record(scored=False, cell=cell)]
    report = write_report(records, tmp_path).read_text()
    assert row(rows(report, "How good", "test"), model="albert")["test"] == "—"
    assert "— albert-raw-torch-fp32: no pretrained weights" in report
    timed = row(rows(report, "How fast, how large", "real p50"), model="albert torch")
    assert timed["real p50"] == "200.0"
    assert "1 of 2 cells were not scored, and are not judged" in section(
        report, "Which cell to deploy"
    )


def test_what_is_not_scored_is_timed_otherwise_and_keeps_nothing_from_being_ranked(
    make_record: MakeRecord, make_latency: Callable[..., Latency], tmp_path: Path
) -> None:
    cell = Cell(encoder="albert", scheme="raw", engine="torch", precision="fp32")
    brief = make_record(scored=False, cell=cell, latency={"real": make_latency([0.05] * 2)})
    assert brief.latency["real"].p50_s < make_record().latency["real"].p50_s
    report = write_report([make_record(), brief], tmp_path).read_text().replace("\\", "")
    assert "cannot be compared" not in report.split("\n## ", 1)[0]
    assert "Fastest of 1 per batch of 32, real lengths: minilm-" in report


@pytest.mark.usefixtures("undrawn")
def test_budgets_say_how_many_are_broken(make_record: MakeRecord, tmp_path: Path) -> None:
    kept = BudgetCheck(name="max_p50_ms", limit=300, value=200, passed=True)
    broken = BudgetCheck(name="min_macro_f1", limit=0.99, value=0.8, passed=False)
    report = write_report([make_record(budgets=(kept, broken))], tmp_path).read_text()
    said = section(report, "How it was measured").replace("\\", "")
    assert "**1 of 2 budgets are broken**: minilm-simplified-torch-fp32 min_macro_f1" in said


def test_one_cell_and_no_scored_cell(make_record: MakeRecord, tmp_path: Path) -> None:
    for name, record in (
        ("one", make_record()),
        ("none", make_record(scored=False)),
        ("int8", make_record("int8")),
        ("untimed", make_record(latency={}, speedups=())),
        ("undecided", make_record(decisions=None)),
    ):
        report = write_report([record], tmp_path / name).read_text()
        assert "## How fast, how large" in report
    with pytest.raises(RecordError, match="no records"):
        write_report([], tmp_path)


def test_damaged_decisions_are_one_clear_line(full: list[Record], tmp_path: Path) -> None:
    decisions = full[0].decisions
    assert decisions
    damaged = decisions.model_copy(update={"targets": decisions.targets[:-8]})
    with pytest.raises(RecordError, match=r"decisions.targets"):
        write_report([full[0].model_copy(update={"decisions": damaged})], tmp_path)


def test_title_and_command_go_with_the_records(make_record: MakeRecord, tmp_path: Path) -> None:
    said = Provenance(title="Tickets", command="pytest bench \\\n  --profile x")
    write_report([make_record()], tmp_path, title=said.title, command=said.command)
    assert join_records([tmp_path / "records.json"])[1] == said
    report = (tmp_path / "report.md").read_text()
    assert report.startswith("# Tickets\n")
    assert "    pytest bench \\\n    --profile x" in report


def test_it_needs_neither_torch_nor_transformers(rendered: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from goemo_eval.records.files import read_records; "
        "from goemo_eval.report.render import write_report; "
        f"write_report(read_records({str(rendered / 'records.json')!r}), {str(tmp_path)!r}); "
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_sixty_four_cells_stay_a_page(sixty_four: list[Record], tmp_path: Path) -> None:
    """How long it takes depends on the machine; how much is said does not."""
    assert len(sixty_four) == 64
    report = write_report(sixty_four, tmp_path)
    assert report.stat().st_size < 60_000
    with Image.open(tmp_path / "figures" / "cost.png") as image:
        assert image.height < 2_000  # of more than 16 cells of a scheme, the best are drawn
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 64 * 28 + 1


def test_a_place_that_cannot_be_written_to(make_record: MakeRecord, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot write the report there"):
        write_report([make_record()], tmp_path / "file")


def test_bf16_stands_beside_int8_against_the_same_fp32(full: list[Record], tmp_path: Path) -> None:
    half = [
        r.model_copy(update={"cell": r.cell.at("bf16"), "size_bytes": 40 * 10**6})
        for r in full
        if r.cell.precision == "int8"
    ]
    write_report([*full, *half], tmp_path)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    title = "What BF16 and INT8 cost"
    assert "## What INT8 costs" not in report
    assert "torch BF16 is 2.05 times as fast as its FP32 (4 pairs)" in section(report, title)
    both = [
        row(rows(report, title, "speedup"), model="minilm torch", scheme="raw", precision=name)
        for name in ("BF16", "INT8")
    ]
    for one in both:
        assert one.pop("precision")
        assert one["BF16 and INT8"] != "—"
    assert both[0] == both[1]
    write_report([r for r in (*full, *half) if r.cell.precision != "int8"], tmp_path / "alone")
    alone = (tmp_path / "alone" / "report.md").read_text(encoding="utf-8")
    assert rows(alone, "What BF16 costs", "BF16 (s)")
    assert "INT8 engines" not in alone

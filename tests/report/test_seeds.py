"""What the report says where cells have several seeds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from goemo_eval.errors import RecordError
from goemo_eval.records.schema import Record
from goemo_eval.report import study_figures
from goemo_eval.report.drawing import new_figure
from goemo_eval.report.figures import plots_of
from goemo_eval.report.intervals import resample
from goemo_eval.report.render import write_report
from goemo_eval.report.rows import record_rows, reference_cells, reference_names
from goemo_eval.report.seeds import seed_note
from goemo_eval.report.study.published import load_study

Make = Callable[..., Record]


@pytest.fixture(scope="module")
def report(seeded: list[Record], tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(seeded, tmp_path_factory.mktemp("seeds")).read_text().replace("\\", "")


def f1s(seeded: list[Record], scheme: str, split: str = "test") -> list[float]:
    """Macro-F1 of torch FP32 by seed."""
    return [
        getattr(r.scores, split).macro_f1
        for r in seeded
        if (r.cell.scheme, r.cell.engine, r.cell.precision) == (scheme, "torch", "fp32")
    ]


def section(report: str, title: str) -> str:
    return report.split(title, 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def between(values: list[float], *, signed: bool = False) -> str:
    """Student's interval by scipy, as the report writes it."""
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    form = "+.3f" if signed else ".3f"
    return f"{low:{form}} to {high:{form}}"


def test_table_1_has_means_intervals_and_the_gap(seeded: list[Record], report: str) -> None:
    header, _, *body = rows(section(report, "## Table 1.").split("<details>")[0])
    assert header[2] == "seeds"
    assert [row[:3] for row in body] == [
        ["minilm", "raw", "1, 2, 3"],
        ["minilm openvino", "raw", "1"],
        ["minilm", "simplified", "1, 2, 3"],
        ["minilm openvino", "simplified", "1"],
    ]
    for scheme, row in (("raw", body[0]), ("simplified", body[2])):
        test, validation = (f1s(seeded, scheme, s) for s in ("test", "validation"))
        gaps = [v - t for v, t in zip(validation, test, strict=True)]
        assert (row[3], row[4]) == (f"{np.mean(validation):.3f}", between(validation))
        assert (row[7], row[8]) == (f"{np.mean(test):.3f}", between(test))
        assert row[11:] == [f"{np.mean(gaps):+.3f}"]
        assert f"{np.mean(gaps):+.3f} ({between(gaps, signed=True)})" in report
    assert body[1][4] == body[1][8] == "—"
    fold = section(report, "<summary>Macro-F1 seed by seed").split("</details>")[0]
    assert [(r[1], r[3]) for r in rows(fold)[2:]] == [
        (scheme, seed) for scheme in ("raw", "simplified") for seed in "123"
    ]


def test_the_assessment_has_both_intervals(seeded: list[Record], report: str) -> None:
    said = section(report, "## Assessment")
    for scheme in ("raw", "simplified"):
        f1 = f1s(seeded, scheme)
        assert (
            f"minilm-{scheme}-torch-fp32 over 3 seeds (1, 2, 3): test Macro-F1 {np.mean(f1):.3f} on average, "
            f"95 % interval over seeds {between(f1)}"
        ) in said
    assert (
        len(re.findall("At seed 1 test Macro-F1 is .* interval over the test split's texts", said))
        == 2
    )
    assert "minilm-raw-torch-fp32 +0.012 (mean of 3 seeds)" in said
    gain = np.mean(f1s(seeded, "simplified")) - np.mean(f1s(seeded, "raw"))
    assert f"Simplified minus raw, test Macro-F1 in FP32: minilm {gain:+.3f}." in said


def test_the_summary_says_what_the_chosen_cell_s_seed_is(report: str) -> None:
    said = section(report, "## Summary")
    assert len(re.findall("one of the 3 seeds of|Its seed is one of 3", said)) == 2
    assert "A cell with several seeds is shown at one, seed 1." in said


def test_single_cells_are_shown_at_one_seed(report: str) -> None:
    """Another seed is only named where seeds are compared."""
    assert not re.search("-s[23]", report)
    assert "seed 2" not in report
    efficiency = rows(section(report, "## Table 2.").split("![", 1)[0])[2:]
    assert len(efficiency) == 8
    assert len(re.findall("<summary>Every label of", report)) == 8
    assert "seed 1" in section(report, "## Error analysis").split("A label is low")[0]


def test_figures_1_and_3_show_means_and_say_so(seeded: list[Record]) -> None:
    pictures, plain = plots_of(seeded), plots_of([r for r in seeded if r.cell.seed == 1])
    for name, picture in pictures.items():
        said = "Student's" if name in ("figure1", "figure3") else "at one, seed 1"
        assert said in picture.alt
        assert "seeds" not in plain[name].alt
    figure = new_figure(4)
    study_figures.macro_f1(figure, seeded, load_study(), resample(seeded))
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx([np.mean(f1s(seeded, s)) for s in ("raw", "simplified")])
    bars = [tuple(line.get_ydata()) for line in axes.lines if line.get_marker() == "_"]
    for scheme, found in zip(("raw", "simplified"), bars, strict=True):
        assert "{:.3f} to {:.3f}".format(*found) == between(f1s(seeded, scheme))


def test_figure_1_s_interval_is_over_seeds_or_over_texts_but_never_of_both(
    seeded: list[Record],
) -> None:
    lone = [r for r in seeded if r.cell.seed == 1]
    mixed = [r for r in seeded if r.cell.seed == 1 or r.cell.scheme == "raw"]
    for records, expected in ((seeded, 1), (lone, 1), (mixed, 0)):
        figure = new_figure(4)
        study_figures.gain(figure, records, load_study(), resample(records))
        lines = [line for line in figure.axes[0].lines if line.get_marker() == "_"]
        assert len(lines) == expected


def test_claims_see_one_value_per_encoder_and_scheme(seeded: list[Record]) -> None:
    found = record_rows(seeded)
    assert [(row.encoder, row.scheme) for row in found] == [
        ("minilm", "raw"),
        ("minilm", "simplified"),
    ]
    for row in found:
        assert row.test == pytest.approx(np.mean(f1s(seeded, row.scheme)))
        assert len(row.int8) == 2  # one per engine, of one seed


def test_a_single_seed_keeps_its_name(seeded: list[Record], tmp_path: Path) -> None:
    lone = [r for r in seeded if r.cell.seed == 1]
    assert reference_names(lone) == ["minilm seed 1"] * 2
    assert reference_names(seeded) == ["minilm"] * 2
    assert [r.cell.seed for r in reference_cells(seeded)] == [1, 1]
    assert seed_note(lone) == ""
    report = write_report(lone, tmp_path).read_text()
    assert "seeds" not in report
    assert rows(section(report, "## Table 1."))[0][2] == "validation"


def test_unscored_seeds(make_record: Make, tmp_path: Path) -> None:
    cells = [make_record().cell.model_copy(update={"seed": s}) for s in (1, 2)]
    records = [make_record(scored=False, cell=cell) for cell in cells]
    report = write_report(records, tmp_path).read_text()
    (row,) = rows(section(report, "## Table 1.").split("![")[0])[2:]
    assert row[:5] == ["minilm", "simplified", "—", "—", "—"]
    assert "on average" not in report


def test_seeds_of_different_recipes_are_one_clear_line(make_record: Make, tmp_path: Path) -> None:
    other = make_record().cell.model_copy(update={"seed": 1})
    with pytest.raises(RecordError, match="its recipe is not that of"):
        write_report([make_record(), make_record(cell=other, recipe={"name": "x"})], tmp_path)

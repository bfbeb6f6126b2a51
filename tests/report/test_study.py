"""The study's values stand beside ours only where ours are of its data, and its times never on our axes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from goemo_eval.data.goemotions import PUBLISHED_SHA256
from goemo_eval.records.schema import Data, Record
from goemo_eval.records.view import View
from goemo_eval.report.figures.drawing import new_figure
from goemo_eval.report.findings import find
from goemo_eval.report.render import write_report
from goemo_eval.report.study.plots import STUDY_PLOTS
from goemo_eval.report.study.published import load_study, study_of
from goemo_eval.report.study.timed import draw_latency, draw_trade_off


def test_the_four_encoders_under_both_schemes() -> None:
    cells = {(cell.encoder, cell.scheme) for cell in load_study().cells}
    encoders = ("albert", "distilbert", "minilm", "mobilebert")
    assert cells == {(e, s) for e in encoders for s in ("raw", "simplified")}


def test_the_tables_agree_with_themselves_as_far_as_the_study_does() -> None:
    """Its deltas and speedups are the quotients of its own columns, to their last digit."""
    for cell in load_study().cells:
        assert abs((cell.int8 - cell.fp32) - cell.delta) < 0.0016, cell
        assert abs(cell.fp32_s / cell.int8_s - cell.speedup) < 0.0011, cell
        # Table 3 repeats Table 1, but for ALBERT under simplified (0.459 and 0.463).
        assert abs(cell.fp32 - cell.test) <= 0.004 + 1e-9, cell


def test_its_data_are_the_published_splits() -> None:
    assert load_study().sha256 == PUBLISHED_SHA256


def test_only_records_of_its_splits_are_of_its_data(
    make_record: Callable[..., Record], study_data: Data
) -> None:
    assert study_of(View([make_record(data=study_data)]))
    assert study_of(View([make_record()])) is None
    renamed = study_data.model_copy(update={"name": "tickets"})
    assert study_of(View([make_record(data=renamed)])) is None
    train = study_data.splits["train"].model_copy(update={"sha256": "0" * 64})
    other = study_data.model_copy(update={"splits": study_data.splits | {"train": train}})
    assert study_of(View([make_record(data=other)])) is None
    both = [make_record(data=study_data), make_record("int8", data=other)]
    assert study_of(View(both)) is None


@pytest.fixture(scope="module")
def report(of_the_study: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(of_the_study, tmp_path_factory.mktemp("study"))


def test_its_section_stands_on_its_data_alone(report: Path, rendered: Path) -> None:
    ours, others = report.read_text(), (rendered / "report.md").read_text()
    assert "## What the study claimed" in ours
    assert "What the study claimed" not in others
    for name in STUDY_PLOTS:
        assert (report.parent / "figures" / f"{name}.png").exists()
        assert not (rendered / "figures" / f"{name}.png").exists()
    # The other sections are the same to the letter: no column of the study's is in them.
    before = ours.split("\n## What the study claimed")[0]
    assert before.rstrip() == others.split("\n## How it was measured")[0].rstrip()


def test_its_figures_do_not_outlast_its_data(
    make_record: Callable[..., Record], study_data: Data, tmp_path: Path
) -> None:
    write_report([make_record(data=study_data), make_record("int8", data=study_data)], tmp_path)
    assert (tmp_path / "figures/study4.svg").exists()
    (tmp_path / "figures/mine.png").touch()
    write_report([make_record()], tmp_path)
    assert {p.stem for p in (tmp_path / "figures").iterdir()} == {"scores", "cost", "mine"}


def test_its_values_stand_beside_ours(report: Path, of_the_study: list[Record]) -> None:
    text = report.read_text().split("## What the study claimed")[1]
    line = next(t for t in text.splitlines() if t.startswith("| minilm | simplified |"))
    cells = [c.strip() for c in line.strip("|").split("|")]
    fp32, int8 = (
        next(r for r in of_the_study if r.cell.id == f"minilm-simplified-torch-{p}")
        for p in ("fp32", "int8")
    )
    assert fp32.scores
    assert int8.scores
    test = fp32.scores.test.macro_f1
    assert cells[4:7] == [f"{test:.3f}", "0.348", f"{test - 0.348:+.3f}"]
    assert cells[8] == "22.72"
    assert cells[9:] == [f"{int8.scores.test.macro_f1 - test:+.3f}", "-0.010", "2.05", "1.16"]


def test_its_seconds_have_axes_of_their_own(of_the_study: list[Record]) -> None:
    found = find(of_the_study)
    study = load_study()
    figure = new_figure(4)
    draw_latency(figure, found.view, found.intervals)
    theirs, *ours = figure.axes
    assert theirs.get_title() == "the study's machine"
    assert theirs.get_xlim()[1] > max(c.latency_ms for c in study.cells)
    assert [axes.get_title() for axes in ours] == ["here, torch", "here, openvino"]
    assert len({axes.get_xlim() for axes in ours}) == 1
    assert ours[0].get_xlim() != theirs.get_xlim()
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    hollow = [line for axes in ours for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert not hollow  # a published value is in no panel of ours

    figure = new_figure(8)
    draw_trade_off(figure, found.view, found.intervals)
    assert len(figure.axes) == 6  # its own and two engines', of two schemes
    theirs, ours = figure.axes[:2], figure.axes[2:]
    assert len({axes.get_xlim() for axes in ours}) == 1
    assert theirs[0].get_xlim() == theirs[1].get_xlim() != ours[0].get_xlim()
    assert (
        len({axes.get_ylim() for axes in figure.axes}) == 1
    )  # 0.003 looks like 0.003 in every panel
    for axes in ours:
        bars = [line for line in axes.lines if line.get_marker() == "_"]
        assert len(bars) == 4  # the intervals of two cells at both precisions


def test_times_that_may_not_be_compared_are_not_drawn(of_the_study: list[Record]) -> None:
    other = of_the_study[0].environment.model_copy(update={"cpu_model": "another"})
    torch = [r for r in of_the_study if r.cell.encoder == "albert"]
    moved = [torch[0].model_copy(update={"environment": other}), *torch[1:]]
    found = find(moved)
    figure = new_figure(4)
    draw_latency(figure, found.view, found.intervals)
    _, ours = figure.axes
    assert not [line for line in ours.lines if line.get_marker() not in ("", "None", None)]
    assert "no times that may be compared" in [text.get_text() for text in ours.texts]

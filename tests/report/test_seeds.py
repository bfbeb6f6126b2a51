"""What the report says where cells have several seeds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from goemo_eval.errors import RecordError
from goemo_eval.records.schema import Data, Record
from goemo_eval.records.view import View
from goemo_eval.report.figures.drawing import new_figure
from goemo_eval.report.findings import find
from goemo_eval.report.render import write_report
from goemo_eval.report.seeds import seed_note
from goemo_eval.report.study.bars import draw_gain, draw_macro_f1

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
    return report.split(f"## {title}", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def between(values: list[float]) -> str:
    """Student's interval by scipy, as the report writes it."""
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    return f"{low:.3f} to {high:.3f}"


def test_table_1_has_means_intervals_and_the_gap(seeded: list[Record], report: str) -> None:
    header, _, *body = rows(section(report, "How good").split("<details>")[0])
    assert header == [
        "model",
        "scheme",
        "seeds",
        "validation",
        "test",
        "95 % over texts",
        "95 % over seeds",
        "gap",
        "minus the best",
    ]
    assert [row[:3] for row in body] == [
        ["minilm", "raw", "1, 2, 3"],
        ["minilm", "simplified", "1, 2, 3"],
    ]
    for scheme, row in zip(("raw", "simplified"), body, strict=True):
        test, validation = (f1s(seeded, scheme, s) for s in ("test", "validation"))
        gaps = [v - t for v, t in zip(validation, test, strict=True)]
        assert row[3:5] == [f"{np.mean(validation):.3f}", f"{np.mean(test):.3f}"]
        assert row[6:8] == [between(test), f"{np.mean(gaps):+.3f}"]
    fold = section(report, "How good").split("<summary>Macro-F1 seed by seed")[1]
    assert [(r[1], r[3]) for r in rows(fold.split("</details>")[0])[2:]] == [
        (scheme, seed) for scheme in ("raw", "simplified") for seed in "123"
    ]


def test_it_is_said_over_which_seeds(seeded: list[Record], report: str) -> None:
    said = section(report, "How good")
    for scheme in ("raw", "simplified"):
        f1 = f1s(seeded, scheme)
        assert (
            f"minilm-{scheme}-torch-fp32 over 3 seeds (1, 2, 3): test Macro-F1 {np.mean(f1):.3f} on average, "
            f"95 % interval over seeds {between(f1)}"
        ) in said
    assert "A cell with several seeds is shown at one, seed 1." in said


def test_single_cells_are_shown_at_one_seed(report: str) -> None:
    """Another seed is only named where seeds are compared."""
    assert not re.search("-s[23]", report)
    times = rows(section(report, "How fast, how large").split("![", 1)[0])[2:]
    assert len(times) == 8
    assert {row[0] for row in times} == {"minilm torch", "minilm openvino"}


def test_the_study_s_bars_are_means_with_one_kind_of_interval(
    seeded: list[Record], study_data: Data
) -> None:
    seeded = [r.model_copy(update={"data": study_data}) for r in seeded]
    found, figure = find(seeded), new_figure(4)
    draw_macro_f1(figure, found.view, found.intervals)
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx([np.mean(f1s(seeded, s)) for s in ("raw", "simplified")])
    bars = [tuple(line.get_ydata()) for line in axes.lines if line.get_marker() == "_"]
    for scheme, ends in zip(("raw", "simplified"), bars, strict=True):
        assert "{:.3f} to {:.3f}".format(*ends) == between(f1s(seeded, scheme))
    lone = [r for r in seeded if r.cell.seed == 1]
    mixed = [r for r in seeded if r.cell.seed == 1 or r.cell.scheme == "raw"]
    # Figure 1's interval is over seeds or over texts, but never of both.
    for records, expected in ((seeded, 1), (lone, 1), (mixed, 0)):
        found, figure = find(records), new_figure(4)
        draw_gain(figure, found.view, found.intervals)
        lines = [line for line in figure.axes[0].lines if line.get_marker() == "_"]
        assert len(lines) == expected


def test_a_single_seed_needs_no_note(seeded: list[Record], tmp_path: Path) -> None:
    lone = [r for r in seeded if r.cell.seed == 1]
    assert seed_note(View(lone)) == ""
    report = write_report(lone, tmp_path).read_text()
    assert "over seeds" not in report
    assert "one seed (1)" in report
    assert rows(section(report, "How good"))[0][:3] == ["model", "scheme", "validation"]


def test_unscored_seeds(make_record: Make, tmp_path: Path) -> None:
    cells = [make_record().cell.model_copy(update={"seed": s}) for s in (1, 2)]
    records = [make_record(scored=False, cell=cell) for cell in cells]
    report = write_report(records, tmp_path).read_text()
    (row,) = rows(section(report, "How good"))[2:]
    assert row == ["minilm", "simplified", "—"]
    assert "on average" not in report


def test_seeds_of_different_recipes_are_one_clear_line(make_record: Make, tmp_path: Path) -> None:
    other = make_record().cell.model_copy(update={"seed": 1})
    with pytest.raises(RecordError, match="its recipe is not that of"):
        write_report([make_record(), make_record(cell=other, recipe={"name": "x"})], tmp_path)


def test_what_training_anew_gains_over_the_floor(
    erring: Callable[..., Record], tmp_path: Path
) -> None:
    records = [
        erring(encoder, wrong=wrong, draw=draw + seed, seed=seed)
        for encoder, wrong, draw in (("tfidf", 0.3, 0), ("minilm", 0.1, 10), ("albert", 0.29, 20))
        for seed in (1, 2)
    ] + [erring("mine", wrong=0.15, draw=30, seed=1)]
    report = write_report(records, tmp_path).read_text().replace("\\", "")
    good = section(report, "How good")
    assert (
        "- Trained anew (means over seeds under simplified, in FP32): minilm above it beyond chance; "
        "albert not."
    ) in good
    header, _, *body = rows(good.split("<details>")[0])
    own = {row[0]: row[header.index("minus the floor")] for row in body}
    gains = find(records).intervals.floor_over_seeds
    found = gains["minilm-simplified-torch-fp32-s1"]
    assert own["minilm"] == f"{found.low:+.3f} to {found.high:+.3f}"
    assert own["albert"].endswith("(chance)")
    assert own["tfidf"] == "—"
    assert own["mine seed 1"].startswith("+0.")
    assert own["mine seed 1"].endswith("‡")
    assert (
        f"trained anew {found.point:+.3f} (over seeds and texts {found.low:+.3f} to {found.high:+.3f})"
    ) in report.split("\n## ", 2)[1]

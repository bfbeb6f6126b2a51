"""What figures show: shared axes, intervals, ticks to read by, and nothing drawn of nothing."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from goemo_eval.measure.machine_load import Load
from goemo_eval.records.schema import Cell, Record
from goemo_eval.records.view import View
from goemo_eval.report.figures.cost import MOST_ROWS, cost_rows, draw_cost
from goemo_eval.report.figures.drawing import (
    encoder_styles,
    engines_in_order,
    legend,
    line,
    log_axis,
    new_figure,
    scheme_colours,
    score_limits,
)
from goemo_eval.report.figures.int8 import LEAST_SPAN, draw_int8
from goemo_eval.report.figures.plots import draw, pictures_of
from goemo_eval.report.figures.probabilities import draw_reliability, drawn_encoders
from goemo_eval.report.figures.scores import draw_scores
from goemo_eval.report.findings import find
from goemo_eval.report.intervals import Intervals, resample

Make = Callable[..., Record]
NONE = resample(View([]), {})


def cells(make_record: Make, *encoders: str) -> list[Record]:
    words = {"scheme": "raw", "engine": "torch", "precision": "fp32"}
    return [make_record(cell=Cell(encoder=encoder, **words)) for encoder in encoders]


def drawn(draw_one: Callable[[Figure, View, Intervals], None], records: list[Record]) -> Figure:
    found, figure = find(records), new_figure(5)
    draw_one(figure, found.view, found.intervals)
    return figure


def intervals_of(axes: object) -> list[tuple[float, float]]:
    """The lying bars of a panel."""
    lines = [line for line in axes.lines if line.get_marker() == "|" and len(line.get_xdata()) == 2]  # type: ignore[attr-defined]
    return [tuple(line.get_xdata()) for line in lines]


def test_an_encoder_looks_the_same_beside_any_others(make_record: Make) -> None:
    alone = encoder_styles(cells(make_record, "minilm"))
    among = encoder_styles(cells(make_record, "zeta", "minilm", "albert", "alpha"))
    assert alone["minilm"] == among["minilm"]
    known = ("albert", "distilbert", "minilm", "mobilebert", "tfidf")
    many = encoder_styles(cells(make_record, *"abcdefg", *known))
    assert len(set(many.values())) == 12
    schemes = scheme_colours(cells(make_record, "minilm")).values()
    assert not set(schemes) & {colour for colour, _ in many.values()}


def test_one_encoder_with_fewer_layers_has_its_colour_and_another_marker(
    make_record: Make,
) -> None:
    names = ("minilm", "minilm@3", "minilm@1", "minilm@3+tfidf", "minilm+tfidf")
    styles = encoder_styles(cells(make_record, *names))
    alone, beside = ({styles[name][0] for name in these} for these in (names[:3], names[3:]))
    assert len(alone) == len(beside) == 1
    assert alone != beside
    assert len(set(styles.values())) == len(names)


def test_a_legend_of_many_names_lies_within_the_figure() -> None:
    figure = new_figure(2)
    legend(figure, [line(f"an_encoder_of_mine@{i}+tfidf") for i in range(11)])
    figure.draw_without_rendering()
    drawn, whole = figure.legends[0].get_window_extent(), figure.bbox
    assert whole.x0 <= drawn.x0 < drawn.x1 <= whole.x1


def test_of_many_encoders_probabilities_of_the_best_and_the_floor_are_drawn(
    full: list[Record], make_record: Make
) -> None:
    template = next(r for r in full if r.calibration and r.cell.precision == "fp32")
    scores, many = template.scores, []
    assert scores is not None
    for i, name in enumerate(["tfidf", *"abcdefgh"]):
        test = scores.test.model_copy(update={"macro_f1": 0.1 + 0.05 * i})
        cell = template.cell.model_copy(update={"encoder": name})
        new = {"cell": cell, "scores": scores.model_copy(update={"test": test}), "speedups": ()}
        many.append(template.model_copy(update=new))
    assert drawn_encoders(View(many)) == [*"defgh", "tfidf"]
    assert drawn_encoders(View(many[1:4])) == [*"abc"]
    figure = drawn(draw_reliability, many)
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert titles == [*"defgh", "tfidf"]
    told = pictures_of(View(many))["reliability"].alt
    assert "of the floor and the highest Macro-F1s of 9" in told
    assert "highest Macro-F1s" not in pictures_of(View(many[:3]))["reliability"].alt


def test_torch_comes_first() -> None:
    assert engines_in_order(["openvino", "torch", "onnxruntime", "torch"]) == [
        "torch",
        "onnxruntime",
        "openvino",
    ]


def test_only_what_there_is_something_to_show_of(full: list[Record], make_record: Make) -> None:
    assert [*pictures_of(View(full))] == ["scores", "cost", "int8", "reliability", "thresholds"]
    assert [*pictures_of(View([make_record(scored=False)]))] == []
    assert [*pictures_of(View([make_record()]))] == ["scores", "cost"]
    simplified = View(full).of_scheme("simplified")
    assert [*pictures_of(simplified)] == ["scores", "cost", "int8", "reliability"]


@pytest.mark.parametrize("draw_one", [draw_scores, draw_cost, draw_int8])
def test_panels_that_are_compared_share_their_axes(
    full: list[Record], draw_one: Callable[[Figure, View, Intervals], None]
) -> None:
    figure = drawn(draw_one, full)
    columns = {axes.get_subplotspec().colspan.start for axes in figure.axes}  # type: ignore[union-attr]
    for column in columns:
        panels = [a for a in figure.axes if a.get_subplotspec().colspan.start == column]  # type: ignore[union-attr]
        assert len(panels) == 2  # a scheme each
        assert len({axes.get_xlim() for axes in panels}) == 1


@pytest.mark.parametrize("draw_one", [draw_scores, draw_cost, draw_int8])
def test_every_interval_is_drawn_and_lies_within_the_axis(
    full: list[Record], draw_one: Callable[[Figure, View, Intervals], None]
) -> None:
    figure = drawn(draw_one, full)
    first = [a for a in figure.axes if a.get_subplotspec().colspan.start == 0]  # type: ignore[union-attr]
    for axes in first:
        bars = intervals_of(axes)
        assert len(bars) == len(axes.get_yticks())
        low, high = axes.get_xlim()
        assert all(low < left < right < high for left, right in bars)


def test_no_two_cells_share_a_line(full: list[Record]) -> None:
    figure = drawn(draw_cost, full)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(set(names)) == len(names) == 9
    assert "minilm openvino INT8" in names


def test_an_axis_does_not_make_noise_look_like_a_difference(make_record: Make) -> None:
    low, high = score_limits([0.5001, 0.5004])
    assert high - low > 0.1
    low, high = score_limits([0.0], least=LEAST_SPAN)
    assert high - low > 0.02
    axes = Figure().subplots()
    log_axis(axes, "ms", [100.0, 101.0])
    left, right = axes.get_xlim()
    assert right / left >= 2


@given(st.floats(1e-3, 1e4), st.floats(1, 1e4), st.integers(4, 8))
def test_a_logarithmic_axis_has_numbers_enough_and_not_too_many(
    least: float, ratio: float, room: int
) -> None:
    axes = Figure().subplots()
    log_axis(axes, "ms", [least, least * ratio], room=room)
    low, high = axes.get_xlim()
    ticks = axes.get_xticks()
    assert 2 <= len(ticks) <= 1.5 * room
    assert all(low <= tick <= high for tick in ticks)
    assert low < least <= least * ratio < high


def test_unstable_times_are_not_drawn(
    full: list[Record], busy: Load, timed_beside: Callable[..., Record]
) -> None:
    loaded = [timed_beside(record, busy) for record in full]
    labels = {axes.get_xlabel() for axes in drawn(draw_cost, loaded).axes}
    assert labels == {"", "test Macro-F1, 95 %", "MB on disk"}
    labels = {axes.get_xlabel() for axes in drawn(draw_int8, loaded).axes}
    assert labels == {"", "INT8 minus FP32, test Macro-F1, paired 95 %"}
    assert "Times are left out" in pictures_of(View(loaded))["cost"].alt


def test_a_scheme_without_times_takes_none_from_the_other(full: list[Record]) -> None:
    some = [r.model_copy(update={"latency": {}}) if r.cell.scheme == "raw" else r for r in full]
    figure = drawn(draw_cost, some)
    assert "ms per batch, p50 to p95" in {axes.get_xlabel() for axes in figure.axes}
    said = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert said == {"no times to compare"}
    told = pictures_of(View(some))["cost"].alt
    assert "Times reach from the median" in told
    assert "Times of raw are left out" in told


def test_a_cell_that_was_not_timed_is_left_out_of_those_ranked_by_time(full: list[Record]) -> None:
    lost = next(r for r in full if r.cell.scheme == "raw" and r.cell.encoder == "minilm")
    some = [r.model_copy(update={"latency": {}}) if r is lost else r for r in full]
    rows = cost_rows(View(some))
    assert lost.cell not in {r.cell for r in rows["raw"]}
    assert (len(rows["raw"]), len(rows["simplified"])) == (8, 9)
    assert not [t for axes in drawn(draw_cost, some).axes for t in axes.texts]
    told = pictures_of(View(some))["cost"].alt
    assert "Left out, since not timed: 1 cells." in told
    assert "cost more" not in told


def test_of_many_cells_the_best_are_drawn(sixty_four: list[Record]) -> None:
    view = View(sixty_four)
    for scheme, kept in cost_rows(view).items():
        assert len(kept) == MOST_ROWS
        scored = view.of_scheme(scheme).scored
        best = max(r.scores.test.macro_f1 for r in scored if r.scores)
        assert best in {r.scores.test.macro_f1 for r in kept if r.scores}
        assert min(scored, key=lambda r: r.latency["real"].p95_s) in kept


def test_seeds_are_drawn_beside_the_shown_one(seeded: list[Record]) -> None:
    figure = drawn(draw_scores, seeded)
    for axes, scheme in zip(figure.axes, ("raw", "simplified"), strict=True):
        values = sorted(
            r.scores.test.macro_f1
            for r in seeded
            if r.scores and r.cell.id.startswith(f"minilm-{scheme}-torch-fp32")
        )
        strokes = [line for line in axes.lines if len(line.get_xdata()) == 3]
        (found,) = (sorted(line.get_xdata()) for line in strokes)
        assert found == pytest.approx(values)
        assert len(intervals_of(axes)) == 2  # over texts, and over seeds


def test_every_figure_is_drawn_of_every_set(full: list[Record], make_record: Make) -> None:
    other = full[0].environment.model_copy(update={"cpu_model": "another"})
    moved = [full[0].model_copy(update={"environment": other}), *full[1:3]]
    bare = make_record("int8", latency={}, speedups=(), decisions=None)
    for records in (full[:1], [make_record(scored=False)], [bare], [make_record(), bare], moved):
        found = find(records)
        files = draw(found.view, found.intervals)
        assert {name.split(".")[0] for name in files} == {*pictures_of(found.view)}
        for name, content in files.items():
            if name.endswith("png"):
                with Image.open(io.BytesIO(content)) as image:
                    assert image.width == 1200

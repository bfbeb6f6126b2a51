"""What figures show: looks that stay, panels per engine, and nothing drawn of nothing."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image

from goemo_eval.records.schema import Cell, Record
from goemo_eval.report.drawing import encoder_styles, engines_in_order, scheme_colours
from goemo_eval.report.figures import draw, plots_of
from goemo_eval.report.intervals import resample
from goemo_eval.report.study.published import load_study

Make = Callable[..., Record]


def cells(make_record: Make, *encoders: str) -> list[Record]:
    words = {"scheme": "raw", "engine": "torch", "precision": "fp32"}
    return [make_record(cell=Cell(encoder=encoder, **words)) for encoder in encoders]


def test_an_encoder_looks_the_same_beside_any_others(make_record: Make) -> None:
    alone = encoder_styles(cells(make_record, "minilm"))
    among = encoder_styles(cells(make_record, "zeta", "minilm", "albert", "alpha"))
    assert alone["minilm"] == among["minilm"]
    many = encoder_styles(
        cells(make_record, *"abcdefg", "albert", "distilbert", "minilm", "mobilebert")
    )
    assert len(set(many.values())) == 11
    schemes = scheme_colours(cells(make_record, "minilm")).values()
    assert not set(schemes) & {colour for colour, _ in many.values()}


def test_torch_comes_first() -> None:
    assert engines_in_order(["openvino", "torch", "onnxruntime", "torch"]) == [
        "torch",
        "onnxruntime",
        "openvino",
    ]


def test_only_what_there_is_something_to_show_of(full: list[Record], make_record: Make) -> None:
    study = ["figure1", "figure2", "figure3"]
    assert [*plots_of(full)] == [*study, "figure4", "pareto", "reliability", "thresholds"]
    assert [*plots_of([make_record(scored=False)])] == study
    assert [*plots_of([make_record()])] == [*study, "pareto"]
    assert [*plots_of([r for r in full if r.cell.scheme == "simplified"])] == [
        *study,
        "figure4",
        "pareto",
        "reliability",
    ]


def test_every_figure_is_drawn_of_every_set(full: list[Record], make_record: Make) -> None:
    other = full[0].environment.model_copy(update={"cpu_model": "another"})
    moved = [full[0].model_copy(update={"environment": other}), *full[1:]]
    bare = make_record("int8", latency={}, speedups=(), decisions=None)
    for records in (full, full[:1], [make_record(scored=False)], [bare], moved):
        files = draw(records, load_study(), resample(records))
        assert {name.split(".")[0] for name in files} == {*plots_of(records)}
        for name, content in files.items():
            if name.endswith("png"):
                with Image.open(io.BytesIO(content)) as image:
                    assert image.width == 1200
                    assert len(image.convert("RGB").getcolors(1 << 20) or []) > 5

"""Graphs for ONNX Runtime: what their axes are called, and that a model is traced once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from goemo_eval.models.checkpoint import Checkpoint


def _axes(value: Any) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


def test_axes_are_named_wherever_they_occur_and_sizes_stay() -> None:
    from onnx import TensorProto, helper

    from goemo_eval.engines.onnx_conversion import name_axes

    def value(name: str, *shape: str | int | None) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [value("x", "s0", 7), value("m", "s0", "s1")],
        [value("y", "s0", 28)],
        value_info=[value("h", "s1", None, "s0", "s0 + s1")],
    )
    model = helper.make_model(graph)
    name_axes(model, ("batch", "length"))
    found = [_axes(v) for v in (*model.graph.input, *model.graph.output, *model.graph.value_info)]
    # An axis that has a size gets no name.
    assert found == [
        *(["batch", 7], ["batch", "length"], ["batch", 28]),
        ["length", 0, "batch", "s0 + s1"],
    ]


def test_a_graph_takes_any_number_of_texts_and_tokens(minilm_raw: Checkpoint) -> None:
    from goemo_eval.engines.onnx_conversion import export
    from goemo_eval.models.pretrained import load_pretrained

    graph = export(load_pretrained(minilm_raw)).graph
    assert [_axes(value) for value in graph.input] == [["batch", "length"]] * len(graph.input)
    assert [_axes(value) for value in graph.output] == [["batch", len(minilm_raw.labels)]]


def test_int8_is_the_same_whether_the_model_is_traced_or_its_fp32_graph_is_read(
    minilm_raw: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from goemo_eval.engines import onnx_conversion
    from goemo_eval.engines.artifact import Variant
    from goemo_eval.engines.registry import convert, converter

    made = {name: tmp_path / name for name in ("fp32", "traced", "read")}
    for directory in made.values():
        directory.mkdir()
    int8 = Variant(engine="onnxruntime", precision="int8")
    at_once = converter(minilm_raw, "onnxruntime", threads=1)
    at_once.write(Variant(engine="onnxruntime", precision="fp32"), made["fp32"])
    at_once.write(int8, made["traced"])
    monkeypatch.setattr(onnx_conversion, "export", None)  # it is not called again
    convert(minilm_raw, int8, made["read"], threads=1, fp32=made["fp32"])
    files = sorted(file.name for file in made["traced"].iterdir())
    assert sorted(file.name for file in made["read"].iterdir()) == files
    for name in files:
        assert (made["read"] / name).read_bytes() == (made["traced"] / name).read_bytes()


def test_a_graph_of_another_precision_is_no_begin(minilm_raw: Checkpoint, tmp_path: Path) -> None:
    from goemo_eval.engines.artifact import Variant
    from goemo_eval.engines.registry import convert
    from goemo_eval.errors import EngineError

    int8 = Variant(engine="torch", precision="int8")
    convert(minilm_raw, int8, tmp_path, threads=1)
    with pytest.raises(EngineError, match=r"no FP32 artifact of .* for onnxruntime: leave it out"):
        convert(
            minilm_raw,
            Variant(engine="onnxruntime", precision="int8"),
            tmp_path,
            threads=1,
            fp32=tmp_path,
        )

"""Graphs for ONNX Runtime: what their axes are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

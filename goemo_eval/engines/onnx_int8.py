"""INT8 in an exported graph: weights of 8 bits by output channel, activations of 8 bits by token.

As `goemo_eval.engines.torch_int8` multiplies, and for its reasons: each token is divided by its largest
value before the product and multiplied by it after, so that outliers of one token cost the others
nothing, and a text's logits have the same bits whatever shares its batch. Layers that read the same
tokens, as queries, keys and values do, share the rounding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.exported import int8_rows

_LEAST = 1e-12  # of a token's largest value: a token of zeros is divided by it
_EPSILON = 2.0**-23  # float32's, torch's own least scale
_DOMAIN = "com.microsoft"
_CONSTANTS: dict[str, npt.NDArray[Any]] = {
    "int8_step": np.array(1 / 127, np.float32),
    "int8_zero": np.array(128, np.uint8),
    "int8_least": np.array(_LEAST, np.float32),
    "int8_last_axis": np.array([-1], np.int64),
}


def quantized(graph: Any, *, kept_fp32: Collection[str] = (), weight_bits: int = 8) -> Any:
    """Quantize the linear layers and the embedding tables of an exported graph.

    Parameters
    ----------
    graph : onnx.ModelProto
        Is left as it is. Nodes name the torch modules that they came from.
    kept_fp32 : collection of str, default ()
        Linear layers to leave.
    weight_bits : int, default 8
        Of the linear layers; 7 where the CPU has no dot-product instructions, lest sums of 16 bits
        saturate.

    Returns
    -------
    onnx.ModelProto
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(graph)
    quantize_tables(model.graph)
    _quantize_layers(model.graph, set(kept_fp32), weight_bits)
    _drop_unused(model.graph)
    if all(opset.domain != _DOMAIN for opset in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    return model


def _quantize_layers(graph: Any, kept_fp32: Collection[str], bits: int) -> None:
    """Turn products with constant weights into products of integers."""
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in graph.initializer}
    for name, value in _CONSTANTS.items():
        graph.initializer.append(numpy_helper.from_array(value, name))
    nodes: list[Any] = []
    rounded: set[str] = set()  # tokens, by the name of their tensor
    stored: set[str] = set()
    for node in graph.node:
        if not _multiplies(node, weights) or _layer_of(node) in kept_fp32:
            nodes.append(node)
            continue
        tokens, weight = node.input[:2]
        turned = _attributes(node).get("transB") == 1
        name = f"{weight}_turned" if turned else weight
        if name not in stored:
            array = numpy_helper.to_array(weights[weight])
            integers, scale = int8_columns(array.T if turned else array, bits)
            graph.initializer.append(numpy_helper.from_array(integers, f"{name}_int8"))
            graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
            stored.add(name)
        if tokens not in rounded:
            nodes += _rounding(tokens)
            rounded.add(tokens)
        nodes += _product(tokens, name, list(filter(None, node.input[2:])), node.output[0])
    del graph.node[:]
    graph.node.extend(nodes)


def int8_columns(
    weights: npt.NDArray[np.float32], bits: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return weights of shape (in, out) as int8, and their scales, of shape (out,)."""
    top = 2 ** (bits - 1)
    scale = np.maximum(np.abs(weights).max(axis=0) / np.float32(top - 0.5), np.float32(_EPSILON))
    steps = np.clip(np.rint(weights * (1 / scale)), -top, top - 1)
    return np.ascontiguousarray(steps, dtype=np.int8), scale.astype(np.float32)


def _multiplies(node: Any, weights: Mapping[str, Any]) -> bool:
    """Say whether a node multiplies by a constant matrix, and nothing besides."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in weights:
        return False
    if len(weights[node.input[1]].dims) != 2:
        return False
    plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    return all(plain[k] == v for k, v in _attributes(node).items() if k in plain)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _rounding(tokens: str) -> Iterator[Any]:
    """Yield nodes that divide tokens by their largest value, and round them to 8 bits."""
    from onnx import helper

    largest = f"{tokens}_largest"
    yield helper.make_node("Abs", [tokens], [f"{tokens}_abs"])
    yield helper.make_node(
        "ReduceMax", [f"{tokens}_abs", "int8_last_axis"], [f"{tokens}_max"], keepdims=1
    )
    yield helper.make_node("Max", [f"{tokens}_max", "int8_least"], [largest])
    yield helper.make_node("Div", [tokens, largest], [f"{tokens}_unit"])
    yield helper.make_node(
        "QuantizeLinear", [f"{tokens}_unit", "int8_step", "int8_zero"], [f"{tokens}_int8"]
    )


def _product(tokens: str, weight: str, bias: list[str], out: str) -> Iterator[Any]:
    """Yield nodes that multiply integers, and the result by the tokens' largest values."""
    from onnx import helper

    yield helper.make_node(
        "MatMulIntegerToFloat",
        [f"{tokens}_int8", f"{weight}_int8", "int8_step", f"{weight}_scale", "int8_zero"],
        [f"{out}_unit"],
        domain=_DOMAIN,
    )
    product = f"{out}_product" if bias else out
    yield helper.make_node("Mul", [f"{out}_unit", f"{tokens}_largest"], [product])
    if bias:
        yield helper.make_node("Add", [product, *bias], [out])


def _layer_of(node: Any) -> str | None:
    """Return the torch module that a matrix product came from, without the exporter's wrapper."""
    scopes = next(
        (p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "[]"
    )
    # A list of names from the outermost module to the operation, as Python would print it.
    names = [part.strip(" '\"") for part in scopes.strip("[]").split(",")]
    return names[-2].removeprefix("model.") if len(names) > 1 else None


def quantize_tables(graph: Any) -> None:
    """Turn each embedding lookup in an FP32 table into one in INT8 rows and one in their scales."""
    from onnx import TensorProto, helper, numpy_helper

    tables = {
        tensor.name: tensor
        for tensor in graph.initializer
        if len(tensor.dims) == 2 and tensor.data_type == TensorProto.FLOAT
    }
    looked_up, nodes = set(), []
    for node in graph.node:
        if not _looks_up_rows(node) or node.input[0] not in tables:
            nodes.append(node)
            continue
        (name, ids), (out,) = node.input, node.output
        looked_up.add(name)
        nodes += [
            helper.make_node("Gather", [f"{name}_int8", ids], [f"{out}_int8"]),
            helper.make_node("Gather", [f"{name}_scale", ids], [f"{out}_scale"]),
            helper.make_node("Cast", [f"{out}_int8"], [f"{out}_float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{out}_float", f"{out}_scale"], [out]),
        ]
    for name in sorted(looked_up):
        rows, scale = int8_rows(numpy_helper.to_array(tables[name]))
        graph.initializer.append(numpy_helper.from_array(rows, f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
    del graph.node[:]
    graph.node.extend(nodes)


def _looks_up_rows(node: Any) -> bool:
    return node.op_type == "Gather" and all(a.i == 0 for a in node.attribute if a.name == "axis")


def _drop_unused(graph: Any) -> None:
    used = {name for node in graph.node for name in node.input}
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)

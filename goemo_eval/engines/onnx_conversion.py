"""Conversion for ONNX Runtime: the graph in FP32, or in INT8 by `goemo_eval.engines.onnx_int8`.

The graph comes from torch's dynamo exporter and is compared with torch's logits before use. A layer
that is passed several times, as ALBERT's is, has its weights stored once.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from goemo_eval.cpu import has_dot_products
from goemo_eval.engines.artifact import Artifact, ArtifactInfo, Variant, describe
from goemo_eval.engines.exported import check_layers, check_logits, conversion, plain_attention
from goemo_eval.engines.onnx_int8 import quantized
from goemo_eval.engines.onnxruntime import MODEL, session_of
from goemo_eval.engines.smoothing import smoothed
from goemo_eval.engines.tokens import save_tokens
from goemo_eval.models.pretrained import Layer, Pretrained

AXES = ("batch", "length")
"""Of each input."""
_SMALL = 1024  # bytes below which a copy costs nothing


class OnnxConverter:
    """Writes any variant of one checkpoint; see `goemo_eval.engines.registry.Converter`.

    Parameters
    ----------
    pretrained : Pretrained
    threads : int
    fp32 : Artifact, optional
        The same checkpoint's, whose graph is taken in place of tracing the model again.
    """

    def __init__(
        self, pretrained: Pretrained, *, threads: int, fp32: Artifact | None = None
    ) -> None:
        self.pretrained = pretrained
        self.threads = threads
        self._graphs: dict[bool, Any] = {}
        if fp32 is not None:
            import onnx

            self._graphs[False] = onnx.load(fp32.path / MODEL)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The linear layers."""
        return self.pretrained.layers

    def write(self, variant: Variant, out: Path) -> Artifact:
        """Write a variant's artifact into an empty directory.

        Raises
        ------
        EngineError
            If the checkpoint cannot be exported, the graph's logits are not torch's, or a layer is unknown.
        """
        import onnxruntime

        graph = self._graph(variant.smoothed)
        kernels, share, eight_bits = "fp32 (MLAS)", 0.0, has_dot_products()
        if variant.precision == "int8":
            check_layers(variant.kept_fp32, self.layers)
            bits = 8 if eight_bits else 7
            graph = quantized(graph, kept_fp32=variant.kept_fp32, weight_bits=bits)
            kernels = (
                f"int8 linear, {bits}-bit weights per channel, 8-bit activations per token (MLAS), "
                "int8 embedding rows"
            )
            share = _int8_share(self.layers, variant.kept_fp32)
        (out / MODEL).write_bytes(graph.SerializeToString())
        info = ArtifactInfo(
            variant=variant,
            engine_version=onnxruntime.__version__,
            labels=self.pretrained.checkpoint.labels,
            parameters=self.pretrained.parameters,
            int8_share=share,
            kernels=kernels,
            quantized_engine="MLAS" if variant.precision == "int8" else None,
            dot_products=eight_bits,
            tokens=save_tokens(self.pretrained, out),
            checkpoint_sha256=self.pretrained.checkpoint.content_sha256,
        )
        describe(out, info)
        return Artifact(out, info)

    def _graph(self, is_smoothed: bool) -> Any:
        """Return the FP32 graph, compared with torch, of the checkpoint or of its smoothed form."""
        if is_smoothed not in self._graphs:
            pretrained = smoothed(self.pretrained) if is_smoothed else self.pretrained
            with conversion(pretrained.checkpoint.path, "onnxruntime"):
                graph = export(pretrained)
            fold_transposed_weights(graph)
            share_equal_weights(graph)
            session = session_of(graph.SerializeToString(), threads=self.threads)
            check_logits(pretrained, lambda feed: session.run(None, feed)[0], engine="onnxruntime")
            self._graphs[is_smoothed] = graph
        return self._graphs[is_smoothed]


def _int8_share(layers: tuple[Layer, ...], kept_fp32: Collection[str]) -> float:
    weights = {layer.name: layer.weights for layer in layers}
    return 1 - sum(weights[name] for name in kept_fp32) / max(1, sum(weights.values()))


def export(pretrained: Pretrained) -> Any:
    """Export a model with dynamic batch and length.

    Returns
    -------
    onnx.ModelProto
        Nodes keep the names of the torch modules that they came from.
    """
    import torch

    # Not by name: before torch 2.8 a named one must hold for any number whatever, and positions end at 512.
    shape = dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
    names = list(pretrained.input_names)
    with warnings.catch_warnings(), _quiet(), plain_attention(pretrained.module):
        # Of names of axes that are already taken, and of torch's own deprecated calls.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            pretrained.logits_only(),
            pretrained.example_inputs(),
            dynamo=True,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(names, shape),
            verbose=False,
        )
    model = program.model_proto
    name_axes(model, AXES)
    return model


def name_axes(model: Any, names: Sequence[str]) -> None:
    """Call the axes of the inputs by names that say what they are, wherever they occur."""
    graph = model.graph
    shapes = [value.type.tensor_type.shape.dim for value in graph.input]
    # Inputs that no operation brings together have axes of their own.
    named = {
        axis.dim_param: name for axes in shapes for axis, name in zip(axes, names, strict=True)
    }
    named.pop("", None)  # of an axis that has a size
    for value in (*graph.input, *graph.value_info, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in named:
                axis.dim_param = named[axis.dim_param]


def fold_transposed_weights(model: Any) -> None:
    """Store weights as the matrix products want them, in place of transposing them at run time.

    The exporter leaves large weights as they are, behind a Transpose node. Products with them
    would not be seen to have constant weights, and stay in FP32: as ALBERT's shared layer did.
    """
    from onnx import numpy_helper

    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    folded = []
    for node in graph.node:
        if node.op_type != "Transpose" or node.input[0] not in weights:
            continue
        permutation = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
        values = numpy_helper.to_array(weights[node.input[0]])
        turned = np.ascontiguousarray(np.transpose(values, permutation))
        graph.initializer.append(numpy_helper.from_array(turned, node.output[0]))
        folded.append(node)
    for node in folded:
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)


def share_equal_weights(model: Any) -> None:
    """Keep one copy of weights that the exporter wrote more than once for a shared layer."""
    graph = model.graph
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    same = {}
    for tensor in list(graph.initializer):
        content = (tensor.data_type, tuple(tensor.dims), tensor.raw_data)
        if len(tensor.raw_data) < _SMALL:
            continue
        if (kept := first.setdefault(content, tensor.name)) != tensor.name:
            same[tensor.name] = kept
            graph.initializer.remove(tensor)
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = same.get(name, name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence log lines: of torchvision, which no encoder needs, and of steps taken here already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

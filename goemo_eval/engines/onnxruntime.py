"""The ONNX Runtime engine: FP32, and INT8 by dynamic quantization, one scale per output channel.

The graph comes from torch's dynamo exporter and is compared with torch's logits before use. INT8
keeps the embedding tables as INT8 rows too, and a layer that is passed several times, as ALBERT's
is, has its weights quantized and stored once.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.cpu import available_threads, cpu, has_dot_products
from goemo_eval.engines.base import Batch, Classifier, Layer, Runtime, check_layers
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.pretrained import Pretrained, example_inputs, load_pretrained

EXPORT_TOLERANCE = 1e-4
_SMALL = 1024  # bytes below which a copy costs nothing
_INPUTS = ("input_ids", "attention_mask")


class OnnxModel:
    """A checkpoint in ONNX Runtime; see `goemo_eval.engines.base.Model`."""

    def __init__(self, pretrained: Pretrained, *, threads: int) -> None:
        self.pretrained = pretrained
        self.threads = threads

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The linear layers."""
        return self.pretrained.layers

    @cached_property
    def exported(self) -> bytes:
        """The FP32 graph, in ONNX's format, compared with torch."""
        graph = export(self.pretrained)
        fold_transposed_weights(graph)
        share_equal_weights(graph)
        content: bytes = graph.SerializeToString()
        check_export(self.pretrained, self._session(content))
        return content

    def classifier(self, precision: str, *, kept_fp32: Collection[str] = ()) -> Classifier:
        """Return a classifier at a precision.

        Raises
        ------
        EngineError
            If the exported graph's logits are not torch's, or a layer is unknown.
        """
        import onnxruntime

        check_layers(kept_fp32, self.layers)
        content, kernels = self.exported, "fp32 (MLAS)"
        if precision == "int8":
            content = quantize_dynamic(self.exported, kept_fp32=kept_fp32)
            bits = 8 if has_dot_products() else 7
            kernels = (
                f"int8 dynamic linear per channel (MLAS, {bits}-bit weights), int8 embedding rows"
            )
        session = self._session(content)

        def forward(batch: Batch) -> npt.NDArray[np.float32]:
            return _run(session, batch.input_ids, batch.attention_mask)

        runtime = Runtime(
            engine="onnxruntime",
            version=onnxruntime.__version__,
            kernels=kernels,
            quantized_engine="MLAS" if precision == "int8" else None,
            isa=_isa(),
        )
        return self.pretrained.classifier(
            forward,
            precision=precision,
            runtime=runtime,
            size_bytes=len(content),
            kept_fp32=tuple(kept_fp32),
        )

    def _session(self, content: bytes) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3  # errors only: results own the terminal
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def load(
    checkpoint: Checkpoint,
    *,
    threads: int | None = None,
    calibration: Sequence[str] | None = None,
) -> OnnxModel:
    """Load a checkpoint for ONNX Runtime.

    Parameters
    ----------
    checkpoint : Checkpoint
    threads : int, optional
        All available by default.
    calibration : sequence of str, optional
        Not needed: ranges are taken from each batch.

    Raises
    ------
    CheckpointError
        If the weights do not fit the labels.
    """
    del calibration
    return OnnxModel(load_pretrained(checkpoint), threads=threads or available_threads())


def describe() -> str:
    """Say version and INT8 kernels in a line."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}, INT8 dynamic by MLAS ({_isa()})"


def export(pretrained: Pretrained) -> Any:
    """Export a model with dynamic batch and length.

    Returns
    -------
    onnx.ModelProto
        Nodes keep the names of the torch modules that they came from.
    """
    import torch

    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    shape = {0: batch, 1: length}
    with warnings.catch_warnings(), _quiet():
        # Of names of axes that are already taken, and of torch's own deprecated calls.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            pretrained.logits_only(),
            example_inputs(pretrained),
            dynamo=True,
            input_names=list(_INPUTS),
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(_INPUTS, shape),
            verbose=False,
        )
    return program.model_proto


def check_export(pretrained: Pretrained, session: Any) -> None:
    """Compare a session with torch on another shape than the one that was traced.

    Raises
    ------
    EngineError
        If a logit differs by more than `EXPORT_TOLERANCE`.
    """
    import torch

    rng = np.random.default_rng(0)
    ids = rng.integers(0, pretrained.vocab_size, (3, 21))
    mask = (np.arange(21) < np.array([[21], [13], [2]])).astype(np.int64)
    with torch.inference_mode():
        expected = pretrained.logits_only()(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    difference = float(np.abs(_run(session, ids, mask) - expected).max())
    if not difference <= EXPORT_TOLERANCE:
        raise EngineError(
            f"{pretrained.checkpoint.path}: the exported ONNX graph's logits differ from torch's by "
            f"{difference:.2g}, more than {EXPORT_TOLERANCE:g}: use another engine for this checkpoint"
        )


def fold_transposed_weights(model: Any) -> None:
    """Store weights as the matrix products want them, in place of transposing them at run time.

    The exporter leaves large weights as they are, behind a Transpose node. The quantizer then
    sees no constant and leaves the layer in FP32: so ALBERT's shared layer was lost on it.
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


def quantize_dynamic(exported: bytes, *, kept_fp32: Collection[str] = ()) -> bytes:
    """Quantize the linear layers and the embedding tables of an exported graph.

    Parameters
    ----------
    exported : bytes
    kept_fp32 : collection of str, default ()
        Linear layers to leave.

    Returns
    -------
    bytes
    """
    import onnx
    from onnxruntime import quantization

    model = onnx.load_model_from_string(exported)
    names = [node.name for node in model.graph.node if _layer_of(node) in set(kept_fp32)]
    # The quantizer first rewrites a Gemm as a MatMul, under a name made of the old one.
    kept = [form for name in names for form in (name, f"{name}_MatMul")]
    _quantize_embeddings(model)
    with tempfile.TemporaryDirectory(prefix="goemo-eval-") as directory:
        path = Path(directory) / "int8.onnx"
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")  # onnx's and numpy's own
            quantization.quantize_dynamic(
                model,
                path,
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
                # Without dot-product instructions sums of 16 bits saturate, unless weights have 7 bits.
                reduce_range=not has_dot_products(),
                nodes_to_exclude=kept,
                # Products of two activations stay: attention's are small and not worth the noise.
                extra_options={"MatMulConstBOnly": True},
            )
        return path.read_bytes()


def _layer_of(node: Any) -> str | None:
    """Return the torch module that a matrix product came from, without the exporter's wrapper."""
    if node.op_type not in ("MatMul", "Gemm"):
        return None
    scopes = next(
        (p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "[]"
    )
    # A list of names from the outermost module to the operation, as Python would print it.
    names = [part.strip(" '\"") for part in scopes.strip("[]").split(",")]
    return names[-2].removeprefix("model.") if len(names) > 1 else None


def _quantize_embeddings(model: Any) -> None:
    """Turn each embedding lookup in an FP32 table into one in INT8 rows and one in their scales."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        if node.op_type != "Gather" or node.input[0] not in weights:
            continue
        table = numpy_helper.to_array(weights[node.input[0]])
        if table.ndim != 2 or table.dtype != np.float32:
            continue
        name, ids = node.input[0], node.input[1]
        scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
        rows = np.round(table / scale).astype(np.int8)
        graph.initializer.append(numpy_helper.from_array(rows, f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"))
        out, at = node.output[0], list(graph.node).index(node)
        replaced = [
            helper.make_node("Gather", [f"{name}_int8", ids], [f"{out}_int8"]),
            helper.make_node("Gather", [f"{name}_scale", ids], [f"{out}_scale"]),
            helper.make_node("Cast", [f"{out}_int8"], [f"{out}_float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{out}_float", f"{out}_scale"], [out]),
        ]
        graph.node.remove(node)
        for offset, new in enumerate(replaced):
            graph.node.insert(at + offset, new)
        graph.initializer.remove(weights.pop(name))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence log lines: of torchvision, which no encoder needs, and of steps taken here already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _run(
    session: Any, input_ids: npt.NDArray[np.int64], attention_mask: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    feed = dict(zip(_INPUTS, (input_ids, attention_mask), strict=True))
    (logits,) = session.run(None, feed)
    return np.asarray(logits, dtype=np.float32)


def _isa() -> str:
    """Return the best of the CPU's instruction sets: MLAS does not say, and nothing limits it."""
    flags = cpu()[1]
    order = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512bw", "avx2", "i8mm", "asimddp")
    return next((flag.upper() for flag in order if flag in flags), "unknown")

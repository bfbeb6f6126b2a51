"""Where the time goes: one batch by one thread, by what its operations are for.

Each engine tells by its own profiler what every operation took. Of several passes the least time of each
group is kept (of torch's, the mean). Beside it stands what the machine's product rate would allow: the same
multiplications as one large product of torch's, FP32 or INT8.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from goemo_eval.engines.artifact import read_artifact
from goemo_eval.engines.base import TokenBatch
from goemo_eval.engines.registry import load
from goemo_eval.engines.tokens import Tokens

from .rates import gemm_rates
from .settings import Settings

TOKENS = 512
PASSES = 10
GROUPS = (
    "products",
    "attention",
    "layer norm",
    "gelu",
    "rounding",
    "other",
    "tokenization",
    "rest",
)

_ONNX = {
    "MatMulIntegerToFloat": "products",
    "MatMul": "products",
    "Gemm": "products",
    "FusedGemm": "products",
    "MultiHeadAttention": "attention",
    "FusedMatMul": "attention",
    "Softmax": "attention",
    "Transpose": "attention",
    "LayerNormalization": "layer norm",
    "SkipLayerNormalization": "layer norm",
    "BiasGelu": "gelu",
    "Gelu": "gelu",
    **dict.fromkeys(("Abs", "ReduceMax", "Max", "Div", "Reciprocal", "QuantizeLinear"), "rounding"),
}
_TORCH = {
    "aten::addmm": "products",
    "aten::mm": "products",
    "quantized::linear_with_input_q_dq_qweight_dq_output_fp32": "products",
    "quantized::linear_dynamic": "products",
    "aten::_scaled_dot_product_flash_attention_for_cpu": "attention",
    "aten::native_layer_norm": "layer norm",
    "aten::gelu": "gelu",
    **dict.fromkeys(("aten::div", "aten::abs", "aten::amax", "aten::clamp_"), "rounding"),
}
_OPENVINO = {
    "FullyConnected": "products",
    "FullyConnectedQuantizedLegacy": "products",
    "MatMul": "attention",
    "Softmax": "attention",
    "ScaledDotProductAttention": "attention",
    "Subgraph": "attention",
    "MHA": "attention",
    "Transpose": "attention",
    "MVN": "layer norm",
    "MulAdd": "layer norm",
    "FakeQuantize": "rounding",
}


def shares(settings: Settings, chosen: Mapping[str, Any], *, began: float) -> dict[str, Any]:
    """Return for each cell the microseconds of each group, and what the product rate would allow."""
    del began
    texts = list(settings.dataset().splits["test"].texts)
    rates = gemm_rates(1)
    found: dict[str, Any] = {"gemm_gops": rates, "tokens": TOKENS, "cells": {}}
    for name, path in chosen["all"].items():
        found["cells"][name] = _of_cell(Path(path), texts, rates)
    return found


def _of_cell(path: Path, texts: list[str], rates: Mapping[str, float]) -> dict[str, Any]:
    artifact = read_artifact(path)
    info = artifact.info
    assert info.tokens is not None
    tokens = Tokens(path, info.tokens)
    # The middle of the batches that are scored: texts of the usual length.
    batches = tokens.batches(texts, shape="scored", tokens=TOKENS)
    batch = batches[len(batches) // 2]._replace(beside=False)
    rows = [texts[row] for row in batch.rows]
    profiles = {"onnxruntime": _onnxruntime, "torch": _torch, "openvino": _openvino}
    groups = profiles[info.variant.engine](path, batch)
    groups["tokenization"] = _least(lambda: tokens.pad(tokens.encode(rows), range(len(rows))))
    predictor = load(artifact, threads=1)
    whole = _least(lambda: predictor.run([batch])) + groups["tokenization"]
    groups["rest"] = max(0.0, whole - sum(groups.values()))
    work = 2 * _linear_weights(path) * batch.input_ids.size
    limit = work / rates[info.variant.precision] / 1e3
    return {
        "us": {name: round(groups.get(name, 0.0), 1) for name in GROUPS},
        "whole_us": round(whole, 1),
        "limit_us": round(limit, 1),
        "of_the_limit": round(limit / whole, 3),
        "tokens": int(batch.input_ids.size),
    }


def _linear_weights(path: Path) -> int:
    """Return the weights that every token is multiplied by: those of the encoder's layers."""
    # Of the artifact beside it, which says shapes in a form that is quickly read.
    from safetensors import safe_open

    with safe_open(path.parent / "torch-fp32" / "model.safetensors", framework="np") as opened:
        shapes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
    return sum(
        shape[0] * shape[1]
        for name, shape in shapes.items()
        if len(shape) == 2 and "embeddings" not in name and ".layer." in name
    )


def _least(call: Any) -> float:
    """Return the least microseconds of several calls, after one that is not counted."""
    times = []
    for _ in range(PASSES + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times[1:]) * 1e6


def _least_groups(passes: Iterator[Mapping[str, float]]) -> dict[str, float]:
    """Return for each group the least of its sums over the passes."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in passes:
        for name, value in one.items():
            found[name].append(value)
    return {name: min(values) for name, values in found.items()}


def _onnxruntime(path: Path, batch: TokenBatch) -> dict[str, float]:
    from goemo_eval.engines.onnxruntime import MODEL, session_of

    with tempfile.TemporaryDirectory() as scratch:
        session = session_of(path / MODEL, threads=1, profile=Path(scratch) / "profile")
        for _ in range(PASSES + 1):
            session.run(None, batch.inputs)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            args = event["args"]
            group = _ONNX.get(args["op_name"], "other")
            if args["op_name"] == "MatMul" and _is_by_head(args):
                group = "attention"
            nodes[event["name"], group].append(float(event["dur"]))
    sums: Counter[str] = Counter()
    for (_, group), times in nodes.items():
        sums[group] += min(times[1:])  # type: ignore[assignment]
    return dict(sums)


def _is_by_head(args: Mapping[str, Any]) -> bool:
    """Say whether a product has four dimensions, as those of attention's heads have."""
    return any(len(shape) == 4 for out in args["output_type_shape"] for shape in out.values())


def _torch(path: Path, batch: TokenBatch) -> dict[str, float]:
    from torch.profiler import ProfilerActivity, profile

    predictor = load(path, threads=1)
    predictor.run([batch])

    # One profile of all passes: each start of the profiler writes to the terminal.
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(PASSES):
            predictor.run([batch])
    sums: Counter[str] = Counter()
    for event in profiled.key_averages():
        sums[_TORCH.get(event.key, "other")] += event.self_cpu_time_total / PASSES
    return dict(sums)


def _openvino(path: Path, batch: TokenBatch) -> dict[str, float]:
    from goemo_eval.engines.openvino import MODEL, compiled

    model = compiled(path / MODEL, threads=1, streams=1, PERF_COUNT=True)
    request = model.create_infer_request()
    request.infer(list(batch.inputs.values()))

    def passes() -> Iterator[Mapping[str, float]]:
        for _ in range(PASSES):
            request.infer(list(batch.inputs.values()))
            sums: Counter[str] = Counter()
            for node in request.get_profiling_info():
                us = node.real_time.total_seconds() * 1e6
                sums[_OPENVINO.get(node.node_type, "other")] += us
            yield sums

    return _least_groups(passes())

"""The OpenVINO engine: FP32, and INT8 calibrated by NNCF on training texts.

The model is converted straight from torch, so that a layer that is passed several times, as
ALBERT's is, stays one layer. OpenVINO would run an "FP32" model in BF16 where the CPU can: it
is told not to, since FP32 is what INT8 is compared with.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.cpu import available_threads, has_dot_products
from goemo_eval.engines.base import (
    Batch,
    Classifier,
    Layer,
    Runtime,
    batches_by_length,
    check_layers,
)
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.pretrained import Pretrained, example_inputs, load_pretrained
from goemo_eval.models.quiet import quiet_transformers

CALIBRATION_BATCH = 8
TOKENS_PER_BATCH = 1024
"""Padded tokens of a batch when a whole split is run: its activations then fit the caches."""


class OpenVinoModel:
    """A checkpoint in OpenVINO; see `goemo_eval.engines.base.Model`."""

    def __init__(
        self, pretrained: Pretrained, *, threads: int, calibration: Sequence[str] | None
    ) -> None:
        self.pretrained = pretrained
        self.threads = threads
        self.calibration = calibration

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The linear layers."""
        return self.pretrained.layers

    @cached_property
    def converted(self) -> Any:
        """The FP32 model as OpenVINO has it."""
        openvino = _openvino()
        ids, mask = example_inputs(self.pretrained)
        with warnings.catch_warnings(), _quiet(), quiet_transformers():
            # Tracing warns of Python values that it takes as constants: none depends on the input.
            warnings.simplefilter("ignore")
            return openvino.convert_model(self.pretrained.logits_only(), example_input=(ids, mask))

    def classifier(self, precision: str, *, kept_fp32: Collection[str] = ()) -> Classifier:
        """Return a classifier at a precision.

        Raises
        ------
        EngineError
            If INT8 is asked for without calibration texts, or a layer is unknown.
        """
        check_layers(kept_fp32, self.layers)
        model = self.converted if precision == "fp32" else self._quantized(kept_fp32)
        latency = _compile(model, threads=self.threads, streams=1)
        request = latency.create_infer_request()

        def forward(batch: Batch) -> npt.NDArray[np.float32]:
            return _logits(request.infer([batch.input_ids, batch.attention_mask]))

        request.infer([tensor.numpy() for tensor in example_inputs(self.pretrained)])

        return self.pretrained.classifier(
            forward,
            precision=precision,
            runtime=_runtime(latency, precision),
            size_bytes=_size(model),
            kept_fp32=tuple(kept_fp32),
            forward_many=_in_streams(model, threads=self.threads),
            tokens_per_batch=TOKENS_PER_BATCH,
        )

    def _quantized(self, kept_fp32: Collection[str]) -> Any:
        if not self.calibration:
            raise EngineError(
                "engine openvino needs calibration texts for INT8: pass calibration=[...], some "
                "hundred of the texts that the checkpoint was trained on"
            )
        nncf = _nncf()
        names = [port.get_any_name() for port in self.converted.inputs]
        batches = list(
            batches_by_length(
                self.pretrained.encode(self.calibration),
                pad_id=self.pretrained.pad_id,
                batch_size=CALIBRATION_BATCH,
            )
        )
        dataset = nncf.Dataset(
            batches,
            lambda batch: dict(zip(names, (batch.input_ids, batch.attention_mask), strict=True)),
        )
        ignored = nncf.IgnoredScope(
            names=self._operations(kept_fp32),
            # It runs in FP32 either way: rounding its queries and keys would only cost accuracy.
            types=["ScaledDotProductAttention"],
            validate=False,
        )
        # Without dot-product instructions sums of 16 bits saturate, unless weights have 7 bits.
        fix = nncf.OverflowFix.DISABLE if has_dot_products() else nncf.OverflowFix.ENABLE
        with _quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NNCF's own, of numpy and of the packages it wraps
            return nncf.quantize(
                self.converted,
                dataset,
                model_type=nncf.ModelType.TRANSFORMER,
                subset_size=len(batches),
                ignored_scope=ignored,
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
            )

    def _operations(self, layers: Collection[str]) -> list[str]:
        """Return the names of the matrix products that layers became."""
        wanted = {f"__module.model.{layer}" for layer in layers}
        return [
            name
            for operation in self.converted.get_ops()
            if operation.get_type_name() == "MatMul"
            and (name := operation.get_friendly_name()).split("/")[0] in wanted
        ]


def load(
    checkpoint: Checkpoint,
    *,
    threads: int | None = None,
    calibration: Sequence[str] | None = None,
) -> OpenVinoModel:
    """Load a checkpoint for OpenVINO.

    Parameters
    ----------
    checkpoint : Checkpoint
    threads : int, optional
        All available by default.
    calibration : sequence of str, optional
        Training texts on which NNCF fits the INT8 ranges.

    Raises
    ------
    CheckpointError
        If the weights do not fit the labels.
    """
    return OpenVinoModel(
        load_pretrained(checkpoint),
        threads=threads or available_threads(),
        calibration=calibration,
    )


def describe() -> str:
    """Say version and what the CPU device can do, in a line."""
    openvino = _openvino()
    core = openvino.Core()
    able = ", ".join(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return (
        f"openvino {openvino.get_version()}, {able}; INT8 calibrated by nncf {_nncf().__version__}"
    )


@cache
def _openvino() -> Any:
    # Both packages report their use to a server unless told not to. Nobody asked the user.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@cache
def _nncf() -> Any:
    _openvino()
    os.environ.setdefault("NNCF_CI", "1")
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        import nncf
    nncf.set_log_level(logging.ERROR)
    return nncf


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what NNCF prints to stderr if someone watches it, else nowhere: results own stdout."""
    with redirect_stdout(sys.stderr if sys.stderr.isatty() else io.StringIO()):
        yield


def _compile(model: Any, *, threads: int, streams: int) -> Any:
    return (
        _openvino()
        .Core()
        .compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": streams,
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
    )


def _in_streams(
    model: Any, *, threads: int
) -> Callable[[Sequence[Batch]], list[npt.NDArray[np.float32]]]:
    """Return a function that runs batches side by side, a stream per thread."""

    @cache
    def compiled() -> Any:  # on first use: whoever times single batches only, need not pay for it
        return _compile(model, threads=threads, streams=threads)

    def forward_many(batches: Sequence[Batch]) -> list[npt.NDArray[np.float32]]:
        out: list[Any] = [None] * len(batches)

        def keep(request: Any, position: int) -> None:
            out[position] = _logits(request.results)

        queue = _openvino().AsyncInferQueue(compiled(), threads)
        queue.set_callback(keep)
        for position, batch in enumerate(batches):
            queue.start_async([batch.input_ids, batch.attention_mask], userdata=position)
        queue.wait_all()
        return out

    return forward_many


def _logits(results: Any) -> npt.NDArray[np.float32]:
    # A copy: OpenVINO writes the next result into the same memory.
    return np.array(next(iter(results.values())), dtype=np.float32)


def _size(model: Any) -> int:
    """Return the bytes that the model takes on disk, weights and graph."""
    with tempfile.TemporaryDirectory(prefix="goemo-eval-") as directory:
        path = Path(directory) / "model.xml"
        _openvino().save_model(model, path, compress_to_fp16=False)
        return path.stat().st_size + path.with_suffix(".bin").stat().st_size


def _runtime(compiled: Any, precision: str) -> Runtime:
    """Name the kernels of the linear layers and the instruction set, as OpenVINO tells them.

    It chooses them in the first pass: have one run before.
    """
    openvino = _openvino()
    operations = compiled.get_runtime_model().get_ops()
    kernels = Counter(
        _text(operation, "primitiveType")
        for operation in operations
        if _text(operation, "layerType") == "FullyConnected"
    )
    names = ", ".join(f"{count} {name}" for name, count in sorted(kernels.items()))
    sets = {
        found[0].upper()
        for operation in operations
        if (found := re.search(r"avx\d+|amx|sse\d+", _text(operation, "primitiveType")))
    }
    return Runtime(
        engine="openvino",
        version=openvino.get_version(),
        kernels=f"{precision} ({names})",
        quantized_engine=f"nncf {_nncf().__version__}" if precision == "int8" else None,
        isa=next((s for s in ("AMX", "AVX512", "AVX2", "SSE42") if s in sets), "unknown"),
    )


def _text(operation: Any, key: str) -> str:
    info = operation.get_rt_info()
    return str(info[key].value) if key in info else ""

"""The OpenVINO engine: artifacts in memory. `goemo_eval.engines.openvino_conversion` makes them.

Neither torch nor transformers is needed here. OpenVINO would run an "FP32" model in BF16 where the CPU can:
it is told not to, since FP32 is what INT8 is compared with.
"""

from __future__ import annotations

import re
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.artifact import Artifact
from goemo_eval.engines.base import Runtime, Shape, TokenBatch
from goemo_eval.engines.tokens import Tokens
from goemo_eval.errors import EngineError

if TYPE_CHECKING:
    from goemo_eval.engines.openvino_conversion import OpenVinoConverter
    from goemo_eval.models.checkpoint import Checkpoint

MODEL = "model.xml"
TOKENS_PER_BATCH = 512
"""Padded tokens of a batch when a whole split is run: its activations then fit the caches, and what two
of them hold stays small."""
INT8_TOKENS = (480, 504)
"""Those of INT8, whose kernels are built for a number of tokens, 5 MB for each: between them these two
are divided by most lengths of short texts."""


class OpenVinoPredictor:
    """An artifact in memory; see `goemo_eval.engines.base.Predictor`.

    Parameters
    ----------
    artifact : Artifact
    tokens : Tokens
    threads : int
    """

    def __init__(self, artifact: Artifact, tokens: Tokens, *, threads: int) -> None:
        self.info = artifact.info
        self._tokens = tokens
        self._threads = threads
        self._lock = threading.Lock()
        self._model = artifact.path / MODEL

    @cached_property
    def runtime(self) -> Runtime:
        """What runs it: kernels and instruction set, as OpenVINO tells them after a first pass."""
        with self._lock:
            self._alone.infer(list(self._example().inputs.values()))
        model = self._alone.get_compiled_model()
        return Runtime(
            engine="openvino",
            version=openvino_module().get_version(),
            kernels=f"{self.info.variant.precision} ({kernels_of(model)})",
            quantized_engine=self.info.quantized_engine,
            isa=isa_of(model),
        )

    def _example(self) -> TokenBatch:
        return self._tokens.batches(["hello world"], shape="single")[0]

    def _compiled(self, *, streams: int, **more: int) -> Any:
        precision = self.info.variant.precision
        return compiled(
            self._model, precision=precision, threads=self._threads, streams=streams, **more
        )

    @cached_property
    def _alone(self) -> Any:
        """A request of all threads, for one batch at a time."""
        return self._compiled(streams=1).create_infer_request()

    @cached_property
    def _beside(self) -> list[Any]:
        """Requests with a stream per thread, for batches side by side."""
        # Each stream would keep what it built for every shape that it has met, as oneDNN does anyway.
        keep_none = {"CPU_RUNTIME_CACHE_CAPACITY": 0}
        model = self._compiled(streams=self._threads, **keep_none)
        return [model.create_infer_request() for _ in range(self._threads)]

    def prepare(self, texts: Sequence[str], *, shape: Shape = "scored") -> list[TokenBatch]:
        """Return padded batches of the texts."""
        exactly = INT8_TOKENS if self.info.variant.precision == "int8" else ()
        return self._tokens.batches(texts, shape=shape, tokens=TOKENS_PER_BATCH, exactly=exactly)

    def run(self, batches: Sequence[TokenBatch]) -> list[npt.NDArray[np.float32]]:
        """Return each batch's logits, shape (B, K); scored batches are run side by side."""
        # A request answers one caller at a time.
        with self._lock:
            if batches and batches[0].beside:
                return self._run_beside(batches)
            return [_logits(self._alone.infer(_arrays(batch))) for batch in batches]

    def _run_beside(self, batches: Sequence[TokenBatch]) -> list[npt.NDArray[np.float32]]:
        """Run batches in turn on as many requests as there are threads.

        OpenVINO's own queue calls back into Python from its threads, and waits for them forever when it is
        given up meanwhile.
        """
        out: list[Any] = [None] * len(batches)
        requests, width = self._beside, len(self._beside)
        for position in range(len(batches) + width):
            request, done = requests[position % width], position - width
            if done >= 0:
                request.wait()
                out[done] = _logits(request.results)
            if position < len(batches):
                request.start_async(_arrays(batches[position]))
        return out


def converter(
    checkpoint: Checkpoint, *, calibration: Sequence[str] = (), threads: int
) -> OpenVinoConverter:
    """Load a checkpoint, to write any of its variants.

    Parameters
    ----------
    checkpoint : Checkpoint
    calibration : sequence of str, default ()
        Training texts on which NNCF fits the INT8 ranges; needed for INT8.
    threads : int

    Raises
    ------
    CheckpointError
        If weights, tokenizer and labels do not belong together.
    """
    from goemo_eval.engines.openvino_conversion import OpenVinoConverter
    from goemo_eval.models.pretrained import load_pretrained

    return OpenVinoConverter(load_pretrained(checkpoint), calibration=calibration, threads=threads)


def load(artifact: Artifact, *, threads: int) -> OpenVinoPredictor:
    """Load an artifact.

    Raises
    ------
    EngineError
        If its files are no model, or it says nothing of its tokens.
    """
    if artifact.info.tokens is None:
        raise EngineError(f"{artifact.path}: says nothing of its tokens: export the cell again")
    return OpenVinoPredictor(artifact, Tokens(artifact.path, artifact.info.tokens), threads=threads)


def describe() -> str:
    """Say version and what the CPU device can do, in a line."""
    openvino = openvino_module()
    able = ", ".join(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return f"openvino {openvino.get_version()}, {able}; INT8 calibrated by nncf"


@cache
def openvino_module() -> Any:
    """Import OpenVINO without its telemetry: nobody asked the user."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def compiled(
    model: Any | Path, *, precision: str = "fp32", threads: int, streams: int, **more: int
) -> Any:
    """Return a model compiled for the CPU, in BF16 arithmetic if that is its precision, else FP32 where it is FP32."""
    options = more | {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
    }
    source = str(model) if isinstance(model, Path) else model
    try:
        return openvino_module().Core().compile_model(source, "CPU", options)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:200]
        raise EngineError(
            f"openvino cannot compile the model ({line}): export the cell again"
        ) from None


def _arrays(batch: TokenBatch) -> list[npt.NDArray[np.int64]]:
    return list(batch.inputs.values())


def _logits(results: Any) -> npt.NDArray[np.float32]:
    # A copy: OpenVINO writes the next result into the same memory.
    return np.array(next(iter(results.values())), dtype=np.float32)


def kernels_of(model: Any) -> str:
    """Name the kernels of a compiled model's linear layers; they are chosen in the first pass."""
    found = Counter(
        _text(operation, "primitiveType")
        for operation in model.get_runtime_model().get_ops()
        if _text(operation, "layerType") == "FullyConnected"
    )
    return ", ".join(f"{count} {name}" for name, count in sorted(found.items()))


def isa_of(model: Any) -> str:
    """Return the highest instruction set among a compiled model's kernels."""
    sets = {
        found[0].upper()
        for operation in model.get_runtime_model().get_ops()
        if (found := re.search(r"avx\d+|amx|sse\d+", _text(operation, "primitiveType")))
    }
    return next((s for s in ("AMX", "AVX512", "AVX2", "SSE42") if s in sets), "unknown")


def _text(operation: Any, key: str) -> str:
    info = operation.get_rt_info()
    return str(info[key].value) if key in info else ""

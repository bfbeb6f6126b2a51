"""The ONNX Runtime engine: artifacts in memory. `goemo_eval.engines.onnx_conversion` makes them.

Neither torch nor transformers is needed here. A whole split is run by sessions of one thread each, side
by side, on batches of about as much work; a single batch by one session of all threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from goemo_eval.cpu import cpu
from goemo_eval.engines.artifact import Artifact
from goemo_eval.engines.base import Runtime, Shape, TokenBatch
from goemo_eval.engines.tokens import Tokens
from goemo_eval.errors import EngineError

if TYPE_CHECKING:
    from goemo_eval.engines.onnx_conversion import OnnxConverter
    from goemo_eval.models.checkpoint import Checkpoint

MODEL = "model.onnx"
TOKENS_PER_BATCH = 512
"""Padded tokens of a batch when a whole split is run: its activations then fit the caches, and what two
of them hold stays small."""
SLOW_FUSION = "SkipLayerNormFusion"
"""Its kernel takes five to ten times what the addition and the layer norm take that it is put in place of:
a third of INT8's time, where products are fast. A session with it gives other bits: the card's code forbids it, too."""


class OnnxPredictor:
    """An artifact in memory; see `goemo_eval.engines.base.Predictor`.

    Parameters
    ----------
    artifact : Artifact
    tokens : Tokens
    threads : int
    """

    def __init__(self, artifact: Artifact, tokens: Tokens, *, threads: int) -> None:
        self.info = artifact.info
        self._model = artifact.path / MODEL
        self._tokens = tokens
        self._threads = threads

    @cached_property
    def runtime(self) -> Runtime:
        """What runs it; who only predicts does not wait for a look at the CPU, which takes a second."""
        import onnxruntime

        return Runtime(
            engine="onnxruntime",
            version=onnxruntime.__version__,
            kernels=self.info.kernels,
            quantized_engine=self.info.quantized_engine,
            isa=_isa(),
        )

    @cached_property
    def _alone(self) -> Any:
        """A session of all threads, for one batch at a time."""
        return (
            self._beside if self._threads == 1 else session_of(self._model, threads=self._threads)
        )

    @cached_property
    def _beside(self) -> Any:
        """A session of one thread, which several threads call at once."""
        return session_of(self._model, threads=1)

    def prepare(self, texts: Sequence[str], *, shape: Shape = "scored") -> list[TokenBatch]:
        """Return padded batches of the texts."""
        return self._tokens.batches(texts, shape=shape, tokens=TOKENS_PER_BATCH)

    def run(self, batches: Sequence[TokenBatch]) -> list[npt.NDArray[np.float32]]:
        """Return each batch's logits, shape (B, K); scored batches are run side by side."""
        if not batches or not batches[0].beside:
            return [_logits(self._alone, batch) for batch in batches]
        session = self._beside
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(lambda batch: _logits(session, batch), batches))


def converter(
    checkpoint: Checkpoint,
    *,
    calibration: Sequence[str] = (),
    threads: int,
    fp32: Artifact | None = None,
) -> OnnxConverter:
    """Load a checkpoint, to write any of its variants.

    Parameters
    ----------
    checkpoint : Checkpoint
    calibration : sequence of str, default ()
        Not needed: ranges are taken from each batch.
    threads : int
    fp32 : Artifact, optional
        The checkpoint's own: INT8 is made from its graph.

    Raises
    ------
    CheckpointError
        If weights, tokenizer and labels do not belong together.
    """
    from goemo_eval.engines.onnx_conversion import OnnxConverter
    from goemo_eval.models.pretrained import load_pretrained

    del calibration
    return OnnxConverter(load_pretrained(checkpoint), threads=threads, fp32=fp32)


def load(artifact: Artifact, *, threads: int) -> OnnxPredictor:
    """Load an artifact.

    Raises
    ------
    EngineError
        If its file is no model, or says nothing of its tokens.
    """
    if artifact.info.tokens is None:
        raise EngineError(f"{artifact.path}: says nothing of its tokens: export the cell again")
    return OnnxPredictor(artifact, Tokens(artifact.path, artifact.info.tokens), threads=threads)


def describe() -> str:
    """Say version and INT8 kernels in a line."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}, INT8 dynamic by MLAS ({_isa()})"


def session_of(model: bytes | Path, *, threads: int, profile: Path | None = None) -> Any:
    """Return a session of a model.

    Parameters
    ----------
    model : bytes or Path
    threads : int
    profile : Path, optional
        Write what every operation took to files of this prefix.

    Raises
    ------
    EngineError
        If the model cannot be run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only: results own the terminal
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    content = str(model) if isinstance(model, Path) else model
    try:
        return onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=[SLOW_FUSION],
        )
    except Exception as error:  # its own classes, which are no part of its interface
        line = " ".join(str(error).split())[:200]
        raise EngineError(
            f"onnxruntime cannot run the model ({line}): export the cell again"
        ) from None


def _logits(session: Any, batch: TokenBatch) -> npt.NDArray[np.float32]:
    (logits,) = session.run(None, batch.inputs)
    return np.asarray(logits, dtype=np.float32)


def _isa() -> str:
    """Return the best of the CPU's instruction sets: MLAS does not say, and nothing limits it."""
    flags = cpu()[1]
    order = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512bw", "avx2", "i8mm", "asimddp")
    return next((flag.upper() for flag in order if flag in flags), "unknown")

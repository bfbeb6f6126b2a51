"""What every exporter needs: refusals in a line, and the comparison of what came out with torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import EngineError, GoemoError
from goemo_eval.models.pretrained import Layer, Pretrained
from goemo_eval.models.said import printable

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
TOLERANCE = 1e-4
_SHORT, _LONGEST = (13, 2), 512
"""Tokens of the texts that are compared, beside one of the checkpoint's own limit: padding far from any word."""


@contextmanager
def conversion(path: Path, engine: str) -> Iterator[None]:
    """Turn what a converter raises into one line: it says why in many, and in classes of its own.

    Raises
    ------
    EngineError
        With the mend: another engine.
    """
    try:
        yield
    except (GoemoError, MemoryError):
        raise
    except Exception as error:
        lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
        said = printable(" ".join((lines or [""])[0].split()), most=160)
        raise EngineError(
            f"{path}: {engine} cannot convert this model ({type(error).__name__}: {said}): use another engine"
        ) from None


@contextmanager
def plain_attention(module: Any) -> Iterator[None]:
    """Have attention written as products and a softmax: torch's own call brings nodes that guard it."""
    before = module.config._attn_implementation
    module.set_attn_implementation("eager")
    try:
        yield
    finally:
        module.set_attn_implementation(before)


def check_layers(names: Collection[str], layers: Sequence[Layer]) -> None:
    """Refuse a layer that a checkpoint does not have.

    Raises
    ------
    EngineError
    """
    known = {layer.name for layer in layers}
    for name in names:
        if name not in known:
            raise EngineError(
                f"kept_fp32: {name!r} is no linear layer of this checkpoint, which has "
                f"{len(known)}, such as {min(known, default='none')!r}"
            )


def check_logits(
    pretrained: Pretrained,
    run: Callable[[Mapping[str, npt.NDArray[np.int64]]], npt.NDArray[Any]],
    *,
    engine: str,
) -> None:
    """Compare a converted model with torch on another shape than the one that was traced.

    Parameters
    ----------
    pretrained : Pretrained
    run : callable
        Arrays by input name -> logits, shape (B, K).
    engine : str
        For the message.

    Raises
    ------
    EngineError
        If a logit differs by more than `TOLERANCE`, relative to the largest where that is above 1.
    """
    import torch

    rng = np.random.default_rng(0)
    longest = min(_LONGEST, pretrained.checkpoint.max_length)
    lengths = np.minimum((longest, *_SHORT), longest)
    ids = rng.integers(0, pretrained.vocab_size, (len(lengths), longest))
    order = np.arange(longest)
    if pretrained.padding_side == "left":
        order = order[::-1]
    mask = (order < lengths[:, None]).astype(np.int64)
    ids = np.where(mask == 1, ids, pretrained.pad_id).astype(np.int64)
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    feed = {name: arrays[name] for name in pretrained.input_names}
    with torch.inference_mode():
        tensors = [torch.from_numpy(array) for array in feed.values()]
        expected = pretrained.logits_only()(*tensors).numpy()
    with conversion(pretrained.checkpoint.path, engine):
        found = run(feed)
    difference = float(np.abs(found - expected).max()) / max(1.0, float(np.abs(expected).max()))
    if not difference <= TOLERANCE:
        raise EngineError(
            f"{pretrained.checkpoint.path}: {engine}'s logits differ from torch's by {difference:.2g}, more than "
            f"{TOLERANCE:g}: use another engine for this checkpoint"
        )


def int8_rows(
    table: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return an embedding table's rows in INT8, and their scales of shape (rows, 1)."""
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
    return np.round(table / scale).astype(np.int8), scale.astype(np.float32)

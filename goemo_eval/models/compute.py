"""What the matrix products of training are computed in on this machine."""

from __future__ import annotations

from typing import Any, Literal

from goemo_eval.cpu import isa_limit
from goemo_eval.errors import CheckpointError
from goemo_eval.models.manifest import Compute

_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")


def effective_compute(asked: Literal["auto", "fp32", "bf16"]) -> Compute:
    """Return what a recipe's ``compute`` means here.

    Parameters
    ----------
    asked : {"auto", "fp32", "bf16"}
        ``auto``: bfloat16 where the processor has instructions for it and may use them, else FP32.

    Raises
    ------
    CheckpointError
        If bfloat16 is asked for and would be emulated: that is slower than FP32, and less exact.
    """
    if asked == "fp32":
        return "fp32"
    if _has_bf16():
        return "bf16"
    if asked == "auto":
        return "fp32"
    raise CheckpointError(
        "the recipe has compute bf16, for which this processor has no instructions (avx512_bf16 or amx_bf16), "
        "or may not use them: set it to auto or fp32"
    )


def _has_bf16() -> bool:
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    # Older releases of torch do not say what the processor has.
    has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return isa_limit() is None and any(has.get(flag) for flag in _INSTRUCTIONS)

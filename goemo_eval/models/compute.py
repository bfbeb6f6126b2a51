"""Whether this machine multiplies matrices in bfloat16 by instructions of its own."""

from __future__ import annotations

from typing import Any

from goemo_eval.cpu import isa_limit

_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")


def has_bf16() -> bool:
    """Say whether bfloat16 runs by instructions here, and may use them; emulated, it is slower than FP32."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    # Older releases of torch do not say what the processor has.
    has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return isa_limit() is None and any(has.get(flag) for flag in _INSTRUCTIONS)

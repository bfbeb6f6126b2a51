"""Whether this machine multiplies matrices in bfloat16 by instructions of its own."""

from __future__ import annotations

from goemo_eval.cpu import has_bf16_products


def has_bf16() -> bool:
    """Say whether bfloat16 runs by instructions here, and may use them; emulated, it is slower than FP32."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return has_bf16_products()

"""The machine's own rate of products: what bounds every engine where products are all the work."""

from __future__ import annotations

from typing import Any

import numpy as np

from .turns import in_turns

GEMM = (2048, 768, 3072)
"""Rows, inner length and columns of the product whose rate is measured: a feed-forward layer's."""


def gemm_rates(threads: int) -> dict[str, float]:
    """Return 10^9 multiplications and additions per second of one large product, by torch."""
    import torch

    torch.set_num_threads(threads)
    rows, inner, columns = GEMM
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    qa, qb = (t.clamp(-1, 1).mul(100).to(torch.int8) for t in (a, b))
    work = 2 * rows * inner * columns / 1e9
    calls: dict[str, Any] = {
        "fp32": lambda _: torch.mm(a, b),
        "int8": lambda _: torch._int_mm(qa, qb),
    }
    seconds, _ = in_turns(calls, rounds=30)
    return {name: round(work / float(np.median(times)), 1) for name, times in seconds.items()}

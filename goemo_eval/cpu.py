"""The CPU's instruction sets: which there are, and how to forbid the higher ones."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from functools import cache
from pathlib import Path

from goemo_eval.errors import EngineError, unknown_name

# The instruction sets that decide how fast, and how exactly, matrix products run.
ISA_FLAGS = (
    "sse4_2",
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
    "bf16",
)
DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
"""Flags of which one is enough to multiply INT8 without saturating sums of 16 bits."""
BF16_PRODUCTS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Flags of which one is enough to multiply bfloat16 by instructions; the last is Arm's."""
NO_BF16 = (
    "this CPU has no instructions for bfloat16 (avx512_bf16, amx_bf16, or Arm's bf16), or may not use them: "
    "emulated, it is slower than FP32: choose fp32 or int8"
)
_BELOW_BF16 = frozenset(
    {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
)  # of oneDNN's limits

ISA_LIMITS: dict[str, dict[str, str]] = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "FBGEMM_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "FBGEMM_ENABLE_INSTRUCTIONS": "AVX512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
    },
}
"""Limit -> what torch, its FBGEMM and oneDNN read from the environment when they start.

``avx512`` leaves out VNNI. ONNX Runtime has no such switch.
"""


@cache
def cpu() -> tuple[str, tuple[str, ...]]:
    """Return the CPU's model name and those of its flags that matter (`ISA_FLAGS`)."""
    name, words = _told_by_kernel() or _told_by_package()
    flags = {flag.replace("avx512vnni", "avx512_vnni") for flag in words}
    return name, tuple(flag for flag in ISA_FLAGS if flag in flags)


def _told_by_kernel() -> tuple[str, list[str]] | None:
    """Read what Linux says of an x86 CPU: in no time, which counts when a server starts."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    if "model name" not in found or "flags" not in found:
        return None
    return found["model name"], found["flags"].split()


def _told_by_package() -> tuple[str, list[str]]:
    """Ask py-cpuinfo, which knows every system, and takes up to a second."""
    import cpuinfo

    info = cpuinfo.get_cpu_info()
    return str(info.get("brand_raw", info.get("arch", "unknown"))), list(info.get("flags", []))


def limit_isa(name: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Forbid the instruction sets above a limit, for this process and its children.

    Parameters
    ----------
    name : {"avx2", "avx512"}
    environ : mutable mapping, default os.environ

    Raises
    ------
    EngineError
        If the limit is unknown, or torch is loaded already and has chosen its kernels.
    """
    if name not in ISA_LIMITS:
        raise EngineError(unknown_name("--isa limit", name, ISA_LIMITS))
    wanted = ISA_LIMITS[name]
    if all(environ.get(key) == value for key, value in wanted.items()):
        return
    if "torch" in sys.modules:
        words = " ".join(f"{key}={value}" for key, value in wanted.items())
        raise EngineError(
            f"--isa {name}: torch is loaded already and has chosen its kernels: start again with {words}"
        )
    environ.update(wanted)


def isa_limit() -> str | None:
    """Return the limit that holds in this process, or None."""
    for name, wanted in ISA_LIMITS.items():
        if all(os.environ.get(key) == value for key, value in wanted.items()):
            return name
    return None


def has_dot_products() -> bool:
    """Say whether INT8 products run without saturation: by the CPU's flags and the limit in force."""
    return isa_limit() is None and bool(DOT_PRODUCTS & set(cpu()[1]))


def has_bf16_products() -> bool:
    """Say whether bfloat16 is multiplied by instructions: by the CPU's flags and the limit in force."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return limit not in _BELOW_BF16 and bool(BF16_PRODUCTS & set(cpu()[1]))


def available_threads() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""The machine and the software that a measurement holds for."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated

from pydantic import Field

from goemo_eval.measure.plain import Plain

PACKAGES = (
    "goemo-eval",
    "torch",
    "transformers",
    "tokenizers",
    "scikit-learn",
    "numpy",
    "datasets",
)
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
)


class Environment(Plain):
    """Where and with what a cell was measured."""

    versions: dict[str, str]
    python: str
    platform: str
    cpu_model: str
    isa_flags: tuple[str, ...]
    engine_isa: str
    """Highest instruction set that the engine says it uses."""
    kernels: str
    quantized_engine: str | None
    threads: Annotated[int, Field(ge=1)]
    load_start: float | None
    """One-minute load average when the cell began; None where the platform has none."""
    load_end: float | None
    git_commit: str | None


@cache
def cpu() -> tuple[str, tuple[str, ...]]:
    """Return the CPU's model name and those of its flags that matter (`ISA_FLAGS`)."""
    import cpuinfo

    info = cpuinfo.get_cpu_info()
    flags = {flag.replace("avx512vnni", "avx512_vnni") for flag in info.get("flags", [])}
    return str(info.get("brand_raw", info.get("arch", "unknown"))), tuple(
        flag for flag in ISA_FLAGS if flag in flags
    )


def versions() -> dict[str, str]:
    """Return the installed versions of the packages that a result may depend on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def python_version() -> str:
    """Return the interpreter's name and version, such as ``CPython 3.11.7``."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def platform_name() -> str:
    """Return the operating system and the machine type, such as ``Linux x86_64``."""
    return f"{platform.system()} {platform.machine()}"


def load_average() -> float | None:
    """Return the one-minute load average, or None where there is none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def available_threads() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def git_commit(directory: Path | None = None) -> str | None:
    """Return the commit of a checkout, with ``-dirty`` appended if tracked files were changed.

    None outside a checkout, or without git.
    """
    where = directory or Path.cwd()
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],  # noqa: S607 - whichever git the user has
            cwd=where,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None

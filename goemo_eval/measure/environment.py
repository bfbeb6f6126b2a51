"""The machine and the software that a measurement holds for."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated

from pydantic import Field

from goemo_eval.cpu import ISA_FLAGS, available_threads, cpu
from goemo_eval.frozen import Frozen

__all__ = ["ISA_FLAGS", "available_threads", "cpu"]  # known here to what measures

PACKAGES = (
    "goemo-eval",
    "torch",
    "torchao",
    "onnxruntime",
    "openvino",
    "nncf",
    "transformers",
    "tokenizers",
    "scikit-learn",
    "numpy",
    "datasets",
)


class Environment(Frozen):
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
    isa_limit: str | None = None
    """Highest instruction set that the run was allowed (`--isa`); None: all that the CPU has."""


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the installed versions of packages; by default of those that a result may depend on."""
    found = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
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

"""The instruction sets that are allowed: what is set, and that the engines heed it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from goemo_eval import cpu as cpu_module
from goemo_eval.cpu import (
    ISA_LIMITS,
    cpu,
    has_bf16_products,
    has_dot_products,
    isa_limit,
    limit_isa,
)
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(EngineError, match="unknown --isa limit 'avx1': known are avx2, avx512"):
        limit_isa("avx1", {})


def test_a_limit_comes_too_late_once_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    environ: dict[str, str] = {}
    with pytest.raises(EngineError, match="start again with ATEN_CPU_CAPABILITY=avx2"):
        limit_isa("avx2", environ)
    assert environ == {}
    limit_isa("avx2", dict(ISA_LIMITS["avx2"]))  # it holds already: nothing to do


def test_a_limit_forbids_dot_products(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ISA_LIMITS["avx512"]:  # the tests may run under a limit themselves
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(cpu_module, "cpu", lambda: ("a cpu", ("avx2", "avx512_vnni")))
    assert has_dot_products()
    for key, value in ISA_LIMITS["avx512"].items():
        monkeypatch.setenv(key, value)
    assert isa_limit() == "avx512"
    assert not has_dot_products()


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16", "bf16"])
def test_bf16_needs_its_instructions_and_leave_to_use_them(
    monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(cpu_module, "cpu", lambda: ("a cpu", ("avx2", "avx512_vnni")))
    assert not has_bf16_products()
    monkeypatch.setattr(cpu_module, "cpu", lambda: ("a cpu", ("avx2", flag)))
    for limit, has in [
        ("AVX2", False),
        ("avx512_core_vnni", False),
        ("AVX512_CORE_BF16", True),
        ("AVX512_CORE_AMX", True),
        ("ALL", True),
    ]:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        assert has_bf16_products() is has, limit


def test_what_the_kernel_says_is_what_the_package_says(monkeypatch: pytest.MonkeyPatch) -> None:
    found = cpu_module.cpu.__wrapped__()
    monkeypatch.setattr(cpu_module, "_told_by_kernel", lambda: None)
    assert cpu_module.cpu.__wrapped__() == found


def test_a_cpu_without_dot_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_module, "cpu", lambda: ("a cpu", ("avx2", "fma")))
    assert not has_dot_products()


SCRIPT = """
import json, sys
from goemo_eval.cpu import isa_limit, limit_isa
limit_isa("avx2")
from goemo_eval.engines.classifier import load_classifier
runtime = load_classifier(sys.argv[1], precision="int8").predictor.runtime
print(json.dumps([isa_limit(), runtime.isa, runtime.kernels]))
"""


@pytest.mark.skipif("avx2" not in cpu()[1], reason="this CPU has no AVX2")
def test_torch_heeds_the_limit_and_spares_a_bit(minilm_raw: Checkpoint) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, minilm_raw.path],
        capture_output=True,
        text=True,
        check=True,
    )
    limit, isa, kernels = json.loads(run.stdout)
    assert limit == "avx2"
    assert isa == "AVX2"
    assert "7-bit" in kernels

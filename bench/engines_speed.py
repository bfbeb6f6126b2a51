"""How fast each engine runs each encoder in FP32 and INT8, beside what the machine's products allow.

Every registered encoder, built, converted, compared with torch (within 1e-4, or its engine is told to have
refused it), quantized, timed and sized. Batches of 32 texts of 64 tokens, weights as they are within reach
(random ones are as fast), all engines taking turns round by round. Writes ``speed.json`` and ``speed.md``
after each encoder; given again, it goes on after the last. Run it on an idle machine:

    python -m bench.engines_speed --out reports/engines
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from bench.harness.rates import GEMM, gemm_rates
from goemo_eval.cpu import available_threads, cpu, isa_limit, limit_isa
from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.engines.artifact import Variant
from goemo_eval.engines.base import Predictor, TokenBatch, logits
from goemo_eval.engines.registry import converter, load
from goemo_eval.errors import GoemoError
from goemo_eval.files import write_atomic
from goemo_eval.frozen import DEFAULT_PRECISIONS
from goemo_eval.measure.environment import load_average, versions
from goemo_eval.models.encoders import encoder_names, get_encoder
from goemo_eval.models.weights import find_weights
from goemo_eval.models.writing import write_untrained
from goemo_eval.pipeline.steps import CALIBRATION_TEXTS, spread
from goemo_eval.progress import progress

TEXTS, TOKENS = 32, 64
ERROR_TEXTS = 64
NEURAL = ("torch", "onnxruntime", "openvino")


def main() -> None:
    """Measure, and write both files after each encoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--encoders",
        nargs="*",
        default=[n for n in encoder_names() if get_encoder(n).model_type != "linear"],
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--isa", help="avx2 or avx512: forbid what is higher")
    options = parser.parse_args()
    if options.isa:
        limit_isa(options.isa)
    facts = {
        "cpu": cpu()[0],
        "isa_flags": list(cpu()[1]),
        "isa_limit": isa_limit(),
        "threads": options.threads,
        "rounds": options.rounds,
        "versions": versions(),
    }
    result = kept(options.out / "speed.json", facts) or {
        **facts,
        "gemm_gops": gemm_rates(options.threads),
        "encoders": {},
    }
    for name in options.encoders:
        if name in result["encoders"]:
            continue
        load = load_average()
        found = measure(name, rounds=options.rounds, threads=options.threads)
        result["encoders"][name] = {"load": [load, load_average()], **found}
        options.out.mkdir(parents=True, exist_ok=True)
        write_atomic(options.out / "speed.json", (json.dumps(result, indent=1) + "\n").encode())
        write_atomic(options.out / "speed.md", page(result).encode())
    sys.stdout.write(f"{options.out / 'speed.md'}\n")


def kept(file: Path, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Return what an earlier call measured in the same way on this machine; None where there is nothing."""
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    other = [name for name, value in facts.items() if found.get(name) != value]
    if other:
        sys.stderr.write(f"{file}: of another {', '.join(other)}: measured anew\n")
        return None
    return found


def in_turns(calls: list[Callable[[], Any]], *, rounds: int) -> list[list[float]]:
    """Return each call's seconds per round, after a round that is not counted."""
    times: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 1):
        for turn in range(len(calls)):
            who = (number + turn) % len(calls)
            start = time.perf_counter()
            calls[who]()
            if number:
                times[who].append(time.perf_counter() - start)
    return times


def measure(name: str, *, rounds: int, threads: int) -> dict[str, Any]:
    """Return what each engine and precision needs for one encoder, and which engine refused it and why."""
    encoder, sample = get_encoder(name), load_dataset("sample")
    calibration = spread(sample.splits["train"].texts, CALIBRATION_TEXTS)
    weights = find_weights(encoder)
    predictors: list[Predictor] = []
    sizes: list[int] = []
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="goemo-eval-") as scratch:
        checkpoint = write_untrained(
            encoder,
            get_scheme("raw"),
            weights=weights,
            out=Path(scratch) / "checkpoint",
            max_length=128,
            seed=0,
        )
        for engine in progress(NEURAL, desc=f"converting {name}"):
            try:
                made = converter(checkpoint, engine, calibration=calibration, threads=threads)
                for precision in DEFAULT_PRECISIONS:
                    out = Path(scratch) / f"{engine}-{precision}"
                    out.mkdir()
                    variant = Variant.model_validate({"engine": engine, "precision": precision})
                    sizes.append(made.write(variant, out).size_bytes)
                    predictors.append(load(out, threads=threads))
            except GoemoError as error:
                del sizes[len(predictors) :]
                refused[engine] = str(error).replace(f"{scratch}/", "")
        rows = compared(predictors, sizes, sample.splits["test"].texts, rounds=rounds)
    parameters = predictors[0].info.parameters if predictors else None
    return {
        "weights": weights.kind,
        "parameters": parameters,
        "cells": rows,
        "refused": refused,
    }


def compared(
    predictors: list[Predictor], sizes: list[int], texts: Sequence[str], *, rounds: int
) -> list[dict[str, Any]]:
    """Time predictors in turns, and compare their logits with the first one's, torch's in FP32."""
    if not predictors or predictors[0].runtime.engine != "torch":
        return []
    ids = np.random.default_rng(0).integers(1000, 20000, (TEXTS, TOKENS))
    batch = TokenBatch(tuple(range(TEXTS)), ids, np.ones_like(ids))
    times = np.array(in_turns([partial(p.run, [batch]) for p in predictors], rounds=rounds))
    # On texts, not on the batch: static ranges are fitted to words, and random ids are none.
    words = spread(texts, ERROR_TEXTS)
    found = [logits(predictor, words) for predictor in predictors]
    fp32 = [i for i, p in enumerate(predictors) if p.info.variant.precision == "fp32"]
    best = min(fp32, key=lambda i: float(np.median(times[i])))
    return [
        {
            "engine": predictor.runtime.engine,
            "precision": predictor.info.variant.precision,
            "median_ms": round(float(np.median(seconds)) * 1e3, 1),
            "over_torch_fp32": round(float(np.median(times[0] / seconds)), 2),
            "over_best_fp32": round(float(np.median(times[best] / seconds)), 2),
            "size_mb": round(size / 1e6, 1),
            "relative_error": round(
                float(np.linalg.norm(moved - found[0]) / np.linalg.norm(found[0])), 5
            ),
            "kernels": predictor.runtime.kernels,
            "isa": predictor.runtime.isa,
            "times_s": [round(float(s), 5) for s in seconds],
        }
        for predictor, seconds, size, moved in zip(predictors, times, sizes, found, strict=True)
    ]


def page(result: dict[str, Any]) -> str:
    """Return the result as markdown."""
    rates, encoders = result["gemm_gops"], result["encoders"]
    columns = ["engine", "precision", "median_ms", "over_torch_fp32"]
    columns += ["over_best_fp32", "size_mb", "relative_error"]
    rows = [
        [name, each["parameters"] / 1e6, each["weights"], *(cell[column] for column in columns)]
        for name, each in encoders.items()
        for cell in each["cells"]
    ]
    headers = ["encoder", "M parameters", "weights", *(c.replace("_", " ") for c in columns)]
    refused = [
        f"- {name}, {engine}: {reason}"
        for name, each in encoders.items()
        for engine, reason in each["refused"].items()
    ]
    loads = [load for each in encoders.values() for load in each["load"] if load is not None]
    lines = [
        "# Engines: FP32 and INT8",
        "",
        (
            f"Forward pass of {TEXTS} texts of {TOKENS} tokens, medians over {result['rounds']} rounds in which all took turns; "
            "ratios are medians of the rounds' ratios. Error: norm of the logits' change over that of torch's FP32 logits, on "
            f"{ERROR_TEXTS} texts of the sample's test split; of random weights it says what rounding does, not what it costs."
        ),
        "",
        f"{result['cpu']}, {result['threads']} threads, limit {result['isa_limit'] or 'none'}, load "
        f"{min(loads, default=0):g} to {max(loads, default=0):g}; "
        + ", ".join(f"{name} {version}" for name, version in result["versions"].items())
        + ".",
        "",
        (
            f"One product of {' x '.join(map(str, GEMM))} runs at {rates['fp32']:g} GFLOP/s in FP32 and at "
            f"{rates['int8']:g} GOP/s in INT8 (torch): {rates['int8'] / rates['fp32']:.1f} times, which bounds what INT8 "
            "can bring where products are all the work."
        ),
        "",
        str(tabulate(rows, headers, tablefmt="pipe", floatfmt=["", ".1f"] + [""] * 8)),
        "",
        "## What does not convert",
        "",
        *(refused or ["Nothing: each of these encoders runs in each engine at both precisions."]),
        "",
        "## Kernels",
        "",
        *dict.fromkeys(
            f"- {name} {c['engine']} {c['precision']}: {c['kernels']}, {c['isa']}"
            for name, each in encoders.items()
            for c in each["cells"]
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

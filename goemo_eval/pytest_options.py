"""The options of ``pytest bench``."""

from __future__ import annotations

from pathlib import Path

import pytest

from goemo_eval.measure.environment import available_threads


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the bench."""
    group = parser.getgroup("goemo_eval", "encoders, schemes, engines and precisions under test")
    add = group.addoption
    add("--profile", default="sample", help="sample (bundled, no network; default) or goemotions")
    add(
        "--data",
        metavar="sample|hub|DIR",
        help="override the profile's data; DIR holds the three TSV files",
    )
    add("--encoders", default="", metavar="A,B", help="default: every registered encoder")
    add("--schemes", default="", metavar="A,B", help="default: raw,simplified")
    add(
        "--engines",
        default="",
        metavar="A,B",
        help="torch,onnxruntime,openvino; default: the profile's (sample: torch, goemotions: all)",
    )
    add("--precisions", default="", metavar="A,B", help="default: fp32,int8")
    add(
        "--checkpoint",
        action="append",
        default=[],
        metavar="ENCODER-SCHEME=DIR",
        help="measure this fine-tuned checkpoint (repeatable)",
    )
    add(
        "--weights",
        action="append",
        default=[],
        metavar="ENCODER=DIR",
        help="fine-tune these pretrained weights (repeatable)",
    )
    add(
        "--train",
        default="missing",
        metavar="missing|never",
        help="fine-tune what the store lacks (default), or never",
    )
    add("--recipe", metavar="NAME|FILE.toml", help="override the profile's fine-tuning recipe")
    add(
        "--dominance",
        default="auto",
        help="rule that picks one label of several (default: votes if known, else frequent)",
    )
    add(
        "--seeds",
        "--seed",
        default="0",
        metavar="A,B",
        help="of fine-tuning: a cell per seed (default 0)",
    )
    add(
        "--threads",
        type=int,
        default=available_threads(),
        help="CPU threads (default: all available)",
    )
    add(
        "--executor",
        default="order",
        metavar="order|ray",
        help="fine-tune and score cells in order (default) or as tasks of a Ray cluster",
    )
    add(
        "--gpus-per-cell",
        type=float,
        default=0.0,
        metavar="N",
        help="GPUs that a Ray task claims (default 0)",
    )
    add(
        "--int8-repair",
        default="when-needed",
        metavar="when-needed|never",
        help="keep layers in FP32 where INT8 loses more validation Macro-F1 than the profile's "
        "max_int8_drop (default), or report plain INT8",
    )
    add(
        "--isa",
        metavar="avx2|avx512",
        help="forbid higher instruction sets (torch, oneDNN and OpenVINO; ONNX Runtime has no such switch)",
    )
    add(
        "--reports",
        type=Path,
        metavar="DIR",
        help="where the report goes (default reports/PROFILE)",
    )
    add(
        "--store",
        type=Path,
        metavar="DIR",
        help="checkpoints and finished cells (default: the user's cache)",
    )
    add(
        "--budgets",
        type=Path,
        metavar="FILE",
        help="budgets to assert (default: bench/budgets.toml)",
    )
    add(
        "--gate",
        type=Path,
        metavar="BASELINE",
        help="also judge every scored cell against this baseline, as goemo-eval gate does",
    )
    add("--max-drop", type=float, default=0.01, help="Macro-F1 that a gated cell may lose")
    add("--alpha", type=float, default=0.05, help="false alarms of the gate, per cell")

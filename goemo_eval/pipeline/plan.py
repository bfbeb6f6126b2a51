"""How the cells of a run are trained and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from goemo_eval.measure.environment import available_threads
from goemo_eval.models.recipes import Recipe

INT8_BUDGET = 0.01


@dataclass(frozen=True)
class Plan:
    """How cells are trained and measured.

    Attributes
    ----------
    source : str or Path
        ``sample``, ``hub`` or a directory of TSV files.
    recipe : Recipe
    store : Path
        Where checkpoints and finished cells are kept.
    threads : int
    train : {"missing", "never"}
        Fine-tune what the store lacks, or leave those cells unscored.
    dominance : str
        Rule of the multiclass schemes; ``auto`` is ``votes`` where the source has votes, else
        ``frequent``.
    strategy : str, optional
        Thresholds of the multilabel schemes: a name of `goemo_eval.measure.thresholds.STRATEGIES`,
        or ``chosen``; the recipe's by default.
    checkpoints : mapping of (encoder, scheme) to Path
        Fine-tuned checkpoints that the user brings.
    weights : mapping of encoder to Path
        Pretrained weights that the user brings.
    split_budget_s : float
        Seconds after which no further timed pass over the test split begins.
    batch_budget_s : float
        Seconds for the timed rounds of one batch shape.
    int8_repair : {"when-needed", "never"}
        Keep layers in FP32 where INT8 loses more than `int8_budget`, or report plain INT8.
    int8_budget : float
        Validation Macro-F1, with FP32's thresholds, that INT8 may lose.
    """

    source: str | Path
    recipe: Recipe
    store: Path
    threads: int = field(default_factory=available_threads)
    train: Literal["missing", "never"] = "missing"
    dominance: str = "auto"
    strategy: str | None = None
    checkpoints: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)
    split_budget_s: float = 10.0
    batch_budget_s: float = 2.0
    int8_repair: Literal["when-needed", "never"] = "when-needed"
    int8_budget: float = INT8_BUDGET

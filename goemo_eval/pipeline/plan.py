"""What a run measures, and how: everything that its steps need to know, and no state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from goemo_eval.cpu import available_threads
from goemo_eval.data.dataset import Dataset
from goemo_eval.data.schemes import Scheme, get_scheme
from goemo_eval.data.task import Task, task_of
from goemo_eval.measure.scenarios import Scenario
from goemo_eval.models.encoders import Encoder, get_encoder
from goemo_eval.models.layers import base_of
from goemo_eval.models.recipes import Recipe

INT8_BUDGET = 0.01
TrainPolicy = Literal["missing", "never"]
RepairPolicy = Literal["when-needed", "never"]


@dataclass(frozen=True)
class Rounds:
    """How often the batches of a scenario are timed.

    Attributes
    ----------
    batches, rounds : int
        Every one of `batches`, `rounds` times.
    warm_ups : int, default 2
        Batches that are run before and not timed; with 0, one text alone is.
    """

    batches: int
    rounds: int
    warm_ups: int = 2


@dataclass(frozen=True)
class Timing:
    """How cells are timed: the same for all cells of a run that are scored, and for all that are not.

    Attributes
    ----------
    scenarios : mapping of scenario to Rounds
        Of cells that are scored.
    passes : int
        Over the whole split, of the cells that take turns.
    offline_passes : int
        Over the whole split, text in, scores out; 0 leaves them out.
    unscored : mapping of scenario to Rounds
        Of cells that are not scored. They rank nowhere: enough times to see what they cost.
    """

    scenarios: Mapping[Scenario, Rounds]
    passes: int
    offline_passes: int
    unscored: Mapping[Scenario, Rounds] = field(default_factory=dict)

    @property
    def of_unscored(self) -> Timing:
        """How a cell is timed that is not scored: never over the split."""
        return Timing(self.unscored, passes=0, offline_passes=0)


TIMINGS = {
    "quick": Timing(
        {"real": Rounds(10, 2), "padded128": Rounds(1, 3, warm_ups=1), "single": Rounds(200, 1)},
        passes=2,
        offline_passes=2,
        # A batch of a large encoder takes seconds without VNNI, one padded to 128 tokens three times as many.
        unscored={"real": Rounds(1, 3, warm_ups=0)},
    ),
    "full": Timing(
        {"real": Rounds(50, 4), "padded128": Rounds(20, 5), "single": Rounds(200, 2)},
        passes=5,
        offline_passes=3,
        unscored={"real": Rounds(4, 3), "padded128": Rounds(2, 2)},
    ),
    "off": Timing({}, passes=0, offline_passes=0),
}


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run measures and how.

    Attributes
    ----------
    dataset : Dataset
    recipe : Recipe
    threads : int
    train : {"missing", "never"}
        Fine-tune what the store lacks, or leave those cells unscored.
    dominance : str
        Rule of the multiclass schemes; ``auto`` is ``votes`` where the data set has votes, else
        ``frequent``.
    strategy : str, optional
        Thresholds of the multilabel schemes: a name of `goemo_eval.measure.thresholds.STRATEGIES`,
        or ``chosen``; the recipe's by default.
    groups : mapping of str to mapping of str to sequence of str
        Schemes of the user's: class -> the labels that it stands for.
    checkpoints : mapping of (encoder, scheme) to Path
        Fine-tuned checkpoints that the user brings.
    encoders : mapping of str to Encoder
        Encoders of the user's own, by their names.
    weights : mapping of encoder to Path
        Pretrained weights that the user brings.
    teachers : mapping of scheme to tuple of Path
        Fine-tuned checkpoints whose logits on the training texts a student learns from.
    floor_teaches : bool
        Learn from the floor as well, under every scheme.
    max_length : int, optional
        Tokens to which texts are cut, of checkpoints that the user brings; theirs by default.
    timing : Timing
    int8_repair : {"when-needed", "never"}
        Smooth, and keep layers in FP32, where INT8 loses more than `int8_budget`; or report plain INT8.
    int8_budget : float
        Validation Macro-F1, with FP32's thresholds, that INT8 may lose.
    """

    dataset: Dataset
    recipe: Recipe
    threads: int = field(default_factory=available_threads)
    train: TrainPolicy = "missing"
    dominance: str = "auto"
    strategy: str | None = None
    groups: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    checkpoints: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    encoders: Mapping[str, Encoder] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)
    teachers: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    floor_teaches: bool = False
    max_length: int | None = None
    timing: Timing = TIMINGS["quick"]
    int8_repair: RepairPolicy = "when-needed"
    int8_budget: float = INT8_BUDGET

    def scheme(self, name: str) -> Scheme:
        """Return a scheme for the data set's labels, under the plan's dominance rule."""
        rule = self.dominance
        if rule == "auto":
            rule = "frequent" if self.dataset.splits["train"].votes is None else "votes"
        return get_scheme(
            name,
            self.dataset.labels,
            dominance=rule,
            fallback=self.dataset.fallback,
            groups=self.groups,
            single_label=self.dataset.single_label,
        )

    def task(self, scheme: str) -> Task:
        """Return the data set under a scheme."""
        return _task(self, scheme)

    def recipe_of(self, encoder: str, scheme: str) -> Recipe:
        """Return the recipe of an encoder under a scheme."""
        return self.recipe.for_cell(encoder, scheme)

    def encoder(self, name: str) -> Encoder:
        """Look an encoder up, by its name with the layers that are taken of it."""
        return get_encoder(name, self.weights_of(name), own=self.encoders)

    def weights_of(self, encoder: str) -> Path | None:
        """Return the pretrained weights that were brought for an encoder, or for the whole of its layers."""
        return self.weights.get(base_of(encoder))

    def strategy_of(self, encoder: str, scheme: str) -> str:
        """Return the threshold strategy of a cell."""
        return self.strategy or self.recipe_of(encoder, scheme).threshold_strategy


@lru_cache(maxsize=8)
def _task(plan: Plan, scheme: str) -> Task:
    return task_of(plan.dataset, plan.scheme(scheme))

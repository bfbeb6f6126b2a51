"""The record: everything known of a cell, as data."""

from __future__ import annotations

from statistics import median
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from goemo_eval.frozen import EncoderName, Frozen, Precision
from goemo_eval.measure.calibration import Calibration, ThresholdCurves
from goemo_eval.measure.environment import Environment
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.metrics import Count, Scores, Unit
from goemo_eval.measure.scenarios import Latency, Scenario, Seconds, Throughput
from goemo_eval.measure.shortlist import Shortlist
from goemo_eval.measure.thresholds import Strategy
from goemo_eval.records.decisions import Decisions

# 1: first version.
# 2: decisions (truth and predictions of the test split); speedups in place of the one speedup;
#    calibration and threshold curves; the file's provenance.
# 3: the data set's name; latencies by scenario, with p95, the batches' identity and the load beside them;
#    throughput; memory and start of a process of the cell's own in place of the run's peak; length
#    limit and cut texts; the artifact; smoothing; what training computed in; served agreement; how the
#    engines were chosen; bf16 as a precision.
SCHEMA_VERSION = 3

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=64)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
"""What the generators of every library here take."""
_ROUNDING = 1e-9  # numbers travel as decimal text


class Cell(Frozen):
    """One encoder x scheme x engine x precision, at a seed."""

    encoder: EncoderName
    scheme: Name
    engine: Name
    precision: Precision
    seed: Seed = 0

    @property
    def id(self) -> str:
        """The words in order, as in ``minilm-raw-torch-int8``; seeds other than 0 are appended."""
        words = [self.encoder, self.scheme, self.engine, self.precision]
        return "-".join(words + ([f"s{self.seed}"] if self.seed else []))

    def at(self, precision: Precision) -> Cell:
        """Return the same cell at another precision."""
        return self.model_copy(update={"precision": precision})


class SplitData(Frozen):
    """One split's identity."""

    sha256: str
    rows: Count


class Data(Frozen):
    """What was trained and scored on."""

    name: str
    """Of the data set, such as ``goemotions``."""
    source: str
    revision: str | None
    splits: dict[str, SplitData]


class WeightsEntry(Frozen):
    """Which weights were measured."""

    kind: Literal["pretrained", "random", "checkpoint"]
    """pretrained: fine-tuned here; checkpoint: brought along; random: never trained."""
    sha256: str
    base_sha256: str | None


class ThresholdsEntry(Frozen):
    """The thresholds that decided (multilabel schemes)."""

    strategy: Strategy
    values: tuple[Unit, ...]
    fitted_on: str | None


class SplitScores(Frozen):
    """Scores by split. The validation split is the one that thresholds were fitted on."""

    validation: Scores
    test: Scores


class StrategyScore(Frozen):
    """Macro-F1 under one threshold strategy, fitted on validation."""

    strategy: Strategy
    validation_macro_f1: Unit
    """On the rows that the thresholds were fitted on: less the test value, the gap."""
    test_macro_f1: Unit
    cross_validated_macro_f1: Unit | None = None
    """On validation rows that the thresholds were not fitted on, where a strategy was chosen."""


class Speedup(Frozen):
    """Forward seconds of whole passes over the test split, two cells taking turns batch by batch."""

    reference: str
    """Id of the cell that this one is compared with."""
    reference_s: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    candidate_s: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    load: Load

    @model_validator(mode="after")
    def _passes_in_pairs(self) -> Self:
        if len(self.reference_s) != len(self.candidate_s):
            raise ValueError("reference_s and candidate_s must hold one time per pass each")
        return self

    @property
    def ratio(self) -> float:
        """Median over the passes of reference / candidate: above 1, this cell is faster."""
        return median(r / c for r, c in zip(self.reference_s, self.candidate_s, strict=True))


class PrecisionSearch(Frozen):
    """How INT8 was repaired: what plain INT8 lost, what the search cost and found."""

    budget: Annotated[float, Field(ge=0)]
    """Validation Macro-F1, with FP32's thresholds, that INT8 might lose before it was repaired."""
    plain_validation_macro_f1: Unit
    plain_test_macro_f1: Unit
    """Of INT8 with every layer quantized, as the tables of others report it."""
    smoothed_validation_macro_f1: Unit | None = None
    """Of that after smoothing; None in engines that smooth by themselves, and before schema 3."""
    validation_macro_f1: Unit
    within_budget: bool
    int8_share: Unit
    """Share of the linear layers' weights that stayed INT8."""
    passes: Annotated[int, Field(ge=1)]
    """Times that the validation split was scored for it."""
    seconds: Seconds


class Memory(Frozen):
    """Of a process that holds the cell's artifact and nothing else."""

    peak_rss_bytes: Count
    """Peak resident memory while it scored."""
    start_s: Seconds
    """From the start of the process to its first answer."""
    texts: Count
    """Texts that it scored."""


class ArtifactEntry(Frozen):
    """The files that everything here was measured on."""

    key: str
    """Where the store keeps it."""
    sha256: str
    """Of its description, which lists the sha256 of every file."""


class Length(Frozen):
    """How far texts are read."""

    max_length: Annotated[int, Field(ge=1)]
    """Tokens to which texts are cut."""
    cut_share: Unit
    """Share of the test texts that are longer, and were cut."""


class ServedAgreement(Frozen):
    """An INT8 or BF16 cell's test decisions when texts come one at a time, beside the scored batches."""

    agreement: Unit
    """Share of the decisions, over texts and labels, that are the same."""
    macro_f1: Unit
    """Test Macro-F1 of the texts scored one at a time."""
    change: float
    """`macro_f1` minus the record's own test Macro-F1."""
    low: float
    high: float
    """95 % interval of the change."""


class BudgetCheck(Frozen):
    """One budget and what was measured against it."""

    name: str
    """Begins with ``min_`` or ``max_``."""
    limit: float
    value: float
    passed: bool

    @model_validator(mode="after")
    def _passed_as_measured(self) -> Self:
        least = self.name.startswith("min_")
        kept = self.value >= self.limit if least else self.value <= self.limit
        if self.passed != kept:
            raise ValueError(
                f"passed is {self.passed} for {self.value} against {self.name} {self.limit}"
            )
        return self


class Record(Frozen):
    """Everything known of a cell."""

    cell: Cell
    kind: Literal["multilabel", "multiclass"]
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    dominance: str | None
    data: Data
    weights: WeightsEntry
    recipe: dict[str, str | int | float] | None
    thresholds: ThresholdsEntry | None = None
    kept_fp32: tuple[str, ...] = ()
    smoothed: bool = False
    """Whether outliers were spread by exact rescaling before INT8."""
    compute: Literal["fp32", "bf16"] | None = None
    """What the weights were fine-tuned in; None where that is not known."""
    length: Length | None = None
    """None where the model reads texts whole, and in records of schema 2."""
    artifact: ArtifactEntry | None = None
    scores: SplitScores | None = None
    scores_refitted: SplitScores | None = None
    strategies: tuple[StrategyScore, ...] = ()
    unscored_reason: str | None = None
    latency: dict[Scenario, Latency] = Field(default_factory=dict)
    split_latency_s: Seconds | None = None
    """Forward seconds of the test split, the median pass."""
    offline: Throughput | None = None
    speedups: tuple[Speedup, ...] = ()
    """Of an INT8 or BF16 cell, against the FP32 cell of the same engine, and against torch's."""
    parameters: Count
    size_bytes: Count
    memory: Memory | None = None
    environment: Environment
    budgets: tuple[BudgetCheck, ...] = ()
    decisions: Decisions | None = None
    """Truth and predictions of the test split (scored cells)."""
    calibration: Calibration | None = None
    """Of the test split's probabilities (scored cells)."""
    threshold_curves: ThresholdCurves | None = None
    """F1 along the threshold on the validation split (scored cells of multilabel schemes)."""
    precision_search: PrecisionSearch | None = None
    """Where INT8 lost more than its budget and was repaired; the layers are in `kept_fp32`."""
    served: ServedAgreement | None = None
    """Of INT8 and BF16 cells that were scored one text at a time as well."""
    engines: Shortlist | None = None
    """How this one was chosen among engines and precisions; None where they were named."""

    @model_validator(mode="after")
    def _one_entry_per_label(self) -> Self:
        if len(set(self.labels)) != len(self.labels) or not all(self.labels):
            raise ValueError("labels must be names, each once")
        lengths = {
            "thresholds.values": self.thresholds and len(self.thresholds.values),
            "decisions.labels": self.decisions and self.decisions.labels,
            "calibration.ece_per_label": self.calibration and len(self.calibration.ece_per_label),
            "threshold_curves.f1": self.threshold_curves and len(self.threshold_curves.f1),
            "threshold_curves.support": self.threshold_curves
            and len(self.threshold_curves.support),
        }
        for name, length in lengths.items():
            if length not in (None, len(self.labels)):
                raise ValueError(f"{name} has {length} entries for {len(self.labels)} labels")
        for name, scores in (("scores", self.scores), ("scores_refitted", self.scores_refitted)):
            for split in ("validation", "test") if scores else ():
                per_label = getattr(scores, split).per_label
                if tuple(score.label for score in per_label) != self.labels:
                    raise ValueError(
                        f"{name}.{split}.per_label is not of the labels, in their order"
                    )
        return self

    @model_validator(mode="after")
    def _parts_fit_one_another(self) -> Self:
        test = self.data.splits.get("test")
        if self.decisions and not self.scores:
            raise ValueError("decisions without scores")
        if self.decisions and test and self.decisions.rows > test.rows:
            raise ValueError(
                f"decisions on {self.decisions.rows} texts, but the test split has {test.rows}"
            )
        if self.thresholds and test and self.thresholds.fitted_on == test.sha256:
            raise ValueError(
                "thresholds.fitted_on is the test split: its scores flatter themselves"
            )
        if self.kind == "multiclass" and (self.thresholds or self.threshold_curves):
            raise ValueError("thresholds in a multiclass scheme, which has none")
        return self

    @model_validator(mode="after")
    def _strategy_that_decided(self) -> Self:
        # An FP32 cell is decided by thresholds of its own: those of one of its strategies.
        if self.scores is None or self.thresholds is None or self.cell.precision != "fp32":
            return self
        for stated in self.strategies:
            if stated.strategy != self.thresholds.strategy:
                continue
            for split in ("validation", "test"):
                ours = getattr(self.scores, split).macro_f1
                theirs = getattr(stated, f"{split}_macro_f1")
                if abs(ours - theirs) > _ROUNDING:
                    raise ValueError(
                        f"strategies: {stated.strategy} has {theirs} on {split}, scores have {ours}"
                    )
        return self

    def speedup_over(self, reference: Cell) -> Speedup | None:
        """Return how much faster this cell is than another, where the two were timed in turns."""
        return next((s for s in self.speedups if s.reference == reference.id), None)

    @property
    def speedup(self) -> Speedup | None:
        """Speed of an INT8 or BF16 cell over its FP32 twin."""
        return self.speedup_over(self.cell.at("fp32"))

    def to_frame(self) -> Any:
        """Return a row per label of a scored cell, as a pandas.DataFrame.

        `goemo_eval.records.frames` makes tables of several records.
        """
        from goemo_eval.records.frames import labels_to_frame

        return labels_to_frame([self])

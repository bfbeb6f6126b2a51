"""Keys: everything that decides the result of a step, and the hash of it that the result lies under.

A key is written beside its result as ``key.json``, so that a person can read what made it. Two
results with one key have the same bits; what could make them differ belongs into the key.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Literal

from goemo_eval.cpu import cpu, isa_limit
from goemo_eval.engines.artifact import Variant
from goemo_eval.frozen import Frozen


class Key(Frozen):
    """What decides one step's result."""

    kind: ClassVar[str]
    """The store's directory for results of this step."""

    @property
    def label(self) -> str:
        """A few words for people, at the head of the directory's name."""
        raise NotImplementedError

    @property
    def digest(self) -> str:
        """The hash that the result lies under."""
        return digest_of(self.kind, self.model_dump(mode="json"))

    @property
    def name(self) -> str:
        """The directory's name."""
        return f"{self.label}-{self.digest}"


class FitKey(Key):
    """A checkpoint: fine-tuned, or a stand-in of an architecture with random weights."""

    kind: ClassVar[str] = "checkpoints"
    encoder: str
    trained: bool
    """False of a stand-in, which depends on no data."""
    scheme: dict[str, Any]
    """`Scheme.facts`."""
    seed: int
    weights_sha256: str | None
    """Of the pretrained weights, their config and tokenizer."""
    max_length: int
    recipe: dict[str, Any] | None = None
    compute: str | None = None
    train_sha256: str | None = None
    validation_sha256: str | None = None
    """Where validation chose an epoch or a bias."""
    threads: int | None = None
    versions: dict[str, str]
    isa_limit: str | None

    @property
    def label(self) -> str:
        """Encoder and scheme."""
        return f"{self.encoder}-{self.scheme['name']}"


class OwnKey(FitKey):
    """A stand-in of an architecture that a run file describes."""

    architecture: dict[str, Any]


class TeachKey(Key):
    """A teacher's logits on the training texts."""

    kind: ClassVar[str] = "lessons"
    teacher: str
    """For people."""
    scheme: dict[str, Any]
    train_sha256: str
    checkpoint_sha256: str | None = None
    """Content of the checkpoint that teaches; None of the floor."""
    max_length: int | None = None
    floor: dict[str, Any] | None = None
    """How the floor is fitted that teaches, and in how many parts."""
    threads: int | None = None
    versions: dict[str, str]
    isa_flags: tuple[str, ...] = ()
    isa_limit: str | None = None

    @property
    def label(self) -> str:
        """Teacher and scheme."""
        return self.teacher


class DistilKey(FitKey):
    """A checkpoint that learned from teachers; their weight and temperature stand in its recipe."""

    teachers: tuple[TeachKey, ...]


class MixKey(Key):
    """A checkpoint of an encoder with the floor beside it."""

    kind: ClassVar[str] = FitKey.kind
    encoder: str
    scheme: str
    encoder_sha256: str
    """Content of the encoder's checkpoint."""
    floor_sha256: str
    validation_sha256: str | None
    """Of the texts and targets that chose the floor's weight; None of a cell that is not scored."""
    threads: int
    versions: dict[str, str]
    isa_flags: tuple[str, ...]
    isa_limit: str | None

    @property
    def label(self) -> str:
        """Encoder and scheme."""
        return f"{self.encoder}-{self.scheme}"


class CellKey(Key):
    """A result of one cell, which it is called by."""

    cell: str

    @property
    def label(self) -> str:
        """The cell."""
        return self.cell


class ConvertKey(CellKey):
    """An artifact; the cell stands in it for people, and nothing else of the cell decides."""

    kind: ClassVar[str] = "artifacts"
    checkpoint_sha256: str
    max_length: int
    variant: Variant
    calibration_sha256: str | None
    """Of the training texts on which INT8 ranges are fitted, where the engine fits them."""
    versions: dict[str, str]
    dot_products: bool
    """Whether INT8 may use 8 bits without saturating."""
    isa_limit: str | None


class PredictKey(CellKey):
    """An artifact's logits on texts, and memory and start of the process that computed them."""

    kind: ClassVar[str] = "logits"
    artifact_sha256: str
    texts_sha256: dict[str, str]
    """Split -> hash of its texts in their order."""
    one_at_a_time: bool
    """Whether the test texts were scored one by one as well."""
    threads: int
    versions: dict[str, str]
    isa_flags: tuple[str, ...]
    isa_limit: str | None


class RepairKey(CellKey):
    """Which layers an INT8 cell keeps in FP32, and whether it is smoothed."""

    kind: ClassVar[str] = "repairs"
    plain: ConvertKey
    """Of the artifact that lost too much."""
    validation_sha256: str
    """Of the texts and targets that the search scores."""
    thresholds_sha256: str | None
    """Of the thresholds that it decides with."""
    least: float
    """Validation Macro-F1 that it must reach."""
    threads: int
    isa_flags: tuple[str, ...]


class DecideKey(CellKey):
    """What a cell's logits amount to: thresholds, decisions, scores."""

    kind: ClassVar[str] = "scores"
    logits_sha256: str
    targets_sha256: str
    strategy: str
    reference_sha256: str | None
    """Of the FP32 cell's scores, whose thresholds decide."""
    versions: dict[str, str]


class ProbeKey(Key):
    """How long each engine takes on this machine for a small stack of an architecture."""

    kind: ClassVar[str] = "probes"
    model_type: str
    config: dict[str, Any]
    engines: tuple[str, ...]
    precisions: tuple[str, ...]
    timed: dict[str, int]
    """Layers, and how large a batch is."""
    cpu_model: str
    threads: int
    versions: dict[str, str]
    isa_flags: tuple[str, ...]
    isa_limit: str | None

    @property
    def label(self) -> str:
        """The architecture."""
        return self.model_type


def digest_of(*facts: Any) -> str:
    """Return a short hash of facts, which must be JSON values."""
    text = json.dumps(facts, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def machine() -> dict[str, Any]:
    """Return what of this machine decides the bits of a forward pass, as fields of a key."""
    return {"isa_flags": cpu()[1], "isa_limit": isa_limit()}


Step = Literal["lessons", "checkpoints", "artifacts", "logits", "repairs", "scores", "probes"]

"""What ``bundle.json`` says, and how a directory is held against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from goemo_eval.engines.artifact import TokensInfo
from goemo_eval.errors import BundleError
from goemo_eval.files import read_json, sha256_of_file
from goemo_eval.frozen import Frozen, Precision

FILE, CARD = "bundle.json", "README.md"
SCHEMA_VERSION = 1
_LARGEST = 1 << 24
Unit = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LabelF1(Frozen):
    """How one label was predicted on the test split."""

    f1: Unit
    precision: Unit
    recall: Unit
    support: Count
    """Test texts that have it."""


class Interval95(Frozen):
    """A 95 % interval."""

    low: float
    high: float


class Served(Frozen):
    """INT8: the same texts one at a time, beside the scored batches."""

    agreement: Unit
    """Share of the test decisions that are the same."""
    macro_f1: Unit
    change: float
    """`macro_f1` less the scored batches'."""
    interval: Interval95
    """Of the change."""


class MeasuredScores(Frozen):
    """What the artifact scored."""

    validation_macro_f1: Unit
    """On the texts that the thresholds were fitted on."""
    macro_f1: Unit
    """On the test split, as all that follows."""
    macro_f1_interval: Interval95
    """Over the test texts."""
    micro_f1: Unit
    weighted_f1: Unit
    per_label: dict[str, LabelF1]
    served: Served | None = None


class LatencyTimes(Frozen):
    """Seconds a batch in one scenario."""

    batch_size: Annotated[int, Field(ge=1)]
    p50_s: Seconds
    p95_s: Seconds
    p99_s: Seconds | None
    times: Annotated[int, Field(ge=1)]
    """How many were taken."""
    stable: bool
    """False: the machine was busy or the times spread; they rank nothing."""


class Times(Frozen):
    """How long the artifact took, and where."""

    latency: dict[str, LatencyTimes]
    """By scenario."""
    offline_texts_per_s: Annotated[float, Field(gt=0)] | None
    """Text in, scores out, over the test split."""
    peak_rss_bytes: Count | None
    """Of a process that holds the artifact and nothing else."""
    start_s: Seconds | None
    """From that process's start to its first answer."""
    cpu: str
    isa_flags: tuple[str, ...]
    isa_limit: str | None
    threads: Annotated[int, Field(ge=1)]


class DataFacts(Frozen):
    """What was trained, fitted and scored on."""

    name: str
    source: str
    revision: str | None
    rows: dict[str, Count]
    """By split."""
    sha256: dict[str, str]


class BatchRule(Frozen):
    """In which batches texts were scored: INT8's logits depend a little on what shares one."""

    order: Literal["as-given", "longest-first"]
    """Longest first by tokens, ties as given."""
    texts: Annotated[int, Field(ge=1)] | None
    """Most texts of a batch."""
    padded_tokens: Annotated[int, Field(ge=1)] | None
    """Most padded tokens of a batch, in place of a number of texts; a longer text is alone."""


class BundleInfo(Frozen):
    """What ``bundle.json`` says."""

    schema_version: Literal[1] = 1
    cell: str
    encoder: str
    engine: str
    precision: Precision
    scheme: str
    kind: Literal["multilabel", "multiclass"]
    labels: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """In the order of the logits."""
    thresholds: tuple[Unit, ...] | None
    """A label is predicted where its probability is ``>=`` its threshold; None: the largest logit wins."""
    threshold_strategy: str | None
    tokens: TokensInfo | None
    """How texts become token ids, and to how many they are cut; None: they are read whole."""
    batch_rule: BatchRule
    kept_fp32: tuple[str, ...]
    smoothed: bool
    floor_weight: Unit | None = None
    """Of the floor's logits, which are added to the encoder's; None: there is no floor beside it."""
    pooling: str | None
    """What the head reads, where that is another thing than the architecture's own."""
    parameters: Count
    size_bytes: Count
    """Of the artifact's files."""
    artifact_sha256: Sha256
    """Of ``artifact.json``, as the record names it."""
    data: DataFacts
    scores: MeasuredScores
    times: Times
    versions: dict[str, str]
    """Of the packages that it was measured with."""
    files: dict[str, Sha256] = Field(default_factory=dict)
    """Name -> sha256, of every other file. The card's is that of its first version: it may be edited."""

    @model_validator(mode="after")
    def _labels_are_names(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label stands twice")
        if set(self.scores.per_label) != set(self.labels):
            raise ValueError("scores.per_label is not of the labels")
        return self

    @model_validator(mode="after")
    def _thresholds_fit(self) -> Self:
        if (self.kind == "multilabel") != (self.thresholds is not None):
            raise ValueError("thresholds belong to a multilabel scheme, and to no other")
        if self.thresholds is not None and len(self.thresholds) != len(self.labels):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(self.labels)} labels")
        return self


def read_bundle(path: Path) -> BundleInfo:
    """Read a bundle's description and verify its files.

    A file's name must be one of the directory; a link is followed, since the hub's cache is made of links,
    and what it leads to must have the listed sha256. The card may be edited or missing, and files that
    are not listed, such as a licence, are never read.

    Raises
    ------
    BundleError
        If it is none, of another schema, or a file is missing, altered, or outside the directory.
    """
    if not path.is_dir():
        raise BundleError(f"{path}: no such bundle: pass a directory that goemo-eval export made")
    entry = read_json(path / FILE, error=BundleError, most_bytes=_LARGEST)
    version = entry.get("schema_version") if isinstance(entry, dict) else None
    if type(version) is not int or version != SCHEMA_VERSION:
        raise BundleError(
            f"{path / FILE}: schema_version {str(version)[:40]!r}: this goemo_eval reads {SCHEMA_VERSION}: "
            "upgrade it, or export the cell again"
        )
    try:
        # As JSON, so that types are strict and an array may still be a tuple.
        info = BundleInfo.model_validate_json(json.dumps(entry), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(map(str, first["loc"])) or "bundle"
        raise BundleError(f"{path / FILE}: {at}: {first['msg']}: export the cell again") from None
    for name, expected in info.files.items():
        if name != CARD:
            _verify(path, name, expected)
    return info


def _verify(path: Path, name: str, expected: str) -> None:
    if name in ("", ".", "..", FILE) or Path(name).name != name or "\\" in name:
        raise BundleError(f"{path / FILE}: lists {name!r}, which is no file of this directory")
    file = path / name
    if not file.is_file():
        raise BundleError(f"{file}: missing, or no regular file: export the cell again")
    try:
        found = sha256_of_file(file)
    except OSError as error:
        raise BundleError(f"{file}: cannot read ({error.strerror})") from None
    if found != expected:
        raise BundleError(
            f"{file}: altered since it was written (sha256 {found[:12]}, expected {expected[:12]}): "
            "export the cell again"
        )

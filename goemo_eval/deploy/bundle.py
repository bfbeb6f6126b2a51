"""A bundle: a directory that a server loads, with the artifact that was measured and how it decides.

``bundle.json`` holds labels, scheme and thresholds, the record's scores and times, and the sha256 of every
other file. Beside it lie the artifact's files as they were scored, and a model card, ``README.md``.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from goemo_eval.engines.artifact import (
    DESCRIPTION,
    Artifact,
    read_artifact,
    read_info,
    verify_files,
)
from goemo_eval.errors import BundleError, EngineError
from goemo_eval.files import read_json, sha256_of_file
from goemo_eval.frozen import Frozen

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from goemo_eval.engines.base import Predictor

FILE, CARD = "bundle.json", "README.md"
SCHEMA_VERSION = 1
_LARGEST = 1 << 24
Probability = Annotated[float, Field(ge=0, le=1)]


class Measured(Frozen):
    """What the bundle's artifact scored and took, where it was measured."""

    dataset: str
    test_rows: int
    test_sha256: str
    validation_macro_f1: Probability | None
    test_macro_f1: Probability | None
    test_macro_f1_low: float | None
    test_macro_f1_high: float | None
    """95 % interval over the test split's texts."""
    per_label_f1: dict[str, Probability]
    latency_p50_s: dict[str, float]
    """By scenario; of times that were stable."""
    peak_rss_bytes: int | None
    start_s: float | None
    cpu: str
    isa_flags: tuple[str, ...]
    threads: int
    versions: dict[str, str]


class BundleInfo(Frozen):
    """What ``bundle.json`` says."""

    schema_version: Literal[1] = 1
    cell: str
    engine: str
    precision: Literal["fp32", "int8"]
    scheme: str
    kind: Literal["multilabel", "multiclass"]
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    thresholds: tuple[Probability, ...] | None
    """A label is predicted where its probability is ``>=`` its threshold; None: the largest wins."""
    max_length: int | None
    """Tokens to which texts are cut."""
    batch_rule: str
    """In which batches the texts were scored; INT8's logits depend on it a little."""
    kept_fp32: tuple[str, ...]
    smoothed: bool
    artifact_sha256: str
    measured: Measured
    files: dict[str, str] = Field(default_factory=dict)
    """Name -> sha256, of every other file."""

    @model_validator(mode="after")
    def _thresholds_fit(self) -> Self:
        if (self.kind == "multilabel") != (self.thresholds is not None):
            raise ValueError("thresholds belong to a multilabel scheme, and to no other")
        if self.thresholds is not None and len(self.thresholds) != len(self.labels):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(self.labels)} labels")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label stands twice")
        return self


@dataclass(frozen=True)
class Prediction:
    """What is predicted of one text.

    Attributes
    ----------
    labels : tuple of str
        Those predicted, the most probable first; of a multi-label bundle there may be none.
    scores : dict of str to float
        Every label's probability, in the bundle's order.
    """

    labels: tuple[str, ...]
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle in memory, ready to predict; several threads may use it at once."""

    info: BundleInfo
    predictor: Predictor

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return every label's probability.

        Parameters
        ----------
        texts : sequence of str, length N

        Returns
        -------
        ndarray of float64, shape (N, K)

        Raises
        ------
        TypeError
            If `texts` is one text.
        DataError
            If a text cannot be written as UTF-8; its row is named.
        """
        from goemo_eval.engines.base import logits
        from goemo_eval.measure.thresholds import sigmoid, softmax

        found = logits(self.predictor, texts)
        return sigmoid(found) if self.info.kind == "multilabel" else softmax(found)

    def decisions(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return which labels are predicted, booleans of shape (N, K)."""
        import numpy as np

        from goemo_eval.measure.thresholds import Thresholds, apply_thresholds

        if not len(probabilities):
            return np.zeros(probabilities.shape, dtype=bool)
        if self.info.thresholds is not None:
            # Where they were fitted matters to whoever scores, not to whoever serves.
            fixed = Thresholds("fixed", np.array(self.info.thresholds), None)
            return apply_thresholds(probabilities, fixed)
        largest = probabilities.argmax(axis=1)
        return np.asarray(np.arange(probabilities.shape[1]) == largest[:, None])

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict the labels of texts.

        Parameters
        ----------
        texts : sequence of str, length N

        Returns
        -------
        list of Prediction, length N

        Raises
        ------
        TypeError, DataError
            As `probabilities` does.
        """
        probabilities = self.probabilities(texts)
        decided = self.decisions(probabilities)
        order = (-probabilities).argsort(axis=1, kind="stable")
        return [
            Prediction(
                labels=tuple(self.info.labels[k] for k in order[row] if decided[row, k]),
                scores=dict(zip(self.info.labels, probabilities[row].tolist(), strict=True)),
            )
            for row in range(len(texts))
        ]


def load_bundle(directory: str | Path, *, threads: int | None = None) -> Bundle:
    """Load a bundle.

    Parameters
    ----------
    directory : str or Path
    threads : int, optional
        CPU threads of the forward pass; all available by default.

    Returns
    -------
    Bundle

    Raises
    ------
    BundleError
        If it is none, of another schema, or a file is missing, altered, or outside the directory.
    EngineError
        If its engine is not installed.
    """
    from goemo_eval.cpu import available_threads
    from goemo_eval.engines.registry import load

    path = Path(directory)
    info = read_bundle(path)
    try:
        described = read_info(path)
        predictor = load(Artifact(path, described), threads=threads or available_threads())
    except EngineError as error:
        raise BundleError(str(error)) from None
    if described.labels != info.labels:
        raise BundleError(
            f"{path}: {FILE} and {DESCRIPTION} name different labels: export the cell again"
        )
    return Bundle(info, predictor)


def read_bundle(path: Path) -> BundleInfo:
    """Read a bundle's description and verify its files.

    Raises
    ------
    BundleError
        As `load_bundle` does.
    """
    if not path.is_dir():
        raise BundleError(f"{path}: no such bundle: pass a directory that goemo-eval export made")
    entry = read_json(path / FILE, error=BundleError, most_bytes=_LARGEST)
    version = entry.get("schema_version") if isinstance(entry, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path / FILE}: schema_version {version!r}: this goemo_eval reads {SCHEMA_VERSION}: upgrade it, "
            "or export the cell again"
        )
    try:
        info = BundleInfo.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"])) or "bundle"
        raise BundleError(f"{path / FILE}: {at}: {first['msg']}") from None
    try:
        verify_files(path, info.files, described_by=FILE)
    except EngineError as error:
        raise BundleError(str(error)) from None
    return info


def write_bundle(artifact: Path, info: BundleInfo, card: str, out: Path) -> Path:
    """Write a bundle in one step: a copy of an artifact, its description and its card.

    Parameters
    ----------
    artifact : Path
        Is verified first.
    info : BundleInfo
        Without `files`.
    card : str
    out : Path
        Must not exist.

    Raises
    ------
    BundleError
        If `out` exists or cannot be written.
    EngineError
        If the artifact is damaged.
    """
    if out.exists():
        raise BundleError(f"{out}: exists already: choose another directory")
    read_artifact(artifact)
    building = out.with_name(f".{out.name}.building")
    try:
        shutil.rmtree(building, ignore_errors=True)
        shutil.copytree(artifact, building)
        (building / CARD).write_text(card, encoding="utf-8")
        files = {p.name: sha256_of_file(p) for p in sorted(building.iterdir())}
        text = info.model_copy(update={"files": files}).model_dump_json(indent=1)
        (building / FILE).write_text(text + "\n", encoding="utf-8")
        building.rename(out)
    except OSError as error:
        raise BundleError(f"{out}: cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return out


def describe_cell(record: Any, artifact: Path) -> BundleInfo:
    """Return a bundle's description of a scored record.

    Parameters
    ----------
    record : goemo_eval.records.schema.Record
    artifact : Path
        The directory that the record was measured on.

    Raises
    ------
    BundleError
        If the record was not scored, or the artifact is another than the record's.
    """
    from goemo_eval.measure.statistics import score_interval
    from goemo_eval.records.verified import verified_decisions

    cell = record.cell
    if record.scores is None:
        raise BundleError(
            f"{cell.id} was not scored ({record.unscored_reason}): there is nothing to deploy"
        )
    found = read_info(artifact)
    sha256 = sha256_of_file(artifact / DESCRIPTION)
    if record.artifact is None or record.artifact.sha256 != sha256:
        raise BundleError(
            f"{cell.id}: the artifact is not the one that was measured: run the cell again"
        )
    interval = score_interval(*verified_decisions(record))
    environment, test = record.environment, record.data.splits["test"]
    return BundleInfo(
        cell=cell.id,
        engine=cell.engine,
        precision=cell.precision,
        scheme=cell.scheme,
        kind=record.kind,
        labels=record.labels,
        thresholds=record.thresholds.values if record.thresholds else None,
        max_length=found.tokens.max_length if found.tokens else None,
        batch_rule="sorted by length, in batches as the engine is fastest; the same call gives the same bits",
        kept_fp32=record.kept_fp32,
        smoothed=record.smoothed,
        artifact_sha256=sha256,
        measured=Measured(
            dataset=record.data.name,
            test_rows=test.rows,
            test_sha256=test.sha256,
            validation_macro_f1=record.scores.validation.macro_f1,
            test_macro_f1=record.scores.test.macro_f1,
            test_macro_f1_low=interval.low,
            test_macro_f1_high=interval.high,
            per_label_f1={s.label: s.f1 for s in record.scores.test.per_label},
            latency_p50_s={n: x.p50_s for n, x in record.latency.items() if x.load.stable},
            peak_rss_bytes=record.memory.peak_rss_bytes if record.memory else None,
            start_s=record.memory.start_s if record.memory else None,
            cpu=environment.cpu_model,
            isa_flags=environment.isa_flags,
            threads=environment.threads,
            versions=environment.versions,
        ),
    )

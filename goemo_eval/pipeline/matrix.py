"""The matrix of cells that a run measures, and the options that narrow it, parsed from text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, get_args

from goemo_eval.data.schemes import DOMINANCE_RULES, scheme_names
from goemo_eval.engines.base import PRECISIONS
from goemo_eval.engines.registry import ENGINES
from goemo_eval.errors import CheckpointError, EngineError, GoemoError, unknown_name
from goemo_eval.models.encoders import encoder_names, get_encoder
from goemo_eval.records.schema import Cell

TrainPolicy = Literal["missing", "never"]
RepairPolicy = Literal["when-needed", "never"]


@dataclass(frozen=True)
class Profile:
    """A named set of defaults.

    Attributes
    ----------
    data, recipe : str
    engines : tuple of str
        Measured where none are named.
    split_budget_s, batch_budget_s : float
        See `goemo_eval.pipeline.evaluate.Plan`.
    """

    data: str
    recipe: str
    engines: tuple[str, ...]
    split_budget_s: float
    batch_budget_s: float


PROFILES = {
    "sample": Profile("sample", "sample", ("torch",), split_budget_s=5.0, batch_budget_s=2.0),
    "goemotions": Profile("hub", "study", tuple(ENGINES), split_budget_s=30.0, batch_budget_s=5.0),
}


def get_profile(name: str) -> Profile:
    """Look up a profile.

    Raises
    ------
    GoemoError
        If it is unknown.
    """
    if name not in PROFILES:
        raise GoemoError(unknown_name("profile", name, PROFILES))
    return PROFILES[name]


def parse_list(text: str, kind: str, known: Sequence[str]) -> tuple[str, ...]:
    """Split ``"a,b"`` into names that are all known; an empty text means all of them.

    Raises
    ------
    EngineError
        Naming the first unknown one, and what is known.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in known:
            raise EngineError(unknown_name(kind, name, known))
    return names or tuple(known)


def parse_choice(text: str, kind: str, known: Sequence[str]) -> str:
    """Return `text` if it is known.

    Raises
    ------
    EngineError
        Otherwise.
    """
    if text not in known:
        raise EngineError(unknown_name(kind, text, known))
    return text


def parse_train(text: str) -> TrainPolicy:
    """Return a training policy: ``missing`` or ``never``."""
    return parse_choice(text, "--train policy", get_args(TrainPolicy))  # type: ignore[return-value]


def parse_repair(text: str) -> RepairPolicy:
    """Return a policy of repairing INT8: ``when-needed`` or ``never``."""
    return parse_choice(text, "--int8-repair policy", get_args(RepairPolicy))  # type: ignore[return-value]


def parse_dominance(text: str) -> str:
    """Return a dominance rule, or ``auto``."""
    return parse_choice(text, "dominance rule", ["auto", *DOMINANCE_RULES])


def parse_seeds(text: str) -> tuple[int, ...]:
    """Split ``"1,2,3"`` into seeds.

    Raises
    ------
    GoemoError
        If the text names none, or one is no integer of 0 or more.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isascii() and part.isdigit() for part in parts):
        raise GoemoError(f"--seeds {text!r}: expected integers of 0 or more, such as 1,2,3")
    return tuple(dict.fromkeys(int(part) for part in parts))


def parse_weights(texts: Sequence[str]) -> dict[str, Path]:
    """Parse ``ENCODER=DIR`` texts.

    Raises
    ------
    CheckpointError
        If a text has another form or the directory does not exist.
    """
    return dict(_pair(text, "--weights", "ENCODER=DIR") for text in texts)


def parse_checkpoints(texts: Sequence[str]) -> dict[tuple[str, str], Path]:
    """Parse ``ENCODER-SCHEME=DIR`` texts.

    Raises
    ------
    CheckpointError
        If a text has another form, the scheme is unknown, or the directory does not exist.
    """
    parsed = {}
    for text in texts:
        name, path = _pair(text, "--checkpoint", "ENCODER-SCHEME=DIR")
        encoder, _, scheme = name.partition("-")
        if not scheme:
            raise CheckpointError(f"--checkpoint {text!r}: expected ENCODER-SCHEME=DIR")
        if scheme not in scheme_names():
            raise CheckpointError(
                f"--checkpoint {text!r}: {unknown_name('scheme', scheme, scheme_names())}"
            )
        parsed[encoder, scheme] = path
    return parsed


def _pair(text: str, option: str, form: str) -> tuple[str, Path]:
    name, equals, directory = text.partition("=")
    if not (name and equals and directory):
        raise CheckpointError(f"{option} {text!r}: expected {form}")
    path = Path(directory).expanduser()
    if not path.is_dir():
        raise CheckpointError(f"{option} {text!r}: {path} is no directory")
    return name, path


def matrix(
    *,
    encoders: str,
    schemes: str,
    engines: str,
    precisions: str,
    seeds: Sequence[int],
    weights: Mapping[str, Path],
    checkpoints: Mapping[tuple[str, str], Path],
    default_engines: Sequence[str] = tuple(ENGINES),
) -> list[Cell]:
    """Return the cells of a run, seed by seed, FP32 before INT8.

    Parameters
    ----------
    encoders, schemes, engines, precisions : str
        Comma-separated names; empty for the default: every registered encoder, ``raw`` and
        ``simplified``, `default_engines`, both precisions.
    seeds : sequence of int
    weights, checkpoints : mapping
        What the user brings; it makes further encoder names known.
    default_engines : sequence of str, default every engine

    Raises
    ------
    GoemoError
        If a name is unknown, or several seeds are asked of a checkpoint that has one.
    """
    if len(seeds) > 1 and checkpoints:
        brought = ", ".join("-".join(pair) for pair in checkpoints)
        raise CheckpointError(
            f"--checkpoint {brought} was fine-tuned with one seed: pass one seed, or leave it out"
        )
    names = tuple(dict.fromkeys(part.strip() for part in encoders.split(",") if part.strip()))
    for name in names:
        if not any(name == encoder for encoder, _ in checkpoints):
            get_encoder(name, weights.get(name))
    chosen = parse_list(schemes or "raw,simplified", "scheme", scheme_names())
    return [
        Cell(encoder=encoder, scheme=scheme, engine=engine, precision=precision, seed=seed)
        for encoder, scheme, seed, engine, precision in product(
            names or encoder_names(),
            chosen,
            seeds,
            parse_list(engines or ",".join(default_engines), "engine", tuple(ENGINES)),
            sorted(parse_list(precisions, "precision", PRECISIONS)),
        )
    ]

"""What a run's options ask for: its plan, and the cells of the matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from goemo_eval.cpu import NO_BF16, available_threads, has_bf16_products
from goemo_eval.data.dataset import Dataset
from goemo_eval.data.groupings import scheme_names
from goemo_eval.data.sources import load_dataset
from goemo_eval.engines.registry import ENGINES, LINEAR, missing_engine, refusal
from goemo_eval.errors import CheckpointError, GoemoError, OptionError, unknown_name
from goemo_eval.frozen import DEFAULT_PRECISIONS, PRECISIONS
from goemo_eval.judge.budgets import Budgets
from goemo_eval.measure.shortlist import AUTO, Shortlist
from goemo_eval.measure.thresholds import CHOSEN, STRATEGIES
from goemo_eval.models.encoders import (
    check_encoder_name,
    default_encoders,
    encoder_names,
    read_encoders,
)
from goemo_eval.models.layers import base_of
from goemo_eval.models.linear import ENCODER as FLOOR
from goemo_eval.models.mixture import encoder_of, is_mixed
from goemo_eval.models.recipes import load_recipe
from goemo_eval.options import Options
from goemo_eval.pipeline.hub import with_hub_encoders
from goemo_eval.pipeline.plan import INT8_BUDGET, TIMINGS, Plan
from goemo_eval.progress import progress
from goemo_eval.records.schema import Cell

SAMPLE = "sample"
Shorten = Callable[[Plan, str, Sequence[str]], Shortlist]
"""What finds out which engines are worth measuring, of a plan, an encoder and the precisions asked for."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """A run's plan and cells, seed by seed, FP32 before BF16 before INT8."""

    plan: Plan
    cells: tuple[Cell, ...]
    reports: Path
    """Where the report goes."""
    shortlists: Mapping[str, Shortlist] = field(default_factory=dict)
    """By encoder, what was found where engines are chosen for it; empty where they were named."""
    refused: tuple[str, ...] = ()
    """Why cells that were asked for are left out: their engine has not that precision."""


def matrix(
    options: Options, *, budgets: Budgets | None = None, shorten: Shorten | None = None
) -> Matrix:
    """Resolve the options of a run; the data set is loaded here, nothing heavy else.

    Parameters
    ----------
    options : Options
    budgets : Budgets, optional
    shorten : callable, optional
        Chooses the engines under ``--engines auto``; without it, as where no engine is run, ``auto`` stands for
        those that a run has which names none.

    Raises
    ------
    GoemoError
        If a name is unknown, data or recipe are malformed, or options contradict one another.
    """
    options = with_hub_encoders(options)
    recipe = load_recipe(options.recipe or (SAMPLE if options.data == SAMPLE else "strong"))
    if options.thresholds not in (None, CHOSEN, *STRATEGIES):
        raise OptionError(
            "--thresholds: "
            + unknown_name("strategy", str(options.thresholds), [*STRATEGIES, CHOSEN])
        )
    dataset = dataset_of(options)
    brought = _brought(options, scheme_names(dataset.labels, groups=options.groups))
    teachers, floor_teaches = _teachers(
        options, scheme_names(dataset.labels, groups=options.groups)
    )
    limit = budgets.of(dataset.name).max_int8_drop if budgets else None
    plan = Plan(
        dataset=dataset,
        recipe=recipe,
        threads=options.threads or available_threads(),
        train=options.train,
        dominance=options.dominance,
        strategy=options.thresholds,
        groups=options.groups,
        checkpoints=brought,
        encoders=read_encoders(options.encoder_tables),
        weights=_directories("--weights", options.weights),
        teachers=teachers,
        floor_teaches=floor_teaches,
        max_length=options.max_length,
        timing=TIMINGS[options.timing or ("quick" if options.data == SAMPLE else "full")],
        int8_repair=options.int8_repair,
        int8_budget=INT8_BUDGET if limit is None else limit,
    )
    for name in options.groups:  # a wrong table is refused though no cell asks for it
        plan.scheme(name)
    asked = _cells(options, plan, {})
    cells, refused = _possible(asked), _refused(asked)
    if not cells:
        excluded = "--encoders, --schemes and --engines exclude one another"
        raise OptionError(f"the options leave no cell: {'; '.join(refused) or excluded}")
    _check_teachers(plan, cells)
    shortlists: dict[str, Shortlist] = {}
    if shorten is not None and options.engines == (AUTO,):
        precisions = _precisions(options)
        encoders = list(dict.fromkeys(cell.encoder for cell in cells if cell.engine != LINEAR))
        for encoder in progress(encoders, desc="probing engines", unit="encoder"):
            shortlists[encoder] = shorten(plan, encoder, precisions)
        cells = _possible(_cells(options, plan, shortlists))
    reports = options.reports or Path("reports") / dataset.name
    return Matrix(plan, cells, reports, shortlists, refused)


def dataset_of(options: Options) -> Dataset:
    """Load the data set that the options of a run name.

    Raises
    ------
    DataError
        If it is missing or malformed.
    """
    return load_dataset(
        options.data,
        text=options.text,
        labels=options.labels,
        separator=options.separator,
        ids=options.ids,
        rater=options.rater,
        names=options.names,
        name=options.name,
        fallback=options.fallback,
        seed=options.split_seed,
        drop_shared=options.drop_shared,
    )


def _cells(options: Options, plan: Plan, shortlists: Mapping[str, Shortlist]) -> list[Cell]:
    encoders = _encoders(options, plan)
    schemes = _schemes(options, plan)
    engines = _engines(options)
    precisions = _precisions(options)
    cells = []
    for encoder, scheme, seed in product(encoders, schemes, options.seeds):
        if _lacks_checkpoint(encoder, scheme, options, plan):
            continue
        own = [LINEAR] if _is_linear(encoder, plan) else [e for e in engines if e != LINEAR]
        chosen = shortlists[encoder].pairs if encoder in shortlists else None
        cells += [
            Cell(encoder=encoder, scheme=scheme, engine=engine, precision=precision, seed=seed)
            for engine, precision in product(own, precisions)
            if chosen is None or (engine, precision) in chosen
        ]
    return cells


def _possible(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return tuple(cell for cell in cells if refusal(cell.engine, cell.precision) is None)


def _refused(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return why some of the cells cannot be measured, each reason once."""
    reasons = dict.fromkeys(refusal(cell.engine, cell.precision) for cell in cells)
    return tuple(reason for reason in reasons if reason is not None)


def _precisions(options: Options) -> Sequence[str]:
    named = _known("precision", options.precisions, PRECISIONS) or DEFAULT_PRECISIONS
    if "bf16" in named and not has_bf16_products():
        raise OptionError(f"--precisions {','.join(named)}: {NO_BF16}")
    return [precision for precision in PRECISIONS if precision in named]


def _engines(options: Options) -> Sequence[str]:
    """Return the engines: those named, else the default ones; ``auto`` is narrowed by whoever probes."""
    if AUTO in options.engines and len(options.engines) > 1:
        raise OptionError(
            f"--engines {','.join(options.engines)}: {AUTO} chooses among all that are installed: pass it "
            "alone, or name engines"
        )
    if options.engines == (AUTO,):
        return _installed_engines()
    return _known("engine", options.engines, (*ENGINES, AUTO)) or _default_engines(options)


def _encoders(options: Options, plan: Plan) -> Sequence[str]:
    """Return the encoders: those named, else those brought, else the registry's default."""
    if len(options.seeds) > 1 and plan.checkpoints:
        pairs = ", ".join("-".join(pair) for pair in plan.checkpoints)
        raise CheckpointError(
            f"--checkpoint {pairs} was fine-tuned with one seed: pass one seed, or leave it out"
        )
    brought = dict.fromkeys([*(encoder for encoder, _ in plan.checkpoints), *plan.weights])
    names = options.encoders or tuple(brought) or default_encoders(plan.encoders)
    for name in names:
        check_encoder_name(name)
        known_by_checkpoint = {encoder for encoder, _ in plan.checkpoints}
        if known_by_checkpoint.isdisjoint({name, encoder_of(name)}):
            plan.encoder(name)
        if is_mixed(name) and _is_linear(name, plan):
            raise OptionError(f"encoder {name}: the floor has itself beside it: name {FLOOR} alone")
    used = {*names, *map(base_of, names), *map(encoder_of, names)}
    unused = [name for name in brought if name not in used]
    if unused:
        raise OptionError(
            f"--encoders leaves out {', '.join(unused)}, for which something was brought"
        )
    return names


def _schemes(options: Options, plan: Plan) -> Sequence[str]:
    """Return the schemes: those named, else what data and brought checkpoints allow."""
    if options.schemes:
        known = scheme_names(plan.dataset.labels, groups=plan.groups)
        return _known("scheme", options.schemes, known)
    if plan.checkpoints and not plan.weights:
        return tuple(dict.fromkeys(scheme for _, scheme in plan.checkpoints))
    dataset = plan.dataset
    if dataset.single_label:
        return ("simplified",)
    labelled = all(split.labels.any(axis=1).all() for split in dataset.splits.values())
    return ("raw", "simplified") if labelled else ("raw",)


def _default_engines(options: Options) -> Sequence[str]:
    """Return torch for the sample, which anyone can run, else every engine that is installed."""
    if options.data == SAMPLE:
        return ("torch",)
    return _installed_engines()


def _installed_engines() -> Sequence[str]:
    return [name for name in ENGINES if name == "torch" or missing_engine(name) is None]


def _lacks_checkpoint(encoder: str, scheme: str, options: Options, plan: Plan) -> bool:
    """Say whether an encoder that is known by its checkpoints alone has none under a scheme."""
    if (encoder, scheme) not in plan.checkpoints:
        encoder = encoder_of(encoder)
    if not any(encoder == brought for brought, _ in plan.checkpoints):
        return False
    if (encoder, scheme) in plan.checkpoints or plan.weights_of(encoder) is not None:
        return False
    if options.schemes and encoder not in (*encoder_names(), *plan.encoders):
        raise CheckpointError(
            f"--schemes names {scheme}, but no checkpoint of {encoder} was brought for it: add "
            f"--checkpoint {encoder}-{scheme}=DIR"
        )
    return True


def _brought(options: Options, known: Sequence[str]) -> dict[tuple[str, str], Path]:
    """Read ``ENCODER-SCHEME=DIR``."""
    found = {}
    for name, path in _directories("--checkpoint", options.checkpoint).items():
        encoder, _, scheme = name.partition("-")
        if not scheme:
            raise CheckpointError(f"--checkpoint {name}={path}: expected ENCODER-SCHEME=DIR")
        if scheme not in known:
            raise CheckpointError(
                f"--checkpoint {name}={path}: {unknown_name('scheme', scheme, known)}"
            )
        found[encoder, scheme] = path
    return found


def _teachers(options: Options, known: Sequence[str]) -> tuple[dict[str, tuple[Path, ...]], bool]:
    """Read ``SCHEME=DIR`` and ``tfidf``: the directories by scheme, and whether the floor teaches."""
    found: dict[str, tuple[Path, ...]] = {}
    for given in options.teacher:
        scheme, equals, path = given.partition("=")
        if given == FLOOR:
            continue
        if not (equals and path):
            raise OptionError(f"--teacher {given}: expected SCHEME=DIR or {FLOOR}")
        if scheme not in known:
            raise OptionError(f"--teacher {given}: {unknown_name('scheme', scheme, known)}")
        [directory] = _directories("--teacher", {scheme: Path(path)}).values()
        found[scheme] = (*found.get(scheme, ()), directory)
    return found, FLOOR in options.teacher


def _check_teachers(plan: Plan, cells: Sequence[Cell]) -> None:
    """Refuse teachers whom nobody learns from, and students without a teacher."""
    taught = set()
    for encoder, scheme in dict.fromkeys((cell.encoder, cell.scheme) for cell in cells):
        brought = {(encoder, scheme), (encoder_of(encoder), scheme)} & plan.checkpoints.keys()
        if brought or _is_linear(encoder, plan):
            continue
        if plan.recipe_of(encoder, scheme).teacher_weight == 0:
            continue
        if not (plan.floor_teaches or plan.teachers.get(scheme)):
            raise OptionError(
                f"recipe {plan.recipe.name} learns from teachers, and scheme {scheme} has none: pass "
                f"--teacher {scheme}=DIR or --teacher {FLOOR}"
            )
        taught.add(scheme)
    idle = [
        f"{scheme}={paths[0]}" for scheme, paths in plan.teachers.items() if scheme not in taught
    ]
    if plan.floor_teaches and not taught:
        idle.append(FLOOR)
    if idle:
        raise OptionError(
            f"--teacher {idle[0]}: no cell learns from it: pass --recipe distil, and a scheme and an "
            "encoder that are fine-tuned"
        )


def _directories(option: str, given: Mapping[str, Path]) -> dict[str, Path]:
    found = {}
    for name, path in given.items():
        expanded = path.expanduser().absolute()
        if not expanded.is_dir():
            raise CheckpointError(f"{option} {name}={path}: no such directory")
        found[name] = expanded
    return found


def _known(kind: str, names: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in known:
            raise OptionError(unknown_name(kind, name, known))
    return names


def _is_linear(encoder: str, plan: Plan) -> bool:
    try:
        return plan.encoder(encoder).model_type == LINEAR
    except GoemoError:
        return False

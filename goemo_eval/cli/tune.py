"""``goemo-eval tune``: search for a recipe on the validation split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate


def tune(
    space: Annotated[
        Path,
        typer.Argument(
            metavar="SPACE.toml",
            help="Recipe fields to search: epochs = [3, 6], or learning_rate = { low = 5e-5, high = "
            "5e-4, log = true }.",
        ),
    ],
    encoder: Annotated[str, typer.Option(help="Encoder to fine-tune.")],
    scheme: Annotated[str, typer.Option(help="raw, simplified, ekman or sentiment.")],
    data: Annotated[str, typer.Option(help="sample, hub, or a directory of TSV files.")] = "sample",
    recipe: Annotated[
        str, typer.Option(help="Gives the fields that are not searched: a name or a TOML file.")
    ] = "study",
    sampler: Annotated[str, typer.Option(help="grid, random or tpe.")] = "tpe",
    n_trials: Annotated[
        int, typer.Option(min=1, help="Finished trials in all; a grid has as many as points.")
    ] = 20,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Train on this many random rows: a proxy.")
    ] = None,
    prune: Annotated[
        bool, typer.Option(help="End trials whose epochs score below the median.")
    ] = True,
    study: Annotated[
        str | None,
        typer.Option(help="Name to go on with, or to share; made of the rest by default."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Database that workers share; SQLite in the store by default. Start the same "
            "command on each of them.",
        ),
    ] = None,
    heartbeat_s: Annotated[
        int, typer.Option(min=1, help="A worker silent for twice these seconds has lost its trial.")
    ] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the points and of fine-tuning.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where best.toml, trials.csv and importance.png go; into the store by default.",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="ENCODER=DIR", help="Pretrained weights to start from."),
    ] = None,
    dominance: Annotated[
        str, typer.Option(help="auto, votes, frequent, rare, first, only.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    store: Annotated[Path | None, typer.Option(metavar="DIR", help="The store.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trials as JSON.")] = False,
) -> None:
    """Search for a recipe by validation Macro-F1, and write the best one as a TOML file.

    The test split is not looked at. A search that was interrupted, or whose worker died, goes on
    when the same command is given again; several workers share one storage.
    """
    from goemo_eval.measure.environment import available_threads
    from goemo_eval.models.recipes import load_recipe
    from goemo_eval.pipeline.evaluate import Workbench
    from goemo_eval.pipeline.matrix import parse_choice, parse_dominance, parse_weights
    from goemo_eval.pipeline.plan import Plan
    from goemo_eval.pipeline.store import default_store
    from goemo_eval.tune.outcome import finished_trials, write_outcome
    from goemo_eval.tune.space import read_space
    from goemo_eval.tune.study import SAMPLERS, Search, open_study, run_study

    base = load_recipe(recipe).for_cell(encoder, scheme)
    search = Search(
        encoder=encoder,
        scheme=scheme,
        space=read_space(space, base),
        sampler=parse_choice(sampler, "sampler", SAMPLERS),  # type: ignore[arg-type]
        n_trials=n_trials,
        seed=seed,
        rows=rows,
        prune=prune,
    )
    if sampler == "grid":
        search.space.grid()  # before anything is opened or loaded
    plan = Plan(
        source=data,
        recipe=base,
        store=store or default_store(),
        threads=threads or available_threads(),
        dominance=parse_dominance(dominance),
        weights=parse_weights(weights or []),
    )
    name = study or f"{encoder}-{scheme}-{space.stem}"
    folder = plan.store / "tune"
    if storage is None:
        folder.mkdir(parents=True, exist_ok=True)
        storage = f"sqlite:///{(folder / 'studies.db').absolute()}"
    opened = open_study(storage, name, search, heartbeat_s=heartbeat_s)
    with Workbench(plan) as workbench:
        run_study(opened, search, workbench)
    out = out or folder / name
    write_outcome(opened, search.space, out)
    trials = finished_trials(opened)
    if as_json:
        print(json.dumps([vars(trial) for trial in trials], indent=2))
        return
    fields = search.space.fields
    table = [
        (
            t.number,
            t.state,
            "" if t.macro_f1 is None else f"{t.macro_f1:.4f}",
            t.epochs,
            f"{t.seconds:.0f}",
            *(t.values.get(field) for field in fields),
        )
        for t in trials
    ]
    headers = ("trial", "state", "val. Macro-F1", "epochs", "s", *fields)
    print(tabulate(table, headers, disable_numparse=True))
    print(f"\nbest recipe: {out / 'best.toml'}")

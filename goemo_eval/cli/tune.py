"""``goemo-eval tune``: search for a recipe on the validation split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from tabulate import tabulate

from goemo_eval.cli.option_view import takes_options
from goemo_eval.cli.run import JUDGED, MATRIX, FileOption, one_cell, read_run_options
from goemo_eval.errors import TuneError, unknown_name


@takes_options(
    leave_out=(*MATRIX, *JUDGED, "timing", "int8_repair", "thresholds", "max_length", "train")
)
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
    file: FileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trials as JSON.")] = False,
    **given: Any,
) -> None:
    """Search for a recipe by validation Macro-F1, and write the best one as a TOML file.

    The test split is not looked at. A search that was interrupted, or whose worker died, goes on
    when the same command is given again; several workers share one storage.
    """
    from goemo_eval.pipeline.cells import matrix
    from goemo_eval.pipeline.fitting import Run
    from goemo_eval.pipeline.store import Store, default_store
    from goemo_eval.tune.outcome import finished_trials, write_outcome
    from goemo_eval.tune.space import read_space
    from goemo_eval.tune.study import SAMPLERS, Search, open_study, run_study

    if sampler not in SAMPLERS:
        raise TuneError(unknown_name("sampler", sampler, SAMPLERS))
    options = read_run_options(file, {**given, **one_cell(encoder, scheme, seed)})
    found = matrix(options)
    plan, encoder = found.plan, found.cells[0].encoder
    search = Search(
        encoder=encoder,
        scheme=scheme,
        space=read_space(space, plan.recipe_of(encoder, scheme)),
        sampler=sampler,
        n_trials=n_trials,
        seed=seed,
        rows=rows,
        prune=prune,
    )
    if sampler == "grid":
        search.space.grid()  # before anything is opened
    work = Run(plan, Store(options.store or default_store()))
    name = study or f"{encoder}-{scheme}-{space.stem}"
    folder = work.store.directory("tune")
    if storage is None:
        storage = f"sqlite:///{(folder / 'studies.db').absolute()}"
    opened = open_study(storage, name, search, heartbeat_s=heartbeat_s)
    run_study(opened, search, work)
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

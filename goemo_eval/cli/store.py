"""The command line's ``goemo-eval store`` and ``goemo-eval store clean``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate

from goemo_eval.cli.run import read_run_options

store_app = typer.Typer(
    rich_markup_mode=None,
    invoke_without_command=True,
    help="Say what the store holds: the results of steps, which no run computes again.",
)

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store", metavar="DIR", help="The store; default: goemo.toml's, else the user's cache."
    ),
]


@store_app.callback()
def show(context: typer.Context, store: StoreOption = None) -> None:
    """Say what the store holds: the results of steps, which no run computes again.

    Any directory of a result may be deleted by hand: it is made again when it is asked for.
    """
    from goemo_eval.pipeline.upkeep import shelves

    context.obj = store
    if context.invoked_subcommand is not None:
        return
    root = _root(store)
    found = shelves(root)
    rows = [(s.kind, s.count, f"{s.size_bytes / 1e6:,.1f} MB", s.meaning) for s in found]
    total = (
        "in all",
        sum(s.count for s in found),
        f"{sum(s.size_bytes for s in found) / 1e6:,.1f} MB",
        "",
    )
    print(root)
    print(tabulate([*rows, total], tablefmt="plain", colalign=("left", "right", "right", "left")))


@store_app.command()
def clean(context: typer.Context, store: StoreOption = None) -> None:
    """Remove damaged results and the states of interrupted fine-tunings.

    An interrupted fine-tuning then begins anew. Results stay, and so does what a live run is writing.
    """
    from goemo_eval.pipeline.upkeep import clean as remove

    for shelf in remove(_root(store or context.obj)):
        print(f"removed {shelf.count} of {shelf.kind}, {shelf.size_bytes / 1e6:,.1f} MB")


def _root(given: Path | None) -> Path:
    from goemo_eval.pipeline.store import default_store

    return read_run_options(None, {"store": given}).store or default_store()

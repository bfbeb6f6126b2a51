"""The command line, ``goemo-eval``: its commands, and how they end.

Results go to stdout, progress to stderr. A user's mistake is one line on stderr and exit code 2.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer
from typer.exceptions import TyperException

from goemo_eval import __version__
from goemo_eval.errors import EXIT_BAD_INPUT, EXIT_PASS, CellError, GoemoError
from goemo_eval.records.values import escaped

_HOME = {
    "init": "init",
    "run": "run",
    "train": "run",
    "evaluate": "run",
    "report": "report",
    "recommend": "report",
    "gate": "gate",
    "baseline": "baseline",
    "power": "power",
    "tune": "tune",
    "export": "deploy",
    "predict": "deploy",
    "store": "store",
    "doctor": "doctor",
}
"""Command -> the module that has it, in the order of ``--help``."""


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def _app(words: Sequence[str]) -> typer.Typer:
    """Return the command line for some words: of the command asked for alone, where there is one.

    What the others import is not waited for, and need not be installed: a server has `predict` only.
    """
    app = typer.Typer(
        name="goemo-eval",
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Which text classifier to put on a CPU, what it costs in Macro-F1, and whether the next "
        "commit lost it.",
    )
    app.callback()(_common)
    asked = words[0] if words else ""
    for name in [asked] if asked in _HOME else _HOME:
        module = import_module(f"goemo_eval.cli.{_HOME[name]}")
        group = getattr(module, f"{name}_app", None)
        if group is not None:
            app.add_typer(group, name=name)
        else:
            app.command()(getattr(module, name))
    return app


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        words = sys.argv[1:] if arguments is None else arguments
        code = _app(words)(words, standalone_mode=False)
    except TyperException as error:
        return _fail(f"{error.format_message()} (see goemo-eval --help)")
    except (GoemoError, CellError, OSError) as error:
        return _fail(str(error))
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and not _is_own(error.name):
            return _fail(
                f"this needs the package {error.name}, which is not installed: pip install 'goemo-eval[bench]'"
            )
        # Python's own exit code would be 1, which says that Macro-F1 was lost.
        traceback.print_exc()
        return _fail("this is a fault of goemo-eval's own: please report it with the lines above")
    if code == _INTERRUPTED:
        return _fail(
            "interrupted: what is finished is kept, and the same command goes on from there"
        )
    return code if isinstance(code, int) else EXIT_PASS


def _is_own(module: str | None) -> bool:
    return module is None or module.partition(".")[0] == "goemo_eval"


_INTERRUPTED = 130  # what typer makes of Ctrl-C
_MOST = 2000


def _fail(message: str) -> int:
    """Print a mistake in one line; what came from a file cannot steer the terminal."""
    print(f"goemo-eval: {escaped(message)}"[:_MOST], file=sys.stderr)
    return EXIT_BAD_INPUT


def entry() -> None:
    """Run as the console script."""
    sys.exit(main())

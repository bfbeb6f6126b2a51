"""The command line, ``goemo-eval``: its commands, and how they end.

Results go to stdout, progress to stderr. A user's mistake is one line on stderr and exit code 2.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate
from typer.exceptions import TyperException

from goemo_eval import __version__
from goemo_eval.cli import baseline as keeping
from goemo_eval.cli import deploy as deploying
from goemo_eval.cli import gate as gating
from goemo_eval.cli import init as starting
from goemo_eval.cli import power as forecasting
from goemo_eval.cli import report as reporting
from goemo_eval.cli import run as running
from goemo_eval.cli import store as storing
from goemo_eval.cli import tune as tuning
from goemo_eval.errors import EXIT_BAD_INPUT, EXIT_PASS, CellError, GoemoError
from goemo_eval.records.values import escaped

app = typer.Typer(
    name="goemo-eval",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Which text classifier to put on a CPU, what it costs in Macro-F1, and whether the next "
    "commit lost it.",
)


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


app.command()(starting.init)
app.command()(running.run)
app.command()(running.train)
app.command()(running.evaluate)
app.command()(reporting.report)
app.command()(reporting.recommend)
app.command()(gating.gate)
app.add_typer(keeping.baseline_app, name="baseline")
app.command()(forecasting.power)
app.command()(tuning.tune)
app.command()(deploying.export)
app.command()(deploying.predict)
app.add_typer(storing.store_app, name="store")


@app.command()
def doctor(
    data: Annotated[
        str | None, typer.Option(help="Check this data source, as --data of a run.")
    ] = None,
    file: running.FileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say what this machine can run, what is within reach, and what to do about the rest.

    Lists versions, the CPU with the instruction sets that matter for INT8, threads, the engines
    and their quantized kernels, which encoders' weights and which data are at hand, the run file, and
    what the store holds. What is missing comes with the command or option that mends it.
    """
    from goemo_eval.doctor import examine
    from goemo_eval.options import find_run_file

    options = running.read_run_options(file, {"data": data})
    findings = examine(options, run_file=file or find_run_file(Path()))
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=2))
        return
    print(
        tabulate([(f.topic, escaped(f.name), escaped(f.state)) for f in findings], tablefmt="plain")
    )
    mends = [f"{f.name}: {f.mend}" for f in findings if f.mend]
    if mends:
        print("\nTo do:\n" + "\n".join(f"- {escaped(mend)}" for mend in mends))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = app(arguments, standalone_mode=False)
    except TyperException as error:
        return _fail(f"{error.format_message()} (see goemo-eval --help)")
    except (GoemoError, CellError, OSError) as error:
        return _fail(str(error))
    except Exception:
        # Python's own exit code would be 1, which says that Macro-F1 was lost.
        traceback.print_exc()
        return _fail("this is a fault of goemo-eval's own: please report it with the lines above")
    if code == _INTERRUPTED:
        return _fail(
            "interrupted: what is finished is kept, and the same command goes on from there"
        )
    return code if isinstance(code, int) else EXIT_PASS


_INTERRUPTED = 130  # what typer makes of Ctrl-C
_MOST = 2000


def _fail(message: str) -> int:
    """Print a mistake in one line; what came from a file cannot steer the terminal."""
    print(f"goemo-eval: {escaped(message)}"[:_MOST], file=sys.stderr)
    return EXIT_BAD_INPUT


def entry() -> None:
    """Run as the console script."""
    sys.exit(main())

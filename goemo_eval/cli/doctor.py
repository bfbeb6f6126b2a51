"""The command ``goemo-eval doctor``: what this machine can run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tabulate import tabulate

from goemo_eval.cli.run import FileOption, read_run_options
from goemo_eval.errors import EXIT_BAD_INPUT
from goemo_eval.records.values import escaped

if TYPE_CHECKING:
    from goemo_eval.doctor import Finding


def doctor(
    data: Annotated[
        str | None, typer.Option(help="Check this data source, as --data of a run.")
    ] = None,
    file: FileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say what this machine can run, what is within reach, and what to do about the rest.

    Lists versions, the CPU with the instruction sets that matter for INT8, threads, the engines
    and their quantized kernels, which encoders' weights and which data are at hand, the run file, and
    what the store holds. What is missing comes with the command or option that mends it. Exit 2 if data,
    weights or a store that were named cannot be used.
    """
    from goemo_eval.doctor import UNUSABLE, examine
    from goemo_eval.run_file import find_run_file

    options = read_run_options(file, {"data": data})
    findings = examine(options, run_file=file or find_run_file(Path()))
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    if any(finding.state in UNUSABLE for finding in findings):
        raise typer.Exit(EXIT_BAD_INPUT)


def _print(findings: list[Finding]) -> None:
    rows = [(f.topic, escaped(f.name), escaped(f.state)) for f in findings]
    print(tabulate(rows, tablefmt="plain"))
    mends = [f"{f.name}: {f.mend}" for f in findings if f.mend]
    if mends:
        print("\nTo do:\n" + "\n".join(f"- {escaped(mend)}" for mend in mends))

"""The command line's ``goemo-eval baseline set | show | diff | history``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goemo_eval.errors import RecordError

RecordsArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Records or a baseline.")]

baseline_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Keep what the gate compares with as a small file in git: set, show, diff, history.",
)


@baseline_app.command("set")
def set_baseline(
    records: Annotated[
        Path, typer.Argument(metavar="BENCH.json|records.json", help="What pytest bench wrote.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The baseline, to be committed.")],
    keep_anchor: Annotated[
        bool,
        typer.Option(
            "--keep-anchor",
            help="Keep the state that drift is measured from: the file's anchor or, if it has none, "
            "its records.",
        ),
    ] = False,
    judged: Annotated[
        int | None,
        typer.Option(
            metavar="RUNS",
            help="Runs of the gate since the file was written that nobody counted: 1 by default; 0 where "
            "every run is given --count.",
        ),
    ] = None,
    keep_latency: Annotated[
        bool,
        typer.Option(
            "--keep-latency", help="Keep the times, for gates on the same kind of machine."
        ),
    ] = False,
) -> None:
    """Make a baseline of a run's scored cells, and say what changed against the file's old content.

    It holds the scores, the thresholds, the truth and predictions of the test split, and where
    they came from; no times, unless asked. Every score is first checked against the
    predictions. Keys are sorted and each label has its line, so that a reviewer can read the diff.

    With --keep-anchor the gate goes on comparing with an older state as well, so that losses that each keep
    the budget cannot add up unseen. Without it, the new state is where drift is measured from.

    The file also counts the runs of the gate that its test split has judged. It lies in git, so it counts what is
    committed: 1 for each new state, or what --judged says (see the history of your CI jobs), and what
    `goemo-eval gate --count` adds where its change is committed, on one branch. Another test split starts at 0.
    """
    from goemo_eval.files import write_atomic
    from goemo_eval.judge.baseline import compare, dump_baseline, read_baseline, update_baseline
    from goemo_eval.records.files import read_records

    if judged is not None and judged < 0:
        raise RecordError(f"judged must be at least 0: got {judged}")
    old = read_baseline(out) if out.exists() else None
    new = update_baseline(
        old,
        read_records(records),
        keep_anchor=keep_anchor,
        keep_latency=keep_latency,
        judged=judged,
    )
    write_atomic(out, dump_baseline(new).encode())
    kept = f", {len(new.anchor)} of them with an anchor" if keep_anchor else ""
    changes = compare(old.records, new.records) if old else []
    print("\n".join([*changes, f"{out}: {len(new.records)} cells{kept}"]))


@baseline_app.command()
def show(baseline: RecordsArgument) -> None:
    """List a baseline's cells: scores, texts, test split, weights, commit; anchor, and runs judged."""
    from tabulate import tabulate

    from goemo_eval.judge.baseline import describe, read_baseline

    found = read_baseline(baseline)
    head = ("cell", "Macro-F1", "micro-F1", "texts", "test split", "weights", "commit")
    print(tabulate(describe(found.records), head, disable_numparse=True))
    if found.anchor:
        print("\nanchor\n" + tabulate(describe(found.anchor), head, disable_numparse=True))
    for split, runs in sorted((found.judged or {}).items()):
        print(f"\ntest split {split[:12]} has judged {runs} runs, as far as they were counted")


@baseline_app.command()
def diff(old: RecordsArgument, new: RecordsArgument) -> None:
    """Say what changed between two baselines: cells, Macro-F1, decisions, and each label's counts."""
    from goemo_eval.judge.baseline import compare, read_baseline

    lines = compare(read_baseline(old).records, read_baseline(new).records)
    print("\n".join(lines) if lines else "no score or decision differs")


@baseline_app.command()
def history(
    baseline: Annotated[
        Path, typer.Argument(metavar="FILE", help="A baseline that is kept in git.")
    ],
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg|FILE.png", help="Also draw it, a panel for each cell."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the history as JSON.")] = False,
) -> None:
    """Show every version of a baseline in git: each cell's score by commit, with its interval.

    The change from one version to the next has an interval of its own, on the same texts: judge a change by
    that, not by whether two scores' intervals overlap.
    """
    import json

    from goemo_eval.files import write_atomic
    from goemo_eval.judge.history import as_text, versions
    from goemo_eval.judge.history import history as read_history

    if figure is not None and figure.suffix not in (".svg", ".png"):
        raise RecordError(f"{figure}: a figure is a .svg or a .png")
    found = versions(baseline)
    points = read_history(found)
    if not points:
        raise RecordError(f"{baseline}: no version of it can be read: {found[-1].problem}")
    if as_json:
        print(json.dumps([point.model_dump(mode="json") for point in points], indent=1))
    else:
        print(as_text(points, found), end="")
    if figure is not None:
        from goemo_eval.report.figures.history import history_figure

        png, svg = history_figure(points)
        write_atomic(figure, svg if figure.suffix == ".svg" else png)

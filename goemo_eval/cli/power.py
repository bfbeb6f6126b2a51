"""The command line's ``goemo-eval power``: what a test split can detect, before anyone trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def power(
    baseline: Annotated[
        Path, typer.Argument(metavar="BASELINE", help="A baseline, or records of a run.")
    ],
    max_drop: Annotated[
        float, typer.Option(help="The gate's budget: how much Macro-F1 may be lost.")
    ] = 0.01,
    drop: Annotated[
        float | None,
        typer.Option(help="Count the texts for this drop; by default 0.01 beyond --max-drop."),
    ] = None,
    changed: Annotated[
        float | None,
        typer.Option(
            help="Share of the positive decisions that the change turns, such as 0.1, in place of a "
            "conversion and a training anew."
        ),
    ] = None,
    often: Annotated[
        float, typer.Option("--power", help="How often a drop must be called to count as seen.")
    ] = 0.8,
    alpha: Annotated[
        float, typer.Option(help="The gate's alpha: false alarms of a run, or of all runs.")
    ] = 0.05,
    alpha_per_cell: Annotated[
        bool, typer.Option("--alpha-per-cell", help="Alpha is each cell's, as in the gate.")
    ] = False,
    horizon: Annotated[
        int | None, typer.Option(metavar="RUNS", help="Runs of the gate that share alpha.")
    ] = None,
    per_label: Annotated[
        bool, typer.Option("--per-label", help="Also print what is seen of every label.")
    ] = False,
    max_label_drop: Annotated[
        float, typer.Option(help="The gate's budget of a label: how much F1 it may lose.")
    ] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print the forecast as JSON.")] = False,
) -> None:
    """Say which drops this test split can detect, and how many texts a smaller one would take.

    Nothing is trained: the baseline's own decisions tell how much a difference varies. A change that turns many
    decisions, as training anew does, hides a larger drop than a conversion to another precision.
    """
    from goemo_eval.judge.baseline import read_baseline
    from goemo_eval.judge.power import forecast
    from goemo_eval.judge.power_output import as_text

    found = forecast(
        read_baseline(baseline).records,
        max_drop=max_drop,
        max_label_drop=max_label_drop,
        alpha=alpha,
        alpha_per_cell=alpha_per_cell,
        horizon=horizon,
        power=often,
        changed=changed,
        drop=drop,
    )
    print(
        found.model_dump_json(indent=2) if as_json else as_text(found, per_label=per_label), end=""
    )
    if as_json:
        print()

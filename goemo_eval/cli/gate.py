"""The command line's judging half: ``goemo-eval gate`` and ``goemo-eval baseline set | show | diff``."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from goemo_eval.errors import (
    EXIT_BAD_INPUT,
    EXIT_INCONCLUSIVE,
    EXIT_PASS,
    EXIT_REGRESSION,
    RecordError,
)

RecordsArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Records or a baseline.")]


class Mode(StrEnum):
    """Who must prove what."""

    superiority = "superiority"
    noninferiority = "noninferiority"


def gate(
    baseline: Annotated[
        Path, typer.Option(metavar="FILE", help="Records of the state to compare with.")
    ],
    candidate: Annotated[Path, typer.Option(metavar="FILE", help="Records of the state to judge.")],
    max_drop: Annotated[
        float, typer.Option(help="The budget: how much test Macro-F1 a cell may lose.")
    ] = 0.01,
    alpha: Annotated[
        float,
        typer.Option(
            help="How often, per cell, a loss may be called where the budget was just kept."
        ),
    ] = 0.05,
    mode: Annotated[
        Mode,
        typer.Option(
            help="superiority: fail on proof of harm. noninferiority: pass on proof of no harm."
        ),
    ] = Mode.superiority,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 3 when the verdict is inconclusive.")
    ] = False,
    per_label: Annotated[
        bool, typer.Option("--per-label", help="Also judge every label's F1, corrected (Holm).")
    ] = False,
    max_label_drop: Annotated[
        float, typer.Option(help="With --per-label: how much F1 a label may lose.")
    ] = 0.05,
    max_slowdown: Annotated[
        float | None,
        typer.Option(help="Also judge the median seconds per batch, candidate over baseline."),
    ] = None,
    min_speedup: Annotated[
        float | None,
        typer.Option(help="Also judge the speed of INT8 over FP32, timed in turns."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append markdown to a job summary page.")
    ] = None,
    annotations: Annotated[
        bool, typer.Option("--annotations", help="Also print workflow annotations (::error).")
    ] = False,
    scores_json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write Macro-F1 as customBiggerIsBetter."),
    ] = None,
    latency_json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write median latencies as customSmallerIsBetter."),
    ] = None,
) -> None:
    """Say of each cell whether it lost more test Macro-F1 than --max-drop allows.

    Both sides are scored on the same texts, and the texts are resampled: "at least" and "at most" are
    what the true drop may be, sure to 1 - alpha each. Another test split would move the measured
    drop within them.

    pass (exit 0): no loss beyond the budget was measured. regression (1): even the least drop
    exceeds the budget. inconclusive (0; 3 with --strict): the measured drop exceeds it, but on so
    few texts that may be chance. not-comparable (2): other data, scheme or labels, or a cell is missing.
    With --mode noninferiority, pass asks for more: even the largest drop must keep the budget.

    "detectable" is the smallest true drop that would be called a regression in 80 of 100 cases: losses
    below it mostly go unseen on this test split.
    """
    from goemo_eval.judge import gate_output
    from goemo_eval.judge.gate import gate as judge
    from goemo_eval.pipeline.store import write_atomic
    from goemo_eval.records.files import read_records

    before, judged = read_records(baseline), read_records(candidate)
    verdict = judge(
        before,
        judged,
        max_drop=max_drop,
        alpha=alpha,
        mode=mode.value,
        max_label_drop=max_label_drop if per_label else None,
        max_slowdown=max_slowdown,
        min_speedup=min_speedup,
    )
    if as_json:
        print(verdict.model_dump_json(indent=2))
    else:
        print(gate_output.as_text(verdict), end="")
    if annotations:
        # JSON alone on stdout: a job reads commands from either stream.
        print(gate_output.as_annotations(verdict), end="", file=sys.stderr if as_json else None)
    if summary:
        with summary.open("a", encoding="utf-8") as page:
            page.write(gate_output.as_markdown(verdict))
    if scores_json:
        write_atomic(scores_json, gate_output.as_scores(verdict).encode())
    if latency_json:
        write_atomic(latency_json, gate_output.as_latencies(judged).encode())
    if verdict.status == "not-comparable":
        (first, *_) = (cell for cell in verdict.cells if cell.status == "not-comparable")
        raise RecordError(f"cell {first.cell} is not comparable: {first.reason}")
    raise typer.Exit(
        {
            "pass": EXIT_PASS,
            "regression": EXIT_REGRESSION,
            "inconclusive": EXIT_INCONCLUSIVE if strict else EXIT_PASS,
        }.get(verdict.status, EXIT_BAD_INPUT)
    )


baseline_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Keep what the gate compares with as a small file in git: set, show, diff.",
)


@baseline_app.command("set")
def set_baseline(
    records: Annotated[
        Path, typer.Argument(metavar="BENCH.json|records.json", help="What pytest bench wrote.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The baseline, to be committed.")],
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
    """
    from goemo_eval.judge.baseline import compare, dump_baseline, make_baseline
    from goemo_eval.pipeline.store import write_atomic
    from goemo_eval.records.files import read_records

    kept = make_baseline(read_records(records), keep_latency=keep_latency)
    changes = compare(read_records(out), kept) if out.exists() else []
    write_atomic(out, dump_baseline(kept).encode())
    print("\n".join([*changes, f"{out}: {len(kept)} cells"]))


@baseline_app.command()
def show(baseline: RecordsArgument) -> None:
    """List a baseline's cells: scores, texts, test split, weights, commit."""
    from tabulate import tabulate

    from goemo_eval.judge.baseline import describe
    from goemo_eval.records.files import read_records

    head = ("cell", "Macro-F1", "micro-F1", "texts", "test split", "weights", "commit")
    print(tabulate(describe(read_records(baseline)), head, disable_numparse=True))


@baseline_app.command()
def diff(old: RecordsArgument, new: RecordsArgument) -> None:
    """Say what changed between two baselines: cells, Macro-F1, decisions, and each label's counts."""
    from goemo_eval.judge.baseline import compare
    from goemo_eval.records.files import read_records

    lines = compare(read_records(old), read_records(new))
    print("\n".join(lines) if lines else "no score or decision differs")

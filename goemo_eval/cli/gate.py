"""The command line's ``goemo-eval gate``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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


class Mode(StrEnum):
    """Who must prove what."""

    superiority = "superiority"
    noninferiority = "noninferiority"


def gate(
    baseline: Annotated[
        Path, typer.Option(metavar="FILE", help="Records of the state to compare with.")
    ],
    candidate: Annotated[Path, typer.Option(metavar="FILE", help="Records of the state to judge.")],
    pair: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CELL=CELL",
            help="Judge this cell of the baseline alone, against another of the candidate: a new encoder against "
            "the old (repeatable).",
        ),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(help="The budget: how much test Macro-F1 a cell may lose.")
    ] = 0.01,
    alpha: Annotated[
        float,
        typer.Option(
            help="How often a run may call any loss where every budget was just kept; the cells share it."
        ),
    ] = 0.05,
    alpha_per_cell: Annotated[
        bool,
        typer.Option(
            "--alpha-per-cell",
            help="Let every cell have all of alpha: sees smaller losses, cries wolf more often.",
        ),
    ] = False,
    horizon: Annotated[
        int | None,
        typer.Option(
            metavar="RUNS",
            help="Plan alpha for so many runs of the gate: each takes an equal share.",
        ),
    ] = None,
    max_drift: Annotated[
        float | None,
        typer.Option(help="The budget against the baseline's anchor; --max-drop by default."),
    ] = None,
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
    count: Annotated[
        bool,
        typer.Option(
            "--count", help="Add this run to the baseline's count, in its file: commit it then."
        ),
    ] = False,
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
    what the true drop may be, sure to 1 - alpha. Another test split would move the measured
    drop within them.

    pass (exit 0): no loss beyond the budget was measured. regression (1): even the least drop
    exceeds the budget. inconclusive (0; 3 with --strict): the measured drop exceeds it, but on so
    few texts that may be chance. not-comparable (2): other data, scheme or labels, or a cell is missing.
    With --mode noninferiority, pass asks for more: even the largest drop must keep the budget.

    "detectable" is the smallest true drop that would be called a regression in 80 of 100 cases: losses
    below it mostly go unseen on this test split; `goemo-eval power` says so before anyone trains.

    Which setting for which habit: at every commit, --horizon with the commits that you reckon with before the test
    split is replaced, so that a red build means something in the thousandth run as well. Nightly, the defaults, with an anchor
    (`goemo-eval baseline set --keep-anchor`): one false alarm in 20 nights at most, on average, and small losses
    cannot add up. Before a release, --mode noninferiority --strict: who releases must prove that
    nothing was lost, and pass only then.
    """
    from goemo_eval.files import write_atomic
    from goemo_eval.judge import gate_output
    from goemo_eval.judge.baseline import count_run, dump_baseline, read_baseline
    from goemo_eval.judge.gate import gate as judge
    from goemo_eval.records.files import read_records

    if not 0 <= max_label_drop <= 1:  # also where no label is judged: a slip is no choice
        raise RecordError(f"max_label_drop must lie in [0, 1]: got {max_label_drop}")
    before, judged = read_baseline(baseline), read_records(candidate)
    verdict = judge(
        before.records,
        judged,
        pairs=_pairs(pair or []),
        max_drop=max_drop,
        alpha=alpha,
        alpha_per_cell=alpha_per_cell,
        horizon=horizon,
        mode=mode.value,
        anchor=before.anchor,
        max_drift=max_drift,
        max_label_drop=max_label_drop if per_label else None,
        max_slowdown=max_slowdown,
        min_speedup=min_speedup,
        judged=before.runs,
    )
    if count:
        write_atomic(baseline, dump_baseline(count_run(before, verdict)).encode())
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
        judged_cells = (*verdict.cells, *verdict.anchor)
        (first, *_) = (cell for cell in judged_cells if cell.status == "not-comparable")
        raise RecordError(f"cell {first.name} is not comparable: {first.reason}")
    raise typer.Exit(
        {
            "pass": EXIT_PASS,
            "regression": EXIT_REGRESSION,
            "inconclusive": EXIT_INCONCLUSIVE if strict else EXIT_PASS,
        }.get(verdict.status, EXIT_BAD_INPUT)
    )


def _pairs(given: Sequence[str]) -> dict[str, str]:
    """Read ``CELL=CELL`` texts."""
    from goemo_eval.records.values import shown

    found: dict[str, str] = {}
    for text in given:
        old, equals, new = text.partition("=")
        if not (old and equals and new) or old in found:
            raise RecordError(
                f"--pair {shown(text)}: expected BASELINE_CELL=CANDIDATE_CELL, each cell of the baseline once"
            )
        found[old] = new
    return found

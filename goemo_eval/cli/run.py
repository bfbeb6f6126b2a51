"""The commands that measure: ``goemo-eval run``, ``train`` and ``evaluate``."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tabulate import tabulate

from goemo_eval.cli.option_view import takes_options
from goemo_eval.errors import (
    EXIT_BAD_INPUT,
    EXIT_REGRESSION,
    CellError,
    CheckpointError,
    OptionError,
)

if TYPE_CHECKING:
    from goemo_eval.options import Options
    from goemo_eval.pipeline.cells import Matrix
    from goemo_eval.records.schema import Cell, Record
    from goemo_eval.session import Session

MATRIX = ("encoders", "schemes", "engines", "precisions", "seeds", "checkpoint")
JUDGED = ("budgets", "baseline", "max_drop", "alpha", "reports", "executor", "gpus_per_cell")

FileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Run file; default: goemo.toml here.")
]
EncoderOption = Annotated[
    str, typer.Option(help="A registered encoder, hub:OWNER/NAME@COMMIT, or a name of your own.")
]
SchemeOption = Annotated[
    str, typer.Option(help="raw (multi-label), simplified (one label), ekman, sentiment, or yours.")
]
SeedOption = Annotated[
    int, typer.Option(min=0, max=2**31 - 1, help="Of the head, dropout and the order of batches.")
]


@takes_options()
def run(
    file: FileOption = None,
    keep_times: Annotated[
        Path | None,
        typer.Option(
            metavar="records.json",
            help="Of an earlier run, say one that was interrupted or not undisturbed: its stable times of artifacts "
            "that have not changed are kept, the other cells are timed.",
        ),
    ] = None,
    **given: Any,
) -> None:
    """Measure every cell and write the report: what `pytest bench` does, without pytest.

    What the store holds is not computed again. Exit 0 if every budget is kept and no cell lost more than
    the gate allows, 1 if not, 2 on bad input and where a cell's process failed. The report of what was
    measured is written either way.
    """
    from goemo_eval.records.files import join_records
    from goemo_eval.session import open_session

    options = read_run_options(file, given)
    if keep_times and options.timing == "off":
        raise OptionError("--keep-times with --timing off: nothing is timed: leave one of them out")
    earlier, said = join_records([keep_times]) if keep_times else ([], None)
    session = open_session(
        options,
        budgets_beside=Path("bench/budgets.toml"),
        earlier={record.cell.id: record for record in earlier},
    )
    for note in session.notes:
        _say(note)
    try:
        kept = _measure_all(session)
    finally:
        before = said.command.splitlines() if said and said.command else []
        command = shlex.join(["goemo-eval", *sys.argv[1:]])
        report = session.write_report("\n".join(dict.fromkeys([*before, command])))
        session.close()
        if report is not None:
            for remark in session.remarks:
                _say(remark)
            print(report)
    if session.failed or not kept:
        raise typer.Exit(EXIT_BAD_INPUT if session.failed else EXIT_REGRESSION)


def _measure_all(session: Session) -> bool:
    """Measure, time and judge the cells; say whether they keep their budgets and what they had."""
    from goemo_eval.engines.registry import missing_engine
    from goemo_eval.progress import progress

    kept = True
    with progress(session.cells, desc="cells", unit="cell", leave=True) as cells:
        for cell in cells:
            cells.set_postfix_str(cell.id)
            if (reason := missing_engine(cell.engine)) is not None:
                _say(f"{cell.id}: left out: {reason}")
                continue
            try:
                _measure_one(session, cell)
            except CellError as error:
                _say(f"{cell.id}: failed: {error}")
                continue
            for problem in _problems(session, cell):
                _say(f"{cell.id}: {problem}")
                kept = False
    return kept


def _measure_one(session: Session, cell: Cell) -> None:
    from goemo_eval.measure.scenarios import SCENARIOS
    from goemo_eval.pipeline.timing import time_scenario

    if session.keep_times(cell):
        return
    session.time_whole(cell)
    for scenario in SCENARIOS:
        latency = time_scenario(session.run, cell, scenario)
        if latency is not None:
            session.add_latency(cell, scenario, latency)


def _problems(session: Session, cell: Cell) -> list[str]:
    """Say which budgets a cell exceeds, and whether it lost too much against the baseline."""
    found = [
        f"{check.name} {check.value:.4g} is beyond {check.limit:.4g}"
        for check in session.over_budget(cell, lambda _: True)
    ]
    verdict = session.gate(cell)
    if verdict is not None and verdict.status == "inconclusive":
        _say(f"{cell.id}: inconclusive: {verdict.reason}")
    elif verdict is not None and verdict.status != "pass":
        found.append(f"{verdict.status}: {verdict.reason}")
    return found


@takes_options(
    leave_out=(*MATRIX, *JUDGED, "timing", "int8_repair", "thresholds", "max_length", "train")
)
def train(
    encoder: EncoderOption,
    scheme: SchemeOption,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Copy the checkpoint here; by default it stays in the store."
        ),
    ] = None,
    file: FileOption = None,
    **given: Any,
) -> None:
    """Fine-tune an encoder under a scheme, and print the checkpoint's directory.

    An interrupted run goes on where it stopped when the same command is given again; a finished
    one is not repeated. On several GPUs, run it as torchrun --nproc-per-node N -m goemo_eval train.
    """
    import shutil

    from goemo_eval.pipeline.cells import matrix
    from goemo_eval.pipeline.fitting import Run, fit
    from goemo_eval.pipeline.store import Store, default_store

    if out is not None and out.exists():
        raise CheckpointError(f"--out {out}: exists already: choose another directory")
    options = read_run_options(file, {**given, **one_cell(encoder, scheme, seed)})
    found = matrix(options)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        _train_together(found, out, options.store)
        return
    store = Store(options.store or default_store())
    try:
        fitted = fit(Run(found.plan, store), found.cells[0])
    finally:
        store.close()
    if fitted.unscored_reason:
        raise CheckpointError(
            f"cannot fine-tune {encoder}: {fitted.unscored_reason}; pass --weights {encoder}=DIR"
        )
    _say_all(*found.plan.dataset.notes.lines(), *fitted.checkpoint.notes)
    path = fitted.checkpoint.path
    print(shutil.copytree(path, out) if out is not None else path)


def _train_together(found: Matrix, out: Path | None, kept: Path | None) -> None:
    """Fine-tune one cell on all processes that torchrun started; they cannot wait for one another's store."""
    import shutil

    from goemo_eval.models.weights import find_weights
    from goemo_eval.pipeline.store import Store, default_store
    from goemo_eval.pipeline.teaching import learned, lessons_of
    from goemo_eval.pipeline.work import fit_checkpoint

    if out is None:
        raise CheckpointError("under torchrun, say where the checkpoint goes: --out DIR")
    partial = out.with_name(f"{out.name}.partial")
    plan, cell = found.plan, found.cells[0]
    directory = plan.weights_of(cell.encoder)
    encoder = plan.encoder(cell.encoder)
    store = Store(kept or default_store())
    # What teachers say needs no other process: the first computes it, the others wait for it here.
    teacher = learned(store, lessons_of(plan, cell.scheme))
    store.close()
    fit_checkpoint(
        encoder,
        plan.scheme(cell.scheme),
        plan.dataset.splits,
        recipe=plan.recipe_of(cell.encoder, cell.scheme),
        weights=find_weights(encoder, directory),
        seed=cell.seed,
        threads=plan.threads,
        out=out,
        partial=partial,
        teacher=teacher,
    )
    if os.environ.get("RANK", "0") == "0":
        shutil.rmtree(partial, ignore_errors=True)
        print(out)


@takes_options(leave_out=(*MATRIX, *JUDGED))
def evaluate(
    encoder: EncoderOption,
    scheme: SchemeOption,
    engine: Annotated[
        str, typer.Option(help="What runs the forward pass: torch, onnxruntime, openvino, linear.")
    ] = "",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or int8.")] = "fp32",
    seed: SeedOption = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Measure this fine-tuned checkpoint."),
    ] = None,
    file: FileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole record.")] = False,
    **given: Any,
) -> None:
    """Measure one cell: Macro-F1, latency, memory and size.

    Fine-tunes first what the store lacks. --json prints the whole record, as `goemo-eval report`
    reads it.
    """
    from goemo_eval.pipeline.assemble import add_times, measure
    from goemo_eval.pipeline.cells import matrix
    from goemo_eval.pipeline.fitting import Run, fit
    from goemo_eval.pipeline.store import Store, default_store
    from goemo_eval.records.files import dump_records

    wanted = one_cell(encoder, scheme, seed) | {"precisions": precision}
    if engine:
        wanted["engines"] = engine
    if checkpoint is not None:
        wanted["checkpoint"] = [f"{encoder}-{scheme}={checkpoint}"]
    options = read_run_options(file, {**given, **wanted})
    _limit_isa(options)
    found = matrix(options)
    store = Store(options.store or default_store())
    work = Run(found.plan, store)
    try:
        record = add_times(work, measure(work, found.cells[0]))
        notes = fit(work, found.cells[0]).checkpoint.notes
    finally:
        store.close()
    _say_all(*found.plan.dataset.notes.lines(), *notes)
    if as_json:
        print(dump_records([record]), end="")
    else:
        print(tabulate(_told(record), tablefmt="plain", disable_numparse=True))


def one_cell(encoder: str, scheme: str, seed: int) -> dict[str, Any]:
    """Return the options that name one cell."""
    return {"encoders": [encoder], "schemes": [scheme], "seeds": [seed]}


def read_run_options(file: Path | None, given: dict[str, Any]) -> Options:
    """Return a command's options, over those of a run file."""
    from goemo_eval.run_file import find_run_file, read_options

    return read_options(given, run_file=file or find_run_file(Path()))


def _limit_isa(options: Options) -> None:
    from goemo_eval.cpu import limit_isa

    if options.isa is not None:
        limit_isa(options.isa)


def _say(text: str) -> None:
    from goemo_eval.progress import say
    from goemo_eval.records.values import escaped

    say(f"goemo-eval: {escaped(text)}")


def _say_all(*texts: str) -> None:
    for text in texts:
        _say(text)


def _told(record: Record) -> list[tuple[str, str]]:
    """Return a record as the rows of a small table."""
    rows = [("cell", record.cell.id)]
    if record.scores:
        rows += [
            ("Macro-F1 validation", f"{record.scores.validation.macro_f1:.4f}"),
            ("Macro-F1 test", f"{record.scores.test.macro_f1:.4f}"),
        ]
    else:
        rows.append(("not scored", str(record.unscored_reason)))
    if record.scores_refitted:
        rows.append(
            ("Macro-F1 test, thresholds refitted", f"{record.scores_refitted.test.macro_f1:.4f}")
        )
    if record.precision_search:
        rows.append(("smoothed", "yes" if record.smoothed else "no"))
        rows.append(("layers kept in FP32", ", ".join(record.kept_fp32) or "none"))
    if record.served:
        rows.append(("decisions alike, one text at a time", f"{record.served.agreement:.4%}"))
    if record.length:
        rows.append(
            (
                "length limit",
                f"{record.length.max_length} tokens, {record.length.cut_share:.1%} of texts cut",
            )
        )
    for scenario, latency in record.latency.items():
        doubt = "" if latency.load.stable else f" (unstable: {latency.load.reason})"
        of = "text" if scenario == "single" else f"batch of {latency.batch_size}"
        rows.append((f"p50 per {of}, {scenario}", f"{latency.p50_s * 1e3:.1f} ms{doubt}"))
    if record.offline:
        rows.append(("texts a second, text in, scores out", f"{record.offline.texts_per_s:.0f}"))
    rows += [(f"speed over {s.reference}", f"{s.ratio:.2f}x") for s in record.speedups]
    rows.append(("parameters", f"{record.parameters / 1e6:.2f} M"))
    rows.append(("size", f"{record.size_bytes / 1e6:.1f} MB"))
    if record.memory:
        rows.append(("peak memory", f"{record.memory.peak_rss_bytes / 1e6:.0f} MB"))
        rows.append(("start to first answer", f"{record.memory.start_s:.2f} s"))
    return rows

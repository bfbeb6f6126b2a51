"""The command line: ``goemo-eval train | evaluate | tune | report | recommend | gate | baseline | doctor``.

Results go to stdout, progress to stderr. A user's mistake is one line on stderr and exit code 2.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tabulate import tabulate
from typer.exceptions import TyperException

from goemo_eval.cli import report as cli_report
from goemo_eval.cli import tune as cli_tune
from goemo_eval.cli.gate import baseline_app, gate
from goemo_eval.errors import (
    EXIT_BAD_INPUT,
    EXIT_PASS,
    CheckpointError,
    GoemoError,
)

if TYPE_CHECKING:
    from goemo_eval.pipeline.plan import Plan

app = typer.Typer(
    name="goemo-eval",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Which small text encoder to put on a CPU, what it costs in Macro-F1, and whether the "
    "next commit lost it. The main job is `pytest bench`; these commands do its steps one by one.",
)

EncoderOption = Annotated[
    str,
    typer.Option(
        help="albert, distilbert, minilm, mobilebert, or a name of your own with --weights."
    ),
]
SchemeOption = Annotated[
    str,
    typer.Option(help="raw (multi-label), simplified (one dominant emotion), ekman, sentiment."),
]
DataOption = Annotated[
    str,
    typer.Option(help="sample (bundled), hub, or a directory with train.tsv, dev.tsv, test.tsv."),
]
RecipeOption = Annotated[
    str, typer.Option(help="Name of a bundled recipe (study, sample), or a TOML file.")
]
SeedOption = Annotated[
    int, typer.Option(min=0, help="Of the head, dropout and the order of batches.")
]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ENCODER=DIR",
        help="Pretrained weights to start from: safetensors, config, tokenizer.",
    ),
]
DominanceOption = Annotated[
    str,
    typer.Option(
        help="How simplified settles several labels: auto, votes, frequent, rare, first, only."
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="CPU threads; all available by default.")
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where checkpoints and finished cells are kept; the user's cache by default.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def train(
    encoder: EncoderOption,
    scheme: SchemeOption,
    data: DataOption = "sample",
    recipe: RecipeOption = "study",
    seed: SeedOption = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the checkpoint here; into the store by default, where the bench finds it.",
        ),
    ] = None,
    weights: WeightsOption = None,
    dominance: DominanceOption = "auto",
    threads: ThreadsOption = None,
    store: StoreOption = None,
) -> None:
    """Fine-tune an encoder under a scheme, and print the checkpoint's directory.

    An interrupted run goes on where it stopped when the same command is given again; a finished
    one is not repeated. On several GPUs, run it as torchrun --nproc-per-node N -m goemo_eval train.
    """
    from goemo_eval.models.encoders import find_weights, get_encoder
    from goemo_eval.models.training import fine_tune
    from goemo_eval.pipeline.checkpoints import validation_of
    from goemo_eval.pipeline.evaluate import Workbench

    plan = _plan(data, recipe, weights, dominance, threads, store, checkpoint=None)
    with Workbench(plan) as workbench:
        if out is None:
            obtained = workbench.obtain(encoder, scheme, seed)
            if obtained.unscored_reason:
                raise CheckpointError(
                    f"cannot fine-tune {encoder}: {obtained.unscored_reason}; pass --weights {encoder}=DIR"
                )
            _print_once(obtained.checkpoint.path)
            return
        directory = plan.weights.get(encoder)
        found = get_encoder(encoder, directory)
        cell_recipe = workbench.recipe(encoder, scheme)
        checkpoint = fine_tune(
            found,
            workbench.scheme(scheme),
            workbench.splits["train"],
            recipe=cell_recipe,
            weights=find_weights(found, directory),
            out=out,
            seed=seed,
            threads=plan.threads,
            validation=validation_of(cell_recipe, workbench.splits),
        )
        _print_once(checkpoint.path)


def _print_once(path: Path) -> None:
    """Print a path, under ``torchrun`` from the first process only."""
    if os.environ.get("RANK", "0") == "0":
        print(path)


@app.command()
def evaluate(
    encoder: EncoderOption,
    scheme: SchemeOption,
    engine: Annotated[
        str, typer.Option(help="What runs the forward pass: torch, onnxruntime, openvino.")
    ] = "torch",
    precision: Annotated[str, typer.Option(help="fp32 or int8.")] = "fp32",
    data: DataOption = "sample",
    recipe: RecipeOption = "study",
    seed: SeedOption = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Measure this fine-tuned checkpoint instead of fine-tuning one."
        ),
    ] = None,
    weights: WeightsOption = None,
    dominance: DominanceOption = "auto",
    threads: ThreadsOption = None,
    int8_repair: Annotated[
        str,
        typer.Option(
            help="when-needed: keep layers in FP32 where INT8 loses more than 0.01 of validation "
            "Macro-F1; never: report plain INT8."
        ),
    ] = "when-needed",
    isa: Annotated[
        str | None,
        typer.Option(
            help="Forbid higher instruction sets: avx2 or avx512 (torch, oneDNN, OpenVINO; ONNX "
            "Runtime has no such switch)."
        ),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure one cell: Macro-F1, latency per batch of 32, size and memory.

    Fine-tunes first what the store lacks. --json prints the whole record, as `goemo-eval report`
    reads it.
    """
    from dataclasses import replace

    from goemo_eval.cpu import limit_isa
    from goemo_eval.pipeline.evaluate import Workbench
    from goemo_eval.pipeline.matrix import matrix, parse_repair
    from goemo_eval.records.files import dump_records

    if isa is not None:
        limit_isa(isa)
    brought = {(encoder, scheme): checkpoint} if checkpoint else {}
    plan = _plan(data, recipe, weights, dominance, threads, store, checkpoint=brought)
    plan = replace(plan, int8_repair=parse_repair(int8_repair))
    (cell,) = matrix(
        encoders=encoder,
        schemes=scheme,
        engines=engine,
        precisions=precision,
        seeds=[seed],
        weights=plan.weights,
        checkpoints=brought,
    )
    with Workbench(plan) as workbench:
        record = workbench.evaluate(cell)
    if as_json:
        print(dump_records([record]), end="")
        return
    rows: list[tuple[str, str]] = [("cell", record.cell.id)]
    if record.scores:
        rows += [
            ("Macro-F1 validation", f"{record.scores.validation.macro_f1:.4f}"),
            ("Macro-F1 test", f"{record.scores.test.macro_f1:.4f}"),
        ]
        if record.scores_refitted:
            rows.append(
                (
                    "Macro-F1 test, thresholds refitted",
                    f"{record.scores_refitted.test.macro_f1:.4f}",
                )
            )
        if record.precision_search:
            rows.append(("layers kept in FP32", ", ".join(record.kept_fp32)))
    else:
        rows.append(("not scored", str(record.unscored_reason)))
    rows += [
        (f"p50 per batch of 32, {shape}", f"{latency.p50_s * 1e3:.1f} ms")
        for shape, latency in record.latency.items()
    ]
    rows += [(f"speed over {s.reference}", f"{s.ratio:.2f}x") for s in record.speedups]
    rows += [
        ("parameters", f"{record.parameters / 1e6:.2f} M"),
        ("size", f"{record.size_bytes / 1e6:.1f} MB"),
    ]
    print(tabulate(rows, tablefmt="plain", disable_numparse=True))


app.command()(cli_tune.tune)
app.command()(cli_report.report)
app.command()(cli_report.recommend)


app.command()(gate)
app.add_typer(baseline_app, name="baseline")


@app.command()
def doctor(
    data: Annotated[
        str | None, typer.Option(help="Also check this data source: hub or a directory.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what this machine can run, what is within reach, and what to do about the rest.

    Lists versions, the CPU with the instruction sets that matter for INT8, threads, the engines
    and their quantized kernels, which encoders' weights and which data are at hand, and where
    checkpoints are kept. What is missing comes with the command or option that mends it.
    """
    from goemo_eval.doctor import examine

    findings = examine(data)
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=2))
        return
    print(tabulate([(f.topic, f.name, f.state) for f in findings], tablefmt="plain"))
    mends = [f"{f.name}: {f.mend}" for f in findings if f.mend]
    if mends:
        print("\nTo do:\n" + "\n".join(f"- {mend}" for mend in mends))


def _plan(
    data: str,
    recipe: str,
    weights: list[str] | None,
    dominance: str,
    threads: int | None,
    store: Path | None,
    *,
    checkpoint: dict[tuple[str, str], Path] | None,
) -> Plan:
    from goemo_eval.measure.environment import available_threads
    from goemo_eval.models.recipes import load_recipe
    from goemo_eval.pipeline.matrix import parse_dominance, parse_weights
    from goemo_eval.pipeline.plan import Plan
    from goemo_eval.pipeline.store import default_store

    return Plan(
        source=data,
        recipe=load_recipe(recipe),
        store=store or default_store(),
        threads=threads or available_threads(),
        dominance=parse_dominance(dominance),
        checkpoints=checkpoint or {},
        weights=parse_weights(weights or []),
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = app(arguments, standalone_mode=False)
    except TyperException as error:
        return _fail(f"{error.format_message()} (see goemo-eval --help)")
    except (GoemoError, OSError) as error:
        return _fail(str(error))
    if code == _INTERRUPTED:
        return _fail(
            "interrupted: what is finished is kept, and the same command goes on from there"
        )
    return code if isinstance(code, int) else EXIT_PASS


_INTERRUPTED = 130  # what typer makes of Ctrl-C


def _fail(message: str) -> int:
    print(f"goemo-eval: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_BAD_INPUT


def entry() -> None:
    """Run as the console script."""
    sys.exit(main())

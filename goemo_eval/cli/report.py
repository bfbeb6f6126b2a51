"""The commands that tell what records say: ``goemo-eval report`` and ``goemo-eval recommend``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from tabulate import tabulate

from goemo_eval.errors import EXIT_REGRESSION, OptionError, RecordError, unknown_name

if TYPE_CHECKING:
    from goemo_eval.judge.recommend import Recommendation
    from goemo_eval.records.schema import Record

EXIT_NOTHING_FITS = EXIT_REGRESSION
PAGE = "page"

RecordsArgument = Annotated[
    Path,
    typer.Argument(metavar="BENCH.json|records.json", help="What pytest bench or a report wrote."),
]


def report(
    records: Annotated[
        list[Path],
        typer.Argument(
            metavar="BENCH.json|records.json...",
            help="What pytest bench or a report wrote; several are reported as one.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="page|csv|parquet|json",
            help="page: all of the report; the others: its numbers alone, as cells.FORMAT, labels.FORMAT and "
            "suspects.FORMAT.",
        ),
    ] = PAGE,
    with_texts: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Also quote misjudged texts of this data, as --data of a run; its columns are those of goemo.toml.",
        ),
    ] = None,
) -> None:
    """Write the report of stored records: which cell to deploy, how good, how fast, where it errs.

    DIR gets report.md for GitHub, report.html as one self-contained page, the figures as PNG and
    SVG, every number as CSV and parquet, and records.json. Nothing is measured again and neither torch nor
    a model is loaded; the same records give the same bytes. Where the data are GoEmotions' published splits,
    the values and claims of the study that this began with stand beside the measured ones.
    """
    from goemo_eval.records.files import join_records
    from goemo_eval.report.data_files import Form
    from goemo_eval.report.render import write_data, write_report

    forms = (PAGE, *get_args(Form))
    if form not in forms:
        raise OptionError(f"--format: {unknown_name('format', form, forms)}")
    if form != PAGE and with_texts:
        raise OptionError("--with-texts: only the page quotes texts: leave out --format")
    found, said = join_records(records)
    if form != PAGE:
        for path in write_data(found, out, cast("Form", form)):
            print(path)
        return
    texts = _texts(with_texts, found) if with_texts else None
    print(write_report(found, out, title=said.title, command=said.command, texts=texts))


def recommend(
    records: RecordsArgument,
    scenario: Annotated[
        str,
        typer.Option(
            metavar="batch|single|offline",
            help="How texts come: 32 at a time, one at a time, or all at once.",
        ),
    ] = "batch",
    max_p95_ms: Annotated[
        float | None,
        typer.Option(help="Most milliseconds per batch (single: per text), 95th percentile."),
    ] = None,
    max_mb: Annotated[
        float | None, typer.Option(help="Most megabytes (10^6 bytes) on disk.")
    ] = None,
    min_macro_f1: Annotated[float | None, typer.Option(help="Least test Macro-F1.")] = None,
    scheme: Annotated[
        str | None, typer.Option(help="Only this scheme; by default each gets its own answer.")
    ] = None,
    max_loss: Annotated[
        float, typer.Option(help="Test Macro-F1 that a cheaper cell may lose against the best.")
    ] = 0.01,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say which cell to deploy: the cheapest within a stated loss of the best.

    Only scored cells that keep every limit are considered; cheapest is the least time in the scenario, or
    the smallest where times cannot be compared. Also says what would change the answer, and which cells lie
    on the Pareto front of Macro-F1, time, peak memory and size. Exit 0 with an answer, 1 where no cell
    keeps the limits, 2 on bad input.
    """
    from goemo_eval.judge.recommend import recommend as choose
    from goemo_eval.records.files import read_records

    found = choose(
        read_records(records),
        max_p95_ms=max_p95_ms,
        max_mb=max_mb,
        min_macro_f1=min_macro_f1,
        max_loss=max_loss,
        scenario=scenario,
        scheme=scheme,
    )
    if as_json:
        print(json.dumps([r.model_dump(mode="json") for r in found], indent=2))
    else:
        print("\n\n".join(_told(r) for r in found))
    if not all(r.chosen for r in found):
        raise typer.Exit(EXIT_NOTHING_FITS)


def _texts(source: str, records: Sequence[Record]) -> dict[str, Sequence[str]]:
    """Return the texts that were scored under each scheme."""
    from dataclasses import replace

    from goemo_eval.options import find_run_file, read_options
    from goemo_eval.pipeline.cells import matrix

    plan = matrix(read_options({"data": source}, run_file=find_run_file(Path.cwd()))).plan
    sha256 = plan.dataset.splits["test"].sha256
    texts: dict[str, Sequence[str]] = {}
    for record in records:
        scored_on = record.data.splits.get("test")
        if record.scores is None or scored_on is None or record.cell.scheme in texts:
            continue
        if scored_on.sha256 != sha256:
            raise RecordError(
                f"--with-texts {source}: its test split has sha256 {sha256[:12]}, but "
                f"{record.cell.id} was scored on {scored_on.sha256[:12]}: pass the data of the records"
            )
        own = replace(plan, dominance=record.dominance or plan.dominance)
        texts[record.cell.scheme] = own.task(record.cell.scheme).texts["test"]
    return texts


def _told(found: Recommendation) -> str:
    """Return a recommendation as text for a terminal."""
    from goemo_eval.report.sections.advice import advice
    from goemo_eval.report.text import plain

    rows = [
        (
            "-->" if o.cell == found.chosen else "",
            o.cell,
            f"{o.macro_f1:.4f}",
            _number(o.ms_per_text if found.scenario == "offline" else o.p95_ms, 2),
            f"{o.size_mb:.1f}",
            _number(o.peak_rss_mb, 0),
            _number(o.start_s, 1),
            "front" if o.on_front else "",
            ", ".join(o.misses),
        )
        for o in found.options
    ]
    time = "ms per text" if found.scenario == "offline" else "p95 ms"
    headers = ("", "cell", "Macro-F1", time, "MB", "peak RSS MB", "start s", "Pareto", "misses")
    answer, *rest = map(plain, advice(found))
    lines = [
        f"{found.scheme}: {answer}",
        *(f"  {line}" for line in rest),
        "",
        tabulate(
            rows,
            headers,
            disable_numparse=True,
            colalign=("left", "left", *("right",) * 5, "left", "left"),
        ),
        *(f"not judged: {cell}: {plain(reason)}" for cell, reason in found.not_judged.items()),
    ]
    return "\n".join(lines)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"

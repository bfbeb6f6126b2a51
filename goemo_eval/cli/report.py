"""The commands that tell what records say: ``goemo-eval report`` and ``goemo-eval recommend``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tabulate import tabulate

from goemo_eval.errors import EXIT_REGRESSION, RecordError

if TYPE_CHECKING:
    from goemo_eval.judge.recommend import Recommendation
    from goemo_eval.records.schema import Record

EXIT_NOTHING_FITS = EXIT_REGRESSION

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
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Where report.md, report.html, figures/ and records.json go."
        ),
    ],
    with_texts: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Also quote some misjudged texts of this data: sample, hub, or a directory.",
        ),
    ] = None,
) -> None:
    """Write the report of stored records: what to deploy, tables, figures and error analysis.

    DIR gets report.md for GitHub, report.html as one self-contained page, the figures as PNG and
    SVG, and records.json. Nothing is measured again and neither torch nor a model is loaded; the
    same records give the same bytes. Each table shows the published study's value beside the
    measured one.
    """
    from goemo_eval.records.files import join_records
    from goemo_eval.report.render import write_report

    found, said = join_records(records)
    texts = _texts(with_texts, found) if with_texts else None
    print(write_report(found, out, title=said.title, command=said.command, texts=texts))


def recommend(
    records: RecordsArgument,
    max_p95_ms: Annotated[
        float | None,
        typer.Option(help="Most milliseconds per batch of 32, 95th percentile, real lengths."),
    ] = None,
    max_mb: Annotated[
        float | None, typer.Option(help="Most megabytes (10^6 bytes) of the weights on disk.")
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

    Only scored cells that keep every limit are considered; cheapest is the lowest p95 latency.
    Also says what would change the answer, and which cells lie on the Pareto front of Macro-F1, p95
    latency, peak memory and size. Exit 0 with an answer, 1 where no cell keeps the limits, 2 on bad
    input.
    """
    from goemo_eval.judge.recommend import Limits
    from goemo_eval.judge.recommend import recommend as choose
    from goemo_eval.records.files import read_records

    limits = Limits(max_p95_ms=max_p95_ms, max_mb=max_mb, min_macro_f1=min_macro_f1)
    found = choose(read_records(records), limits=limits, max_loss=max_loss, scheme=scheme)
    if as_json:
        print(json.dumps([r.model_dump(mode="json") for r in found], indent=2))
    else:
        print("\n\n".join(_told(r) for r in found))
    if not all(r.chosen for r in found):
        raise typer.Exit(EXIT_NOTHING_FITS)


def _texts(source: str, records: Sequence[Record]) -> dict[str, list[str]]:
    """Return the texts that were scored under each scheme."""
    from goemo_eval.data.schemes import get_scheme
    from goemo_eval.data.sources import load_split

    split = load_split(source, "test")
    texts = {}
    for record in records:
        scored_on = record.data.splits.get("test")
        if record.scores is None or scored_on is None:
            continue
        if scored_on.sha256 != split.sha256:
            raise RecordError(
                f"--with-texts {source}: its test split has sha256 {split.sha256[:12]}, but "
                f"{record.cell.id} was scored on {scored_on.sha256[:12]}: pass the data of the records"
            )
        scheme = get_scheme(record.cell.scheme, record.dominance or "frequent")
        keep = scheme.keeps(split.labels)
        texts[record.cell.scheme] = [t for t, kept in zip(split.texts, keep, strict=True) if kept]
    return texts


def _told(found: Recommendation) -> str:
    """Return a recommendation as text for a terminal."""
    from goemo_eval.report.advice import advice

    rows = [
        (
            "-->" if o.cell == found.chosen else "",
            o.cell,
            f"{o.macro_f1:.4f}",
            "-" if o.p95_ms is None else f"{o.p95_ms:.1f}",
            f"{o.size_mb:.1f}",
            "-" if o.peak_rss_mb is None else f"{o.peak_rss_mb:.0f}",
            "front" if o.on_front else "",
            ", ".join(o.misses),
        )
        for o in found.options
    ]
    answer, *rest = advice(found)
    headers = ("", "cell", "Macro-F1", "p95 ms", "MB", "peak RSS MB", "Pareto", "misses")
    lines = [
        f"{found.scheme}: {answer}",
        *(f"  {line}" for line in rest),
        "",
        tabulate(
            rows,
            headers,
            disable_numparse=True,
            colalign=("left", "left", *("right",) * 4, "left", "left"),
        ),
        *(f"not judged: {cell}: {reason}" for cell, reason in found.not_judged.items()),
    ]
    return "\n".join(lines)

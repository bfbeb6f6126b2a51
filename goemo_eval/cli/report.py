"""The commands that tell what records say: ``goemo-eval report`` and ``goemo-eval recommend``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from tabulate import tabulate

from goemo_eval.cli.option_view import takes_options
from goemo_eval.cli.run import FileOption, read_run_options
from goemo_eval.errors import EXIT_REGRESSION, OptionError, RecordError, unknown_name
from goemo_eval.options import views
from goemo_eval.records.values import escaped

if TYPE_CHECKING:
    from goemo_eval.judge.recommend import Recommendation
    from goemo_eval.measure.shortlist import Shortlist
    from goemo_eval.records.schema import Record
    from goemo_eval.report.floor import Bought

EXIT_NOTHING_FITS = EXIT_REGRESSION
PAGE = "page"

PROBED = ("encoders", "checkpoint", "weights", "precisions", "isa", "threads", "store")
"""Options of a run that decide what a probe looks at, and where it is kept."""

RecordsArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="BENCH.json|records.json",
        help="What pytest bench or a report wrote; none with --probe.",
    ),
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
    command: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="A command that came before those that the files name, such as goemo-eval train ...; the report says "
            "them all (repeatable).",
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
    for name, value in (("with-texts", with_texts), ("command", command)):
        if form != PAGE and value:
            raise OptionError(f"--{name}: only the page says this: leave out --format")
    found, said = join_records(records)
    if form != PAGE:
        for path in write_data(found, out, cast("Form", form)):
            print(path)
        return
    texts = _texts(with_texts, found) if with_texts else None
    commands = "\n".join(dict.fromkeys([*(command or []), *(said.command or "").splitlines()]))
    print(write_report(found, out, title=said.title, command=commands or None, texts=texts))


@takes_options(leave_out=[view.name for view in views() if view.name not in PROBED])
def recommend(
    records: RecordsArgument = None,
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
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Before anything was measured: which engines and precisions are worth measuring here, as "
            "--engines auto of a run chooses them. The options below go with it.",
        ),
    ] = False,
    file: FileOption = None,
    **given: Any,
) -> None:
    """Say which cell to deploy: the cheapest within a stated loss of the best.

    Only scored cells that keep every limit are considered; cheapest is the least time in the scenario, or
    the smallest where times cannot be compared. Also says what would change the answer, and which cells lie
    on the Pareto front of Macro-F1, time, peak memory and size. Exit 0 with an answer, 1 where no cell
    keeps the limits, 2 on bad input.

    Without records, --probe times a small stack of each encoder in every installed engine, for some seconds,
    and says which cells are worth measuring on this machine, and why not the others.
    """
    from goemo_eval.judge.recommend import recommend as choose
    from goemo_eval.records.files import read_records

    if probe:
        _print_shortlists(records, file, given, as_json=as_json)
        return
    if records is None:
        raise OptionError(
            "recommend: no records: pass what a run wrote (records.json), or --probe before there are any"
        )
    for name in ("file", *PROBED):
        if (file if name == "file" else given[name]) is not None:
            raise OptionError(f"--{name} goes with --probe: leave it out")
    taken = read_records(records)
    found = choose(
        taken,
        max_p95_ms=max_p95_ms,
        max_mb=max_mb,
        min_macro_f1=min_macro_f1,
        max_loss=max_loss,
        scenario=scenario,
        scheme=scheme,
    )
    paid = _bought(taken, found)
    if as_json:
        print(json.dumps([_as_data(r, p) for r, p in zip(found, paid, strict=True)], indent=2))
    else:
        print("\n\n".join(_told(r, p) for r, p in zip(found, paid, strict=True)))
    if not all(r.chosen for r in found):
        raise typer.Exit(EXIT_NOTHING_FITS)


def _print_shortlists(
    records: Path | None, file: Path | None, given: dict[str, Any], *, as_json: bool
) -> None:
    """Probe, and print for each encoder what is worth measuring."""
    from functools import partial

    from goemo_eval.cpu import limit_isa
    from goemo_eval.measure.shortlist import AUTO
    from goemo_eval.pipeline.cells import matrix
    from goemo_eval.pipeline.probing import shortlist
    from goemo_eval.pipeline.store import Store, default_store

    if records is not None:
        raise OptionError(f"{records}: records need no probe: leave out --probe")
    options = read_run_options(file, {**given, "engines": AUTO})
    if options.isa is not None:
        limit_isa(options.isa)
    store = Store(options.store or default_store())
    try:
        found = matrix(options, shorten=partial(shortlist, store=store)).shortlists
    finally:
        store.close()
    if as_json:
        content = {encoder: listed.model_dump(mode="json") for encoder, listed in found.items()}
        print(json.dumps(content, indent=2))
        return
    print("\n\n".join(_shortlisted(encoder, listed) for encoder, listed in found.items()))
    if not found:
        print("the floor has an engine of its own: there is nothing to choose")


def _shortlisted(encoder: str, found: Shortlist) -> str:
    """Return what is worth measuring of an encoder, and what not, as text for a terminal."""
    rows = [
        (
            "-->" if each in found.chosen else "",
            each.name,
            _number(each.batch_ratio, 2),
            _number(each.single_ratio, 2),
            each.because,
        )
        for each in (*found.chosen, *found.left_out)
    ]
    rows += [("", name, "-", "-", escaped(reason)) for name, reason in found.refused.items()]
    headers = ("", "cell", "batches", "one text", "because")
    table = tabulate(
        rows, headers, disable_numparse=True, colalign=("left", "left", "right", "right", "left")
    )
    products = ", ".join(found.dot_products) or "none"
    machine = f"{escaped(found.cpu_model)}, threads {found.threads}, INT8 dot products: {products}"
    lines = [
        f"{encoder}: worth measuring with --engines auto: {', '.join(e.name for e in found.chosen)}",
        f"  {machine}; times over the quickest's",
    ]
    return "\n".join([*lines, *(f"  {escaped(doubt)}" for doubt in found.doubts), "", table])


def _texts(source: str, records: Sequence[Record]) -> dict[str, Sequence[str]]:
    """Return the texts that were scored under each scheme."""
    from dataclasses import replace

    from goemo_eval.pipeline.cells import matrix
    from goemo_eval.run_file import find_run_file, read_options

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


def _bought(records: Sequence[Record], found: Sequence[Recommendation]) -> list[tuple[Bought, ...]]:
    """Return for each recommendation what its cells gain over the floor."""
    from goemo_eval.records.view import View
    from goemo_eval.report.floor import bought, floor_of
    from goemo_eval.report.intervals import resample

    view = View(records)
    floors = {name: floor_of(view.shown.of_scheme(name)) for name in view.schemes}
    asked = View(r for r in view.shown if any(r.cell.scheme == one.scheme for one in found))
    gains = resample(asked, {}).floor if any(floors.values()) else {}
    return [bought(one, floors[one.scheme], gains) for one in found]


def _as_data(found: Recommendation, paid: Sequence[Bought]) -> dict[str, Any]:
    """Return a recommendation as JSON holds it."""
    content = found.model_dump(mode="json")
    for option, (gain, per_cost) in zip(content["options"], paid, strict=True):
        option["over_floor"] = gain and gain.model_dump(mode="json")
        option["points_per_cost"] = per_cost
    return content


def _told(found: Recommendation, paid: Sequence[Bought]) -> str:
    """Return a recommendation as text for a terminal."""
    from goemo_eval.report.floor import PAID_IN
    from goemo_eval.report.sections.advice import advice
    from goemo_eval.report.text import plain, spread

    rows = [
        (
            "-->" if o.cell == found.chosen else "",
            o.cell,
            f"{o.macro_f1:.4f}",
            spread(gain.low, gain.high, signed=True) if gain else "-",
            "-" if per_cost is None else f"{per_cost:+.2f}",
            _number(o.ms_per_text if found.scenario == "offline" else o.p95_ms, 2),
            f"{o.size_mb:.1f}",
            _number(o.peak_rss_mb, 0),
            _number(o.start_s, 1),
            "front" if o.on_front else "",
            ", ".join(o.misses),
        )
        for o, (gain, per_cost) in zip(found.options, paid, strict=True)
    ]
    time = "ms per text" if found.scenario == "offline" else "p95 ms"
    bought = ("over the floor", f"points/{PAID_IN[found.ranked_by]}")
    costs = (time, "MB", "peak RSS MB", "start s")
    headers = ("", "cell", "Macro-F1", *bought, *costs, "Pareto", "misses")
    answer, *rest = map(plain, advice(found))
    lines = [
        f"{found.scheme}: {answer}",
        *(f"  {line}" for line in rest),
        "",
        tabulate(
            rows,
            headers,
            disable_numparse=True,
            colalign=("left", "left", *("right",) * 7, "left", "left"),
        ),
        *(f"not judged: {cell}: {plain(reason)}" for cell, reason in found.not_judged.items()),
    ]
    return "\n".join(lines)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"

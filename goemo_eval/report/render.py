"""The report's one page, and the files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from goemo_eval.errors import RecordError
from goemo_eval.report.assessment import assessment
from goemo_eval.report.error_analysis import error_analysis
from goemo_eval.report.figures import TITLES, draw
from goemo_eval.report.study import Study, load_study
from goemo_eval.report.tables import (
    budget_table,
    efficiency_table,
    int8_accuracy_table,
    int8_speed_table,
    macro_f1_table,
    strategy_table,
)
from goemo_eval.report.text import DASH, escape, table
from goemo_eval.results.records import Provenance, Record, dump_records
from goemo_eval.results.store import write_atomic


def write_report(
    records: Sequence[Record],
    out: str | Path,
    *,
    title: str | None = None,
    command: str | None = None,
) -> Path:
    """Write ``report.md``, ``figures/`` and ``records.json``.

    Parameters
    ----------
    records : sequence of Record
        At least one, in any order.
    out : str or Path
        The directory; it is made if need be.
    title : str
    command : str, optional
        The command that made the records.

    Returns
    -------
    Path
        That of ``report.md``. The same arguments give the same bytes.

    Raises
    ------
    RecordError
        If there are no records.
    """
    if not records:
        raise RecordError("no records to report on: run pytest bench first")
    records = sorted(records, key=lambda r: r.cell.id)
    out = Path(out)
    study = load_study()
    try:
        for name, content in draw(records, study).items():
            write_atomic(out / "figures" / name, content)
        said = Provenance(title=title, command=command)
        write_atomic(out / "records.json", dump_records(records, said).encode())
        page = _page(records, study, title or "goemo_eval report", command)
        write_atomic(out / "report.md", page.encode())
    except OSError as error:
        raise RecordError(f"{out}: cannot write the report there ({error.strerror})") from None
    return out / "report.md"


def _page(records: Sequence[Record], study: Study, title: str, command: str | None) -> str:
    parts = [f"# {escape(title)}", ""]
    if command is not None:
        parts += ["Made by", "", *(f"    {line}" for line in command.splitlines()), ""]
    parts += [
        *_data(records),
        "",
        (
            f'The columns named "study" are the values that *{escape(study.source)}* published, on another '
            "machine."
        ),
        "" if any(study.comparable(r) for r in records) else _NOT_COMPARABLE,
        "",
        "## Assessment",
        "",
        *assessment(records, study),
        "",
        "## Table 1. Macro-F1 in FP32",
        "",
        macro_f1_table(records, study),
        "",
        *_unscored(records),
        *_figure("figure3"),
        *_figure("figure1"),
    ]
    strategies = strategy_table(records)
    if strategies:
        parts += [
            "### Table 1b. What the thresholds bring",
            "",
            (
                "Multi-label Macro-F1 with each cell's own thresholds, fitted on its validation logits: one "
                "of 0.5, one for all labels, one per label."
            ),
            "",
            strategies,
            "",
        ]
    parts += [
        "## Table 2. Parameters, latency and size",
        "",
        (
            "Forward pass per batch of 32, tokenization apart. *real*: texts in the test split's order, padded "
            "to the longest of their batch; *padded128*: every batch 128 tokens long. The study does not say how its "
            "batches were padded. Peak RSS is the process's while the cell was measured."
        ),
        "",
        efficiency_table(records, study),
        "",
        *_figure("figure2"),
    ]
    accuracy = int8_accuracy_table(records, study)
    if accuracy:
        parts += [
            "## Table 3. FP32 and INT8",
            "",
            (
                "Test Macro-F1. *INT8* decides with FP32's thresholds, *INT8 refitted* with thresholds fitted "
                "on its own validation logits; softmax schemes have none, so both are one."
            ),
            "",
            accuracy,
            "",
            (
                "Forward seconds over the test split, FP32 and INT8 taking turns batch by batch: medians over the "
                "passes, and the median of the passes' ratios."
            ),
            "",
            int8_speed_table(records, study),
            "",
            *_figure("figure4"),
        ]
    parts += ["## Error analysis", "", error_analysis(records, study)]
    budgets = budget_table(records)
    if budgets:
        parts += ["## Budgets", "", budgets, ""]
    parts += ["## Where it was measured", "", _environments(records), ""]
    return "\n".join(parts).replace("\n\n\n", "\n\n")


_NOT_COMPARABLE = (
    "They were scored on GoEmotions and these cells were not: they stand here to show the form of the "
    "tables, and no difference is taken."
)


def _data(records: Sequence[Record]) -> list[str]:
    facts = dict.fromkeys(
        (
            escape(r.data.source),
            escape(r.data.revision or ""),
            ", ".join(f"{split.rows:,} {escape(name)}" for name, split in r.data.splits.items()),
            ", ".join(split.sha256[:12] for split in r.data.splits.values()),
            r.dominance,
            ", ".join(f"{k} {v}" for k, v in (r.recipe or {}).items()),
        )
        for r in records
    )
    rows = [
        [source, revision or DASH, rows, sha]
        for source, revision, rows, sha in dict.fromkeys(fact[:4] for fact in facts)
    ]
    lines = [table(["data", "revision", "rows", "sha256 of each"], rows, words=4), ""]
    rules = [rule for rule in dict.fromkeys(fact[4] for fact in facts) if rule]
    if rules:
        lines += [f"Dominant emotion by the rule: {', '.join(map(escape, rules))}.", ""]
    for recipe in dict.fromkeys(fact[5] for fact in facts if fact[5]):
        lines += [f"Fine-tuned with: {escape(recipe)}.", ""]
    return lines


def _unscored(records: Sequence[Record]) -> list[str]:
    """Return the footnotes of the cells whose F1 is a dash."""
    reasons: dict[str, list[str]] = {}
    for record in records:
        if record.scores is None and record.cell.precision == "fp32":
            reason = record.unscored_reason or "not scored"
            reasons.setdefault(reason, []).append(record.cell.id)
    return [
        line
        for reason, cells in reasons.items()
        for line in (f"{DASH} {', '.join(map(escape, cells))}: {escape(reason)}", "")
    ]


def _figure(name: str) -> list[str]:
    return [f"![{TITLES[name]}](figures/{name}.png)", ""]


def _environments(records: Sequence[Record]) -> str:
    rows = [
        [
            escape(cells),
            escape(cpu),
            escape(isa),
            str(threads),
            escape(kernels),
            escape(versions),
            escape(commit or DASH),
        ]
        for (cpu, isa, threads, kernels, versions, commit), cells in _grouped(records).items()
    ]
    headers = ["cells", "CPU", "ISA used", "threads", "kernels", "versions", "commit"]
    return table(headers, rows, words=len(headers))


def _grouped(records: Sequence[Record]) -> dict[tuple[str, str, int, str, str, str | None], str]:
    grouped: dict[tuple[str, str, int, str, str, str | None], list[str]] = {}
    for record in records:
        env = record.environment
        versions = ", ".join(f"{k} {v}" for k, v in sorted(env.versions.items()))
        key = (
            env.cpu_model,
            env.engine_isa,
            env.threads,
            env.kernels,
            f"{env.python}, {versions}",
            env.git_commit,
        )
        grouped.setdefault(key, []).append(record.cell.id)
    return {
        key: f"{len(cells)} cells" if len(cells) > 4 else ", ".join(cells)
        for key, cells in grouped.items()
    }

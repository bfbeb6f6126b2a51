"""The report's sections in their order, for both of its forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goemo_eval.records.over_seeds import one_seed
from goemo_eval.records.schema import Record
from goemo_eval.report.assessment import assessment
from goemo_eval.report.document import Block, Fold
from goemo_eval.report.error_analysis import error_analysis
from goemo_eval.report.figures import plots_of
from goemo_eval.report.flips import flip_folds
from goemo_eval.report.intervals import Intervals
from goemo_eval.report.seeds import MEANS, seed_note, seed_table
from goemo_eval.report.study.claims import claims_section
from goemo_eval.report.study.published import Study
from goemo_eval.report.summary import summary
from goemo_eval.report.tables import (
    budget_table,
    efficiency_table,
    int8_accuracy_table,
    int8_speed_table,
    macro_f1_table,
    repair_table,
    strategy_table,
)
from goemo_eval.report.text import DASH, escape, table


def page(
    records: Sequence[Record],
    study: Study,
    intervals: Intervals,
    *,
    title: str,
    command: str | None = None,
    texts: Mapping[str, Sequence[str]] | None = None,
) -> list[Block]:
    """Return the whole report."""
    pictures, shown = plots_of(records), one_seed(records)
    note = f" {said}" if (said := seed_note(records)) else ""
    blocks: list[Block] = [f"# {escape(title)}", *summary(records, intervals)]
    blocks += ["## Assessment", "\n".join(assessment(records, intervals))]
    blocks += claims_section(records, study)
    blocks += [
        "## Table 1. Macro-F1 in FP32",
        (
            f'The columns named "study" are the values that *{escape(study.source)}* published, on another '
            "machine."
        ),
        "" if any(study.comparable(r) for r in records) else _NOT_COMPARABLE,
        MEANS if note else "",
        macro_f1_table(records, study),
        *_seeds(records),
        *_unscored(records),
        pictures["figure3"],
        pictures["figure1"],
    ]
    if strategies := strategy_table(shown):
        blocks += [
            "### Table 1b. What the thresholds bring",
            (
                "Multi-label Macro-F1 with each cell's own thresholds, fitted on its validation logits: one "
                f"of 0.5, one for all labels, one per label.{note}"
            ),
            strategies,
        ]
    blocks += [
        "## Table 2. Parameters, latency and size",
        (
            "Forward pass per batch of 32, tokenization apart. *real*: texts in the test split's order, padded "
            "to the longest of their batch; *padded128*: every batch 128 tokens long. The study does not say how its "
            f"batches were padded. Peak RSS is the process's while the cell was measured.{note}"
        ),
        efficiency_table(shown, study),
        pictures["figure2"],
    ]
    if accuracy := int8_accuracy_table(shown, study, intervals.int8):
        blocks += [
            "## Table 3. FP32 and INT8",
            (
                "Test Macro-F1. *INT8* decides with FP32's thresholds, *INT8 refitted* with thresholds fitted "
                "on its own validation logits; softmax schemes have none, so both are one. The interval is that of "
                f"Δ over the test split's texts, with 95 % confidence.{note}"
            ),
            accuracy,
            (
                "Forward seconds over the test split, FP32 and INT8 taking turns: medians over the passes, and the "
                "median of the passes' ratios, over the same engine's FP32 and over torch's."
            ),
            int8_speed_table(shown, study),
            *_repairs(shown),
            pictures["figure4"],
            *_flips(shown),
        ]
    blocks += ["## Error analysis", *error_analysis(records, texts)]
    if budgets := budget_table(records):
        blocks += ["## Budgets", budgets]
    blocks += [
        "## How it was measured",
        *_command(command),
        *_data(records),
        _environments(records),
    ]
    return blocks


def _seeds(records: Sequence[Record]) -> list[Block]:
    return [Fold("Macro-F1 seed by seed", [found])] if (found := seed_table(records)) else []


def _flips(records: Sequence[Record]) -> list[Block]:
    folds = flip_folds(records)
    if not folds:
        return []
    return [Fold("Label by label, what INT8 decided otherwise than FP32", folds)]


def _repairs(records: Sequence[Record]) -> list[Block]:
    if not (repaired := repair_table(records)):
        return []
    return [
        (
            "INT8 that lost more validation Macro-F1 than its budget keeps the layers in FP32 that a search on "
            "validation found; the tables above have it so. *plain*: with every layer in INT8."
        ),
        repaired,
    ]


def _command(command: str | None) -> list[Block]:
    if command is None:
        return []
    return ["Made by", "\n".join(f"    {line}" for line in command.splitlines())]


_NOT_COMPARABLE = (
    "They were scored on GoEmotions and these cells were not: they stand here to show the form of the "
    "tables, and no difference is taken."
)


def _data(records: Sequence[Record]) -> list[Block]:
    facts = dict.fromkeys(
        (
            escape(r.data.source),
            escape(r.data.revision or ""),
            ", ".join(f"{split.rows:,} {escape(name)}" for name, split in r.data.splits.items()),
            ", ".join(escape(split.sha256[:12]) for split in r.data.splits.values()),
            r.dominance,
            ", ".join(f"{k} {v}" for k, v in (r.recipe or {}).items()),
        )
        for r in records
    )
    rows = [
        [source, revision or DASH, rows, sha]
        for source, revision, rows, sha in dict.fromkeys(fact[:4] for fact in facts)
    ]
    lines: list[Block] = [table(["data", "revision", "rows", "sha256 of each"], rows, words=4)]
    rules = [rule for rule in dict.fromkeys(fact[4] for fact in facts) if rule]
    if rules:
        lines.append(f"Dominant emotion by the rule: {', '.join(map(escape, rules))}.")
    lines += [
        f"Fine-tuned with: {escape(recipe)}."
        for recipe in dict.fromkeys(fact[5] for fact in facts if fact[5])
    ]
    return lines


def _unscored(records: Sequence[Record]) -> list[str]:
    """Return the footnotes of the cells whose F1 is a dash."""
    reasons: dict[str, list[str]] = {}
    for record in records:
        if record.scores is None and record.cell.precision == "fp32":
            reason = record.unscored_reason or "not scored"
            reasons.setdefault(reason, []).append(record.cell.id)
    return [
        f"{DASH} {', '.join(map(escape, cells))}: {escape(reason)}"
        for reason, cells in reasons.items()
    ]


def _environments(records: Sequence[Record]) -> Block:
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
            env.engine_isa + (f" (limited to {env.isa_limit})" if env.isa_limit else ""),
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

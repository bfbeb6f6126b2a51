"""How it was measured: command, data, recipe, machine, and whether budgets are kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from goemo_eval.measure.shortlist import Shortlist
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.document import Block, Column, Fold, table
from goemo_eval.report.text import DASH, NO_CHOICE, escape, listed, number, plain

_MOST_CELLS = 3
_SHA256 = 12  # digits


def method_section(view: View, *, command: str | None) -> list[Block]:
    """Return what made the numbers, and whether their budgets are kept."""
    return [
        *_command(command),
        *_data(view),
        *_fitted(view),
        *_recipes(view),
        *_shortlists(view),
        *_machines(view),
        *_budgets(view),
    ]


def _command(command: str | None) -> list[Block]:
    lines = [f"    {plain(line)}" for line in (command or "").splitlines() if line.strip()]
    return ["Made by", "\n".join(lines)] if lines else []


class _Data(NamedTuple):
    name: str
    source: str
    revision: str
    rows: str
    sha256: str


def _data_of(record: Record) -> _Data:
    data = record.data
    return _Data(
        data.name,
        data.source,
        data.revision or DASH,
        ", ".join(f"{split.rows:,} {name}" for name, split in data.splits.items()),
        ", ".join(split.sha256[:_SHA256] for split in data.splits.values()),
    )


def _data(view: View) -> list[Block]:
    found = list(dict.fromkeys(map(_data_of, view)))
    return table(
        Column("data", "", [escape(d.name) for d in found], words=True),
        Column("source", "", [escape(d.source) for d in found], words=True),
        Column("revision", "", [escape(d.revision) for d in found], words=True),
        Column("rows", "", [escape(d.rows) for d in found], words=True),
        Column("sha256", "of each split", [escape(d.sha256) for d in found], words=True),
    )


def _fitted(view: View) -> list[Block]:
    """Return what stands behind the cells of an encoder: its weights, their number, how far it reads."""
    records = [reference.shown for reference in view.references]
    seeds = [", ".join(map(str, reference.group.seeds)) for reference in view.references]
    lengths = [r.length for r in records]
    return table(
        Column("encoder", "", [escape(r.cell.encoder) for r in records], words=True),
        Column("scheme", "", [escape(r.cell.scheme) for r in records], words=True),
        Column("seeds", "", seeds, words=True),
        Column(
            "weights",
            "pretrained: fine-tuned here; checkpoint: brought along; random: never trained",
            [r.weights.kind for r in records],
            words=True,
        ),
        Column("params", "millions", [number(r.parameters / 1e6, 2) for r in records]),
        Column(
            "reads", "tokens of a text at most", [str(n.max_length) if n else DASH for n in lengths]
        ),
        Column(
            "cut",
            "% of the test texts that are longer",
            [number(n.cut_share * 100 if n else None, 1) for n in lengths],
        ),
    )


def _recipes(view: View) -> list[Block]:
    rules = list(dict.fromkeys(r.dominance for r in view if r.dominance))
    lines = [f"- Dominant label by the rule {escape(rule)}." for rule in rules]
    computed = _grouped(view, lambda r: r.compute)
    lines += [
        f"- Fine-tuned in {kind}{f' ({escape(cells)})' if len(computed) > 1 else ''}."
        for kind, cells in computed.items()
        if kind
    ]
    recipes = _grouped(view, lambda r: tuple((r.recipe or {}).items()))
    told = [
        f"- {escape(cells)}: {escape(', '.join(f'{key} {value}' for key, value in recipe))}"  # type: ignore[attr-defined]
        for recipe, cells in recipes.items()
        if recipe
    ]
    return [
        *(["\n".join(lines)] if lines else []),
        *([Fold("Recipes", ["\n".join(told)])] if told else []),
    ]


def _shortlists(view: View) -> list[Block]:
    """Return how engines were chosen that were not named: what is measured and why, and why not the others."""
    found = {(r.cell.encoder, r.engines.model_dump_json()): r.engines for r in view if r.engines}
    if not found:
        return []
    intro = (
        "Engines were chosen (--engines auto) by a probe: two layers of each encoder, in every engine and at "
        "every precision in turns, over batches of 512 tokens and one text of 16. Kept is the quickest of each "
        "with what comes near it, one INT8 cell, and the FP32 cell that the quickest other is held against; INT8 "
        "of a further engine is decided by the thresholds of its own FP32, which is not shown."
    )
    lines = [
        intro,
        "",
        *(f"- {escape(encoder)}: {_told(shortlist)}" for (encoder, _), shortlist in found.items()),
    ]
    if any(record.cell.engine in NO_CHOICE for record in view):
        lines.append("- The floor has an engine of its own, and is measured whatever is chosen.")
    return ["\n".join(lines)]


def _told(found: Shortlist) -> str:
    chosen = "; ".join(f"**{escape(each.name)}** ({escape(each.because)})" for each in found.chosen)
    left_out = [f"{escape(each.name)} ({escape(each.because)})" for each in found.left_out]
    left_out += [f"{escape(name)} ({escape(reason)})" for name, reason in found.refused.items()]
    limit = f" (limited to {escape(found.isa_limit)})" if found.isa_limit else ""
    return "".join(
        [
            f"{chosen}. Left out: {'; '.join(left_out) or 'nothing'}. {escape(found.cpu_model)}{limit}, threads ",
            f"{found.threads}, INT8 dot products {escape(', '.join(found.dot_products)) or 'none'}.",
            *(f" {escape(doubt[0].upper() + doubt[1:])}." for doubt in found.doubts),
        ]
    )


def _machines(view: View) -> list[Block]:
    """Return where it was measured, and folded what ran it there."""
    machines = _grouped(view, _machine_of)
    found: list[_Machine] = list(machines)  # type: ignore[arg-type]
    kernels = _grouped(view, _kernels_of)
    used: list[_Kernels] = list(kernels)  # type: ignore[arg-type]
    versions = dict.fromkeys(_versions_of(record) for record in view)
    return [
        *table(
            Column("CPU", "", [escape(m.cpu) for m in found], words=True),
            Column("threads", "", [str(m.threads) for m in found]),
            Column("system", "", [escape(m.system) for m in found], words=True),
            Column("commit", "", [escape(m.commit) for m in found], words=True),
            Column("cells", "", [escape(cells) for cells in machines.values()], words=True),
        ),
        Fold(
            "Kernels and versions",
            [
                *table(
                    Column("engine", "", [escape(k.engine) for k in used], words=True),
                    Column("precision", "", [k.precision.upper() for k in used], words=True),
                    Column(
                        "ISA", "that the engine used", [escape(k.isa) for k in used], words=True
                    ),
                    Column("kernels", "", [escape(k.kernels) for k in used], words=True),
                    Column("cells", "", [escape(cells) for cells in kernels.values()], words=True),
                ),
                "\n".join(f"- {escape(text)}" for text in versions),
            ],
        ),
    ]


class _Machine(NamedTuple):
    cpu: str
    threads: int
    system: str
    commit: str


def _machine_of(record: Record) -> _Machine:
    found = record.environment
    return _Machine(found.cpu_model, found.threads, found.platform, found.git_commit or DASH)


class _Kernels(NamedTuple):
    engine: str
    precision: str
    isa: str
    kernels: str


def _kernels_of(record: Record) -> _Kernels:
    found, cell = record.environment, record.cell
    limit = f" (limited to {found.isa_limit})" if found.isa_limit else ""
    return _Kernels(cell.engine, cell.precision, found.engine_isa + limit, found.kernels)


def _versions_of(record: Record) -> str:
    found = record.environment
    return ", ".join([found.python, *(f"{k} {v}" for k, v in sorted(found.versions.items()))])


def _grouped(view: View, fact: Callable[[Record], Hashable]) -> dict[Hashable, str]:
    """Return what records have in common, with the names of the cells that share it."""
    grouped: dict[Hashable, list[str]] = {}
    for record in view:
        grouped.setdefault(fact(record), []).append(record.cell.id)
    return {
        key: f"{len(cells)} cells" if len(cells) > _MOST_CELLS else ", ".join(cells)
        for key, cells in grouped.items()
    }


def _budgets(view: View) -> list[Block]:
    checks = [(r.cell.id, check) for r in view for check in r.budgets]
    if not checks:
        return []
    broken = [f"{escape(cell)} {escape(check.name)}" for cell, check in checks if not check.passed]
    said = (
        f"- **{len(broken)} of {len(checks)} budgets are broken**: {listed(broken)}."
        if broken
        else f"- All {len(checks)} budgets are kept."
    )
    rows = table(
        Column("cell", "", [escape(cell) for cell, _ in checks], words=True),
        Column("budget", "", [escape(c.name) for _, c in checks], words=True),
        Column("kept", "", ["yes" if c.passed else "**no**" for _, c in checks], words=True),
        Column("limit", "", [f"{c.limit:.4g}" for _, c in checks]),
        Column("measured", "", [f"{c.value:.4g}" for _, c in checks]),
    )
    return [said, Fold("Every budget", rows)]

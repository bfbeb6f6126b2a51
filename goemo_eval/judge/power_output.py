"""What a test split can detect, in a table and in words."""

from __future__ import annotations

from itertools import groupby

from tabulate import tabulate

from goemo_eval.judge.power import CellPower, Power
from goemo_eval.judge.words import shared

_HEAD = ("cell", "change", "decisions that change", "smallest drop seen")


def as_text(power: Power, *, per_label: bool = False) -> str:
    """Return a forecast for people who are no statisticians.

    Parameters
    ----------
    power : Power
    per_label : bool, default False
        Add a table of every cell's labels.
    """
    first = power.cells[0]
    rows = [
        (
            cell.cell,
            cell.change,
            f"{100 * cell.changed:.0f} in 100" + ("" if cell.measured else " (assumed)"),
            f"{cell.detectable_drop:.3f}",
            _rounded(cell.texts_needed),
            str(sum(label.detectable_drop is None for label in cell.labels)),
        )
        for cell in power.cells
    ]
    head = (*_HEAD, f"texts for a drop of {first.drop:g}", "labels out of sight")
    parts = [tabulate(rows, head, disable_numparse=True)]
    parts += _labels(power) if per_label else []
    return "\n\n".join([*parts, *_words(power)]) + "\n"


def _words(power: Power) -> list[str]:
    scope = shared(power.cells_together, power.horizon)
    cases = f"{100 * power.power:.0f} of 100 cases"
    return [
        _seen_means(power, scope, cases),
        _changes(power),
        "More texts of the same kind help slowly: half the drop beyond the budget takes four times as many.",
        *_out_of_sight(power, cases),
    ]


def _seen_means(power: Power, scope: str, cases: str) -> str:
    sizes = sorted({cell.texts for cell in power.cells})
    texts = " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
    worst = max(power.cells, key=lambda cell: cell.detectable_drop)
    fewer = (
        " Fewer cells or runs that share alpha see smaller drops; so does --alpha-per-cell, with more "
        "false alarms."
    )
    return (
        f"A drop is seen if goemo-eval gate --max-drop {power.max_drop:g} would call it a regression in {cases}, "
        f"at alpha {power.alpha:g}{scope}. Smaller drops mostly pass: not because nothing was lost, but because "
        f"{texts} texts cannot tell them from chance. Where {worst.cell} was {_past(worst)}, a true loss of "
        f"{worst.detectable_drop:.3f} Macro-F1 is the least that is seen so often.{fewer if scope else ''}"
    )


def _changes(power: Power) -> str:
    kinds = {cell.change for cell in power.cells}
    explained = {
        "converted": "converted: the same weights at another precision or on another runtime.",
        "trained anew": "trained anew: another seed, or another recipe of the same quality.",
        "as asked": "as asked: a change that turns as many decisions as --changed says.",
    }
    return (
        "Decisions that change: labels that a text gains or loses, for each 100 that the model gives. The more of "
        "them a change turns, the more of a difference may be chance. "
    ) + " ".join(explained[kind] for kind in explained if kind in kinds)


def _out_of_sight(power: Power, cases: str) -> list[str]:
    labels = {
        label.label
        for cell in power.cells
        for label in cell.labels
        if label.detectable_drop is None
    }
    if not labels:
        return []
    said = (
        f"Labels out of sight: even if a model lost one altogether, the gate's --per-label would not call it in {cases}. "
        f"They are too rare in these texts, or found too seldom: {', '.join(sorted(labels))}."
    )
    return [said]


def _past(cell: CellPower) -> str:
    return "changed" if cell.change == "as asked" else cell.change


def _labels(power: Power) -> list[str]:
    """Return a table for each cell: labels by how many texts have them, and the drops that are seen."""
    tables = []
    for name, group in groupby(power.cells, key=lambda cell: cell.cell):
        cells = list(group)
        rows = [
            (
                labels[0].label,
                f"{labels[0].support:,}",
                f"{labels[0].f1:.3f}",
                *(_seen(label.detectable_drop) for label in labels),
            )
            for labels in zip(*(cell.labels for cell in cells), strict=True)
        ]
        rows.sort(key=lambda row: int(row[1].replace(",", "")))
        head = ("label", "texts", "F1", *(f"seen when {_past(cell)}" for cell in cells))
        table = tabulate(rows, head, disable_numparse=True)
        tables.append(
            f"{name}: smallest drop of a label's F1 that --per-label --max-label-drop {power.max_label_drop:g} sees\n\n"
            f"{table}"
        )
    return tables


def _seen(drop: float | None) -> str:
    return "none" if drop is None else f"{drop:.3f}"


def _rounded(number: int) -> str:
    """Return a number with two digits that say something, as a forecast has."""
    return f"{float(f'{number:.2g}'):,.0f}" if number else "0"

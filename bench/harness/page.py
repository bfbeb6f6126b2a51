"""The page of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from .growth import SIZES
from .lines import Line, lines, shown, times
from .shares import GROUPS
from .targets import TARGETS, TRIED

_ENGINE_LIMITS = {
    "avx2": "Measured under `--isa avx2`, which torch, FBGEMM and oneDNN obey (OpenVINO as far as oneDNN goes). ONNX "
    "Runtime has no such switch: it is left out here, and its numbers without VNNI need a machine without it."
}


def page(result: Mapping[str, Any]) -> str:
    """Return the page as markdown."""
    found, machine = result["found"], result["machine"]
    blocks = [
        "# How fast",
        f"Command: `{result['command']}`",
        _machine(machine),
        *([_ENGINE_LIMITS[machine["isa_limit"]]] if machine["isa_limit"] in _ENGINE_LIMITS else []),
        (
            "Contenders of a line take turns, round by round; a ratio is that of the medians, in brackets its 95 % bootstrap "
            "interval over the rounds. A line that was measured while others used the machine says so."
        ),
    ]
    if rows := [_row(line, machine["dot_products"], found) for line in lines(found)]:
        blocks.append(
            _table(
                rows, "work", "against", "at least", "reached", "verdict", "ours", "theirs", "note"
            )
        )
    blocks += _shortfalls(found, machine["dot_products"])
    if "shares" in found:
        blocks += _shares(found["shares"])
    if growth := {k: v for k, v in found.items() if k.startswith("growth ")}:
        blocks += _growth(growth)
    return "\n\n".join(blocks) + "\n"


def _machine(machine: Mapping[str, Any]) -> str:
    return (
        f"{machine['cpu']}; {', '.join(machine['isa_flags'])}; limit {machine['isa_limit'] or 'none'}; "
        f"{machine['threads']} threads; load {machine['load_start']} to {machine['load_end']}; commit "
        f"{machine['commit']}; {machine['python']}; "
        + ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        + "."
    )


_PART_OF = {
    **dict.fromkeys(("fp32", "best", "layers", "floor"), "scoring"),
    **dict.fromkeys(("import", "help", "version"), "starts"),
}


def _row(line: Line, dot_products: bool, found: Mapping[str, Any]) -> list[str]:
    target = TARGETS[line.name]
    least, goal = target.on(dot_products)
    value = line.reached
    if target.seconds:
        asked, reached = (
            f"{least:g} s",
            f"{value.value:.3g} s ({value.low:.3g} to {value.high:.3g})",
        )
    else:
        asked = f"{least:g} x" + (f", goal {goal:g} x" if goal else "")
        reached = f"{times(value.value)} x ({times(value.low)} to {times(value.high)})"
    part = found[_PART_OF.get(line.name, line.name)]
    busy = part.get("load", {}).get("reason") or ""
    note = "; ".join(filter(None, [line.note, f"unstable: {busy}" if busy else ""]))
    return [
        target.work,
        target.against,
        asked,
        reached,
        line.verdict(dot_products),
        line.ours,
        line.theirs,
        note,
    ]


def _shortfalls(found: Mapping[str, Any], dot_products: bool) -> list[str]:
    """Say of each line that falls short why, and what was tried."""
    return [
        f"*{TARGETS[line.name].work}* **falls short**. {TRIED[line.name, dot_products]}"
        for line in lines(found)
        if (line.name, dot_products) in TRIED and line.falls_short(dot_products)
    ]


def _shares(part: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, cell in part["cells"].items():
        whole = cell["whole_us"]
        rows.append(
            [
                name,
                f"{whole / 1e3:.1f}",
                *(f"{100 * cell['us'][group] / whole:.0f} %" for group in GROUPS),
                f"{cell['limit_us'] / 1e3:.1f}",
                f"{100 * cell['of_the_limit']:.0f} %",
            ]
        )
    rates = part["gemm_gops"]
    return [
        "## Where the time goes",
        (
            f"One batch of about {part['tokens']} padded tokens by one thread. One large product runs at "
            f"{rates['fp32']:g} GFLOP/s in FP32 and {rates['int8']:g} GOP/s in INT8 there (torch): what the layers' products "
            "alone would take at that rate is the limit. Shares are of each group's least time of several passes (torch's: of their mean), so they "
            "need not sum to 100 %; *rest* is what no profiler names."
        ),
        _table(rows, "cell", "ms", *GROUPS, "limit, ms", "of the limit"),
    ]


def _growth(found: Mapping[str, Any]) -> list[str]:
    names = {
        "floor": "the floor scores the split n times",
        "encoder": "the best cell scores the split n times",
        "thresholds": "thresholds per label, rows x labels",
        "bootstrap": "paired bootstrap, 1,000 draws, rows x labels",
        "gate": "gate of one cell, 1,000 draws, rows x labels",
        "report": "report, cells",
    }
    rows = []
    for what in SIZES:
        for key, entry in found.items():
            _, kind, size = key.split(" ")
            if kind == what:
                said = size.removesuffix("x0") if size.endswith("x0") else size.replace("x", " x ")
                if "error" in entry:
                    rows.append([names[what], said, "-", "-", entry["error"]])
                else:
                    rows.append(
                        [names[what], said, shown(entry["seconds"]), str(entry["peak_mb"]), ""]
                    )
    return [
        "## How cost grows",
        "Each size in a process of its own; the peak is of that process, everything in it included.",
        _table(rows, "work", "size", "time", "peak, MB", ""),
    ]


def _table(rows: Sequence[Sequence[str]], *head: str) -> str:
    return str(tabulate(rows, head, tablefmt="github", disable_numparse=True))

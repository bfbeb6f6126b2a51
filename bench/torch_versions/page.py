"""The page of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from .comparing import ALPHA
from .timing import SINGLE_TEXTS, SPLIT_TEXTS

_DASH = "—"
_SHOWN = ("torch", "transformers", "tokenizers", "onnxruntime", "openvino", "nncf", "numpy")


def page(result: Mapping[str, Any]) -> str:
    """Return the page as markdown."""
    machine, reference = result["machine"], next(iter(result["contenders"]))
    blocks = [
        "# One checkpoint under several versions of torch",
        f"Command: `{result['command']}`",
        f"{machine['cpu']}; {', '.join(machine['isa_flags'])}.",
        *summary(result),
        _versions(result["contenders"], result["commits"]),
        "## Scores",
        (
            f"Every version converted the checkpoint for itself and scored all {result['data']['test']:,} test texts by one "
            "thread, in processes of its own; INT8 as it is converted, without the repair. Thresholds are fitted on validation "
            "to FP32's own probabilities of that version and engine. Changes are against "
            f"{reference}, on the same texts, in brackets the paired 95 % bootstrap interval; p is of a two-sided permutation "
            "test, corrected for all rows (Holm). *Files* says whether the artifact has the same bytes, but for the one file "
            "that names versions."
        ),
        _scores(result["cells"], reference),
        *_times(result, reference),
        *_tests(result["tests"]),
    ]
    return "\n\n".join(blocks) + "\n"


def summary(result: Mapping[str, Any]) -> list[str]:
    """Say in a sentence per version what differs, and whether it is beyond chance."""
    reference, *others = result["contenders"]
    said = []
    for label in others:
        rows = {cell: beside[label] for cell, beside in result["cells"].items() if label in beside}
        lacking = [cell for cell in result["cells"] if cell not in rows]
        if not rows:
            said.append(f"- **{label}**: scored no cell.")
            continue
        moved = {cell: row for cell, row in rows.items() if row["flips"]}
        beyond = [cell for cell, row in rows.items() if row["holm"] <= ALPHA]
        words = [
            f"{len(rows) - len(moved)} of {len(rows)} cells decide every text as under {reference}"
        ]
        if moved:
            most = max(moved, key=lambda cell: moved[cell]["flips"])
            row = moved[most]
            words.append(
                f"most decisions changed in {most}: {row['flips']} of {row['decisions']:,}, Macro-F1 "
                f"{row['change']:+.4f}"
            )
        words.append(f"beyond chance: {', '.join(beyond) or 'none'}")
        if lacking:
            words.append(f"not scored: {', '.join(lacking)}")
        said.append(f"- **{label}**: {'; '.join(words)}.")
    return ["\n".join(said)] if said else []


def _versions(contenders: Mapping[str, Any], commits: Mapping[str, str | None]) -> str:
    rows = [
        [
            label,
            facts["python"],
            *(facts["versions"].get(name, _DASH) for name in _SHOWN),
            commits[label] or _DASH,
        ]
        for label, facts in contenders.items()
    ]
    return _table(rows, "version", "Python", *_SHOWN, "scored at commit")


def _scores(cells: Mapping[str, Any], reference: str) -> str:
    rows = []
    for cell, beside in cells.items():
        for label, row in beside.items():
            rows.append(
                [cell, label, f"{row['test_macro_f1']:.4f}", f"{row['size_bytes'] / 1e6:.2f}"]
            )
            if label == reference:
                rows[-1] += [_DASH] * 5
            else:
                rows[-1] += [
                    f"{row['change']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})",
                    f"{row['holm']:.2g}",
                    f"{row['flips']} ({row['texts']} texts)",
                    f"{row['logits_apart']:.1e}",
                    "same" if row["same_files"] else "other",
                ]
    head = ("cell", "version", "Macro-F1", "MB", "change", "p", "flips", "logits apart", "files")
    return _table(rows, *head)


def _times(result: Mapping[str, Any], reference: str) -> list[str]:
    times = result["times"]
    if times is None:
        return []
    rows = []
    for cell, of in times["ratios"]["split"].items():
        for label, split in of.items():
            single = times["ratios"]["single"][cell][label]
            rows.append(
                [
                    cell,
                    label,
                    f"{split['seconds']:.3f}",
                    _ratio(split) if label != reference else _DASH,
                    f"{single['seconds'] * 1e3:.2f}",
                    _ratio(single) if label != reference else _DASH,
                ]
            )
    load = times["load"]
    busy = f" **Unstable: {load['reason']}.**" if load["reason"] else ""
    return [
        "## Times",
        (
            f"{SPLIT_TEXTS} test texts at once, and {SINGLE_TEXTS} one at a time (each round's median), text in, scores out, by "
            f"{times['threads']} threads; versions take turns, each in a process of its own, over {times['rounds']} rounds after one that is not "
            f"counted. Ratios are of the medians, to {reference}: above 1 is slower; in brackets 95 % bootstrap intervals over "
            f"the rounds. Load {load['load_start']} to {load['load_end']}.{busy}"
        ),
        _table(
            rows, "cell", "version", f"{SPLIT_TEXTS} texts, s", "ratio", "one text, ms", "ratio"
        ),
    ]


def _tests(tests: Mapping[str, Any]) -> list[str]:
    if not tests:
        return []
    rows = [
        [label, found["counts"], ", ".join(found["failed"]) or _DASH, str(found["commit"])]
        for label, found in tests.items()
    ]
    return [
        "## Tests",
        "Those of `tests/engines`, `tests/models` and `tests/pipeline`, run under each version.",
        _table(rows, "version", "ended", "failed", "commit"),
    ]


def _ratio(found: Mapping[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _table(rows: Sequence[Sequence[str]], *head: str) -> str:
    return str(tabulate(rows, head, tablefmt="github", disable_numparse=True))

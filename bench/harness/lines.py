"""From what was timed to lines of the table: what was reached, its interval, and whether it is enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .cells import MOST_LOSS
from .scoring import PIPELINE
from .starting import median
from .targets import TARGETS
from .training import TRAINER
from .turns import Ratio, ratio

TOLERANCE = 1e-4
_HALF = 0.5


class Line(NamedTuple):
    """A line of the table.

    Attributes
    ----------
    name : str
        Of `TARGETS`.
    reached : Ratio
        Times, or seconds where the target is a time.
    ours, theirs : str
        What took how long, in words.
    note : str
        What else holds, such as the Macro-F1 that was lost.
    kept : bool
        Whether what must hold beside the ratio does.
    """

    name: str
    reached: Ratio
    ours: str
    theirs: str
    note: str = ""
    kept: bool = True

    def falls_short(self, dot_products: bool) -> bool:
        """Say whether less is reached than is asked, or something else does not hold."""
        target = TARGETS[self.name]
        least, _ = target.on(dot_products)
        value = self.reached.value
        return not self.kept or (value > least if target.seconds else value < least)

    def verdict(self, dot_products: bool) -> str:
        """Say whether the target is reached, and the goal beyond it."""
        if self.falls_short(dot_products):
            return "**falls short**" + ("" if self.kept else " (see the note)")
        _, goal = TARGETS[self.name].on(dot_products)
        return "goal reached" if goal is not None and self.reached.value >= goal else "reached"


def lines(found: Mapping[str, Any]) -> Iterator[Line]:
    """Yield the lines of what was measured, in the table's order."""
    chosen = found.get("choose", {})
    if "scoring" in found:
        yield from _scoring(found["scoring"], chosen)
    if "single" in found:
        yield _single(found["single"])
    if "thresholds" in found:
        part = found["thresholds"]
        f1 = part["macro_f1"]
        yield _pair(
            "thresholds",
            part["seconds"],
            "scikit-learn",
            "ours",
            f"Macro-F1 on the rows fitted: {f1['ours']:.4f} against {f1['scikit-learn']:.4f}",
        )
    if "bootstrap" in found:
        part = found["bootstrap"]
        note = f"{part['drawn_of_the_loop']} draws of the loop were made and the rest reckoned"
        yield _pair("bootstrap", part["seconds"], "scikit-learn", "ours", note)
    if "training" in found:
        yield _training(found["training"])
    if "starts" in found:
        yield from _starts(found["starts"])
    if "report" in found:
        yield _seconds("report", found["report"]["seconds"]["report"])
    if "memory" in found:
        yield _memory(found["memory"])


def _scoring(part: Mapping[str, Any], chosen: Mapping[str, Any]) -> Iterator[Line]:
    scores = chosen["scores"]
    for name in ("fp32", "best", "layers", "floor"):
        if name not in part["seconds"]:
            continue
        cell = chosen["names"][name]
        kept, note = True, ""
        if name == "fp32":
            kept = part["logits_apart"] <= TOLERANCE
            note = f"logits differ by {part['logits_apart']:.1e} at most; "
        score = scores[cell if name in ("fp32", "best") else name]
        loss, low, high = score["test_loss"]
        note += f"test Macro-F1 {score['test']:.4f}"
        if name != "fp32":
            note += f", {loss:+.4f} lost to FP32 ({low:+.4f} to {high:+.4f})"
        if name == "best":
            fp32 = scores[chosen["names"]["fp32"]]["validation"]
            kept = fp32 - score["validation"] <= MOST_LOSS
            note += f"; on validation {fp32 - score['validation']:+.4f}"
        yield _pair(name, part["seconds"], PIPELINE, name, note, kept=kept, called=cell)


def _pair(
    name: str,
    seconds: Mapping[str, list[float]],
    theirs: str,
    ours: str,
    note: str = "",
    *,
    kept: bool = True,
    called: str = "",
) -> Line:
    return Line(
        name,
        ratio(seconds[theirs], seconds[ours]),
        f"{called or ours} {shown(median(seconds[ours]))}",
        f"{theirs} {shown(median(seconds[theirs]))}",
        note,
        kept,
    )


def _single(part: Mapping[str, Any]) -> Line:
    medians = {name: median(times) for name, times in part["seconds"].items()}
    ours = min((name for name in medians if name != PIPELINE), key=lambda name: medians[name])
    note = ", ".join(
        f"{name} {shown(value)}" for name, value in sorted(medians.items(), key=lambda e: e[1])
    )
    return _pair("single", part["seconds"], PIPELINE, ours, note)


def _training(part: Mapping[str, Any]) -> Line:
    seconds, losses = part["seconds"], part["final_loss"]
    fp32 = ratio(seconds[TRAINER], seconds["ours fp32"])
    note = (
        f"{part['steps']} steps, in {'bfloat16' if part['bf16'] else 'FP32: no bfloat16 here'}; in FP32 "
        f"{fp32.value:.2f} x ({fp32.low:.2f} to {fp32.high:.2f}); losses at the end: "
        + ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
    )
    return _pair("training", seconds, TRAINER, "ours auto", note)


def _starts(part: Mapping[str, Any]) -> Iterator[Line]:
    bare = median(part["seconds"]["bare python"])
    for name in ("import", "help", "version"):
        note = "" if name == "import" else f"a bare interpreter takes {shown(bare)}"
        yield _seconds(name, part["seconds"][name], note)


def _seconds(name: str, times: list[float], note: str = "") -> Line:
    value = median(times)
    return Line(name, Ratio(value, min(times), max(times)), shown(value), "", note)


def _memory(part: Mapping[str, Any]) -> Line:
    theirs = part[PIPELINE]["peak_bytes"]
    best = min((n for n in part if n != PIPELINE), key=lambda n: part[n]["peak_bytes"])
    worst = max(part[n]["peak_bytes"] for n in part if n != PIPELINE)
    value = theirs / part[best]["peak_bytes"]
    note = "in MB, processes of their own: " + ", ".join(
        f"{name} {entry['peak_bytes'] / 1e6:.0f}" for name, entry in part.items()
    )
    return Line(
        "memory",
        Ratio(value, theirs / worst, value),
        f"{best} {part[best]['peak_bytes'] / 1e6:.0f} MB",
        f"{PIPELINE} {theirs / 1e6:.0f} MB",
        note + "; the interval is that of the cells",
        theirs > worst,
    )


def times(ratio: float) -> str:
    """Return a ratio in three digits, or in whole numbers where it has more."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def shown(seconds: float) -> str:
    """Return a time in words."""
    if seconds < _HALF:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s"

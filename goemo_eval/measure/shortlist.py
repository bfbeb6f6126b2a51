"""Which engines and precisions are worth measuring on a machine, by what a probe saw, and why not the others.

Kept are the quickest over batches and the quickest for one text, whatever comes near them, one FP32 cell
and one of INT8: the rest could be chosen for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Literal

from pydantic import Field

from goemo_eval.cpu import DOT_PRODUCTS
from goemo_eval.errors import EngineError
from goemo_eval.frozen import Frozen
from goemo_eval.measure.probe import Probe, Probed, called

AUTO: Literal["auto"] = "auto"
"""What is asked for in place of names of engines."""
MARGIN = 0.15
"""Who takes at most so much longer than the quickest is kept beside it: a probe tells no less apart."""
UNSTABLE_MARGIN = 0.5
"""The same of a probe that was taken on a busy machine."""
_UNLIMITED = "onnxruntime"
"""The engine that `goemo_eval.cpu.ISA_LIMITS` do not reach."""
Ratio = Annotated[float, Field(ge=0)]


class Listed(Frozen):
    """One engine at one precision, and why it is measured or left out."""

    engine: str
    precision: str
    because: str
    batch_ratio: Ratio | None = None
    """Median over the rounds of its time over that of the quickest, over batches; None where not timed."""
    single_ratio: Ratio | None = None
    """The same for one text."""

    @property
    def name(self) -> str:
        """As it is told."""
        return called(self.engine, self.precision)


class Shortlist(Frozen):
    """What ``--engines auto`` came to, for one encoder on one machine."""

    asked: Literal["auto"] = AUTO
    chosen: Annotated[tuple[Listed, ...], Field(min_length=1)]
    left_out: tuple[Listed, ...]
    refused: dict[str, str] = Field(default_factory=dict)
    """What could not be timed, such as ``openvino INT8`` or ``openvino``, and why."""
    cpu_model: str
    dot_products: tuple[str, ...]
    """Of the CPU's instructions, those that multiply INT8 without saturating, as far as they are allowed."""
    isa_limit: str | None = None
    threads: Annotated[int, Field(ge=1)]
    rounds: Annotated[int, Field(ge=1)]
    margin: Annotated[float, Field(ge=0)]
    unstable_because: str = ""
    """Why the probe's times cannot be relied on, so that more was kept; empty if they can."""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Engine and precision of what is to be measured."""
        return tuple((each.engine, each.precision) for each in self.chosen)

    @property
    def told(self) -> str:
        """In a line: what is measured and why, and what was wrong with the probe."""
        chosen = ", ".join(f"{each.name} ({each.because})" for each in self.chosen)
        return "; ".join([f"--engines auto measures {chosen}", *self.doubts])

    @property
    def doubts(self) -> tuple[str, ...]:
        """What the probe's times do not say, and the mend; empty if there is nothing to doubt."""
        found = []
        if self.unstable_because:
            found.append(
                f"the probe was unstable ({self.unstable_because}), so that more may be kept than need be: on a "
                "quiet machine delete probes/ in the store, and it is taken again"
            )
        if self.isa_limit is not None and any(
            each.engine == _UNLIMITED for each in (*self.chosen, *self.left_out)
        ):
            found.append(
                f"{_UNLIMITED} has no switch that would limit it to {self.isa_limit}, and was quicker than it "
                "would be on a CPU that ends there"
            )
        return tuple(found)


@dataclass(frozen=True)
class _Race:
    """One shape of the probe: who was quickest in it, and how many times as long the others took."""

    what: str
    quickest: Probed
    ratios: Mapping[str, float]


def choose(probe: Probe) -> Shortlist:
    """Choose what is worth measuring.

    Kept are: the quickest over batches and the quickest for one text; who takes at most 15 % longer than one of
    them, or 50 % where the probe was unstable; the quickest INT8 over batches if none is among these, since it
    is the smallest; and one FP32 cell, of the engine whose other precision is quickest over batches, since INT8
    is held against its own engine's FP32.

    Parameters
    ----------
    probe : Probe

    Returns
    -------
    Shortlist
        The chosen quickest first, over batches; so the left out.

    Raises
    ------
    EngineError
        If the probe timed nothing.
    """
    if not probe.cells:
        refusals = "; ".join(probe.refused.values()) or "no engine was asked"
        raise EngineError(f"--engines auto: no engine could be timed here: {refusals}")
    margin = MARGIN if probe.load.stable else UNSTABLE_MARGIN
    races = (
        _race("over batches", [(cell, cell.batch_s) for cell in probe.cells]),
        _race("for one text", [(cell, cell.single_s) for cell in probe.cells]),
    )
    batches = races[0].ratios
    ordered = sorted(probe.cells, key=lambda cell: (batches[cell.name], cell.name))
    reasons: dict[str, list[str]] = {cell.name: [] for cell in ordered}
    _add_near(races, ordered, reasons, MARGIN)
    _add_int8(ordered, reasons)
    _add_fp32(ordered, reasons)
    if margin > MARGIN:  # beside what is kept anyway
        kept = {name for name, said in reasons.items() if said}
        rest = [cell for cell in ordered if cell.name not in kept]
        _add_near(races, rest, reasons, margin)
    chosen = [
        _listed(cell, races, ", ".join(reasons[cell.name]))
        for cell in ordered
        if reasons[cell.name]
    ]
    left_out = [
        _listed(cell, races, _slower(cell, races)) for cell in ordered if not reasons[cell.name]
    ]
    return Shortlist(
        chosen=tuple(chosen),
        left_out=tuple(left_out),
        refused=probe.refused,
        cpu_model=probe.cpu_model,
        dot_products=tuple(flag for flag in probe.isa_flags if flag in DOT_PRODUCTS)
        if probe.isa_limit is None
        else (),
        isa_limit=probe.isa_limit,
        threads=probe.threads,
        rounds=len(ordered[0].batch_s),
        margin=margin,
        unstable_because=probe.load.reason,
    )


def _race(what: str, times: Sequence[tuple[Probed, tuple[float, ...]]]) -> _Race:
    quickest, best = min(times, key=lambda pair: (median(pair[1]), pair[0].name))
    ratios = {
        cell.name: median(own / other for own, other in zip(seconds, best, strict=True))
        for cell, seconds in times
    }
    return _Race(what, quickest, ratios)


def _add_near(
    races: Sequence[_Race],
    cells: Sequence[Probed],
    reasons: dict[str, list[str]],
    margin: float,
) -> None:
    """Keep the quickest of each race, and who comes near it."""
    for race in races:
        for cell in cells:
            if cell is race.quickest:
                reasons[cell.name].append(f"quickest {race.what}")
            elif race.ratios[cell.name] <= 1 + margin:
                near = f"within {margin:.0%} of {race.quickest.name} {race.what}"
                reasons[cell.name].append(near)


def _add_int8(ordered: Sequence[Probed], reasons: dict[str, list[str]]) -> None:
    """Keep one INT8 cell: where it gains no speed, it still is the smallest."""
    int8 = [cell for cell in ordered if cell.precision == "int8"]
    if int8 and not any(reasons[cell.name] for cell in int8):
        reasons[int8[0].name].append("the quickest INT8 over batches, and the smallest on disk")


def _add_fp32(ordered: Sequence[Probed], reasons: dict[str, list[str]]) -> None:
    """Keep the FP32 cell that the quickest of the other precisions is held against, or else any."""
    fp32 = {cell.engine: cell for cell in ordered if cell.precision == "fp32"}
    lower = [cell for cell in ordered if cell.precision != "fp32" and reasons[cell.name]]
    for cell in lower:
        if (twin := fp32.get(cell.engine)) is not None:
            if not reasons[twin.name]:
                reasons[twin.name].append(f"the FP32 that {cell.name} is held against")
            return
    if fp32 and not any(reasons[cell.name] for cell in fp32.values()):
        quickest = next(iter(fp32.values()))
        reasons[quickest.name].append("the quickest FP32 over batches")


def _listed(cell: Probed, races: Sequence[_Race], because: str) -> Listed:
    batch, single = (round(race.ratios[cell.name], 4) for race in races)
    return Listed(
        engine=cell.engine,
        precision=cell.precision,
        because=because,
        batch_ratio=batch,
        single_ratio=single,
    )


def _slower(cell: Probed, races: Sequence[_Race]) -> str:
    """Say by how much a cell is slower than the quickest."""
    over, one = races
    first = f"{over.ratios[cell.name]:.1f} times as long as {over.quickest.name} {over.what}"
    who = "" if one.quickest is over.quickest else f" as {one.quickest.name}"
    return f"{first} and {one.ratios[cell.name]:.1f} times as long{who} {one.what}"

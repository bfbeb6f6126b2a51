"""One view of a set of records: what belongs together, worked out once.

Whoever speaks of several records asks this, and works nothing of it out again:

    each cell at one seed                       view.shown (a view again)
    cells with all their seeds, their means     view.groups, view.summaries, view.group_of(record)
    INT8, or BF16, beside FP32                  view.pairs, view.shown.pairs, view.twin(record)
    the FP32 cell that stands for an encoder    view.references: .shown, .group, .summary, .named
    by id, by scheme, in order                  view.find(cell), view.of_scheme(name), view.records
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from goemo_eval.errors import RecordError, unknown_name
from goemo_eval.frozen import PRECISIONS
from goemo_eval.records.over_seeds import SeedSummary, summarize
from goemo_eval.records.schema import Cell, Record

REFERENCE_ENGINE = "torch"


@dataclass(frozen=True)
class Pair:
    """A record of INT8 or BF16 and its FP32 twin: same encoder, scheme, engine and seed."""

    fp32: Record
    reduced: Record

    def __iter__(self) -> Iterator[Record]:
        return iter((self.fp32, self.reduced))


@dataclass(frozen=True)
class Group:
    """The records of a cell that differ only in their seed, lowest seed first."""

    cell: Cell
    """With seed 0, whatever the seeds are."""
    records: tuple[Record, ...]
    shown: Record
    """The one that single cells are shown at."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the records."""
        return tuple(record.cell.seed for record in self.records)

    @property
    def several(self) -> bool:
        """Whether there is more than one seed."""
        return len(self.records) > 1

    @cached_property
    def summary(self) -> SeedSummary | None:
        """The scored records over their seeds; None if none was scored.

        Raises
        ------
        RecordError
            If they were measured on different data or under different recipes.
        """
        scored = [record for record in self.records if record.scores]
        return summarize(scored) if scored else None


@dataclass(frozen=True)
class Reference:
    """The FP32 cell that stands for an encoder under a scheme: torch's, or else the first engine's."""

    group: Group
    named: Cell
    """What it is called by: with its own seed, or with seed 0 where its encoder has several."""

    @property
    def shown(self) -> Record:
        """The record at the seed that is shown."""
        return self.group.shown

    @property
    def summary(self) -> SeedSummary | None:
        """Over all of its seeds."""
        return self.group.summary


class View:
    """Records in the order of a report, and what belongs together among them.

    Parameters
    ----------
    records : iterable of Record
        In any order. They are sorted by encoder, scheme, seed, engine (torch, the reference, first)
        and precision.

    Raises
    ------
    RecordError
        If two of them are of one cell.

    Notes
    -----
    Everything is computed when it is first asked for and then kept; records are frozen, so nothing goes
    stale. ``View(view.shown)`` is cheap, and so is `of_scheme`.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.records: tuple[Record, ...] = tuple(sorted(records, key=_order))
        self._by_id = {record.cell.id: record for record in self.records}
        if len(self._by_id) != len(self.records):
            twice = Counter(record.cell.id for record in self.records).most_common(1)[0][0]
            raise RecordError(f"two records of cell {twice}: leave one of them out")

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def _repr_html_(self) -> str:
        """Return a table for a notebook."""
        from goemo_eval.records.frames import records_to_frame

        return str(records_to_frame(self.records).dropna(axis="columns", how="all").to_html())

    def find(self, cell: Cell | str) -> Record | None:
        """Return the record of a cell, or of its id; None if there is none."""
        return self._by_id.get(cell if isinstance(cell, str) else cell.id)

    def twin(self, record: Record) -> Record | None:
        """Return the FP32 cell that a cell is held against; of FP32 the INT8 cell."""
        return self.find(record.cell.at("int8" if record.cell.precision == "fp32" else "fp32"))

    def group_of(self, record: Record) -> Group:
        """Return the group that a record belongs to."""
        return self._group_by_cell[_seedless(record.cell)]

    def of_scheme(self, scheme: str) -> View:
        """Return the records of one scheme."""
        if scheme not in self._by_scheme:
            raise RecordError(unknown_name("scheme", scheme, self.schemes))
        return self._by_scheme[scheme]

    @cached_property
    def schemes(self) -> tuple[str, ...]:
        """Names of the schemes, sorted."""
        return tuple(sorted({record.cell.scheme for record in self.records}))

    @cached_property
    def scored(self) -> tuple[Record, ...]:
        """The records with scores, all seeds."""
        return tuple(record for record in self.records if record.scores)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Every cell with all of its seeds, in the order of the first of each."""
        return tuple(self._group_by_cell.values())

    @cached_property
    def several_seeds(self) -> bool:
        """Whether any cell was measured under several seeds."""
        return any(group.several for group in self.groups)

    @cached_property
    def summaries(self) -> tuple[SeedSummary, ...]:
        """Every scored cell over its seeds."""
        return tuple(group.summary for group in self.groups if group.summary)

    @cached_property
    def shown(self) -> View:
        """Each cell at one seed, for what is said of single cells.

        Cells of one encoder and scheme are taken at one and the same seed, so that engines and
        precisions are compared on one checkpoint: the seed under which most of them were scored and timed, of
        several such the one under which most were scored, then the lowest. A cell that lacks it is taken at its
        own lowest. How they scored has no say.
        """
        if not self.several_seeds:
            return self
        chosen = {group.shown.cell for group in self.groups}
        return View(record for record in self.records if record.cell in chosen)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Each record of INT8 or BF16 with its FP32 twin, of every seed; ``view.shown.pairs`` has one seed's."""
        both = ((self.twin(r), r) for r in self.records if r.cell.precision != "fp32")
        return tuple(Pair(fp32, reduced) for fp32, reduced in both if fp32)

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """One FP32 cell per encoder and scheme, with all of its seeds."""
        found: dict[tuple[str, str], Group] = {}
        for group in self.groups:
            words = group.cell.encoder, group.cell.scheme
            if group.cell.precision == "fp32" and (
                words not in found
                or group.cell.engine == REFERENCE_ENGINE != found[words].cell.engine
            ):
                found[words] = group
        seeds: dict[str, set[int]] = {}
        for group in found.values():
            seeds.setdefault(group.cell.encoder, set()).update(group.seeds)
        return tuple(
            Reference(group, group.cell if len(seeds[encoder]) > 1 else group.shown.cell)
            for (encoder, _), group in found.items()
        )

    @cached_property
    def engines(self) -> tuple[str, ...]:
        """Names of the engines, torch first."""
        return tuple(dict.fromkeys(sorted((r.cell.engine for r in self.records), key=_engine)))

    @cached_property
    def _by_scheme(self) -> dict[str, View]:
        return {
            name: View(r for r in self.records if r.cell.scheme == name) for name in self.schemes
        }

    @cached_property
    def _group_by_cell(self) -> dict[Cell, Group]:
        members: dict[Cell, list[Record]] = {}
        for record in self.records:
            members.setdefault(_seedless(record.cell), []).append(record)
        leads = _leading_seeds(self.records)
        return {
            cell: Group(
                cell=cell,
                records=tuple(records),
                shown=next(
                    (r for r in records if r.cell.seed == leads[cell.encoder, cell.scheme]),
                    records[0],
                ),
            )
            for cell, records in members.items()
        }


def _leading_seeds(records: Sequence[Record]) -> dict[tuple[str, str], int]:
    """Return by encoder and scheme the seed that cells are shown at: see `View.shown`."""
    counted: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
    for record in records:
        seeds = counted.setdefault((record.cell.encoder, record.cell.scheme), {})
        timed, scored = seeds.get(record.cell.seed, (0, 0))
        if record.scores is not None:
            timed, scored = timed + bool(record.latency or record.offline), scored + 1
        seeds[record.cell.seed] = timed, scored
    return {
        words: max(seeds, key=lambda seed: (*seeds[seed], -seed))
        for words, seeds in counted.items()
    }


def _seedless(cell: Cell) -> Cell:
    return cell.model_copy(update={"seed": 0})


def _engine(engine: str) -> tuple[bool, str]:
    return engine != REFERENCE_ENGINE, engine


def _order(record: Record) -> tuple[str, str, int, bool, str, int]:
    cell = record.cell
    return (
        cell.encoder,
        cell.scheme,
        cell.seed,
        *_engine(cell.engine),
        PRECISIONS.index(cell.precision),
    )

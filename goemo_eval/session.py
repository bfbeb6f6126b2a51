"""A run: its cells, their records so far, their budgets and verdicts, and the report at the end.

``goemo-eval run`` and the pytest plugin are two ways to drive one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from goemo_eval.cpu import has_dot_products, limit_isa
from goemo_eval.data.groupings import scheme_names
from goemo_eval.engines.registry import ENGINES
from goemo_eval.errors import CellError, RecordError
from goemo_eval.judge.baseline import read_baseline
from goemo_eval.judge.budgets import Budgets, check_budget, load_budgets, scenario_of
from goemo_eval.judge.gate import gate
from goemo_eval.judge.verdict import CellVerdict
from goemo_eval.measure.scenarios import Latency, Scenario
from goemo_eval.models.encoders import encoder_names
from goemo_eval.options import Options
from goemo_eval.pipeline.assemble import data_of, measure
from goemo_eval.pipeline.cells import Matrix, matrix
from goemo_eval.pipeline.executors import prepare
from goemo_eval.pipeline.fitting import Fitted, Run, fit
from goemo_eval.pipeline.kept_times import kept_times
from goemo_eval.pipeline.probing import shortlist
from goemo_eval.pipeline.store import Store, default_store
from goemo_eval.pipeline.timing import time_split, time_throughput
from goemo_eval.records.comparable import TIMED, comparable, times_of
from goemo_eval.records.schema import BudgetCheck, Cell, Record

NO_DOT_PRODUCTS = (
    "no INT8 dot-product instructions (VNNI) here, or forbidden by --isa: INT8 gives up a bit lest sums "
    "saturate, scores differently than on a CPU with VNNI, and gains less speed"
)
_SPEEDUP = "min_int8_speedup"
_NAMED = 3  # cells in a remark
_T = TypeVar("_T")


@dataclass(eq=False)
class Session:
    """The state of a run.

    Attributes
    ----------
    options : Options
    matrix : Matrix
    run : Run
    budgets : Budgets
    baseline : dict of str to Record
        The scored ones by cell id; empty without a baseline.
    cells : tuple of Cell
        Those that are asked for: the matrix, or what a test run selected of it.
    records : dict of str to Record
        By cell id, as far as measured.
    earlier : dict of str to Record
        What a run before had, by cell id: stable times of what has not changed are kept.
    kept : list of str
        Ids of the cells whose times were.
    failed : bool
        Whether the process of any cell failed, or a cell could not be compared with the baseline. That is
        no regression, and no pass either.
    """

    options: Options
    matrix: Matrix
    run: Run
    budgets: Budgets
    baseline: Mapping[str, Record]
    cells: tuple[Cell, ...]
    records: dict[str, Record] = field(default_factory=dict)
    earlier: Mapping[str, Record] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    failed: bool = False
    _failures: dict[str, str] = field(default_factory=dict)
    _twins: dict[str, Record] = field(default_factory=dict)
    _prepared: bool = False

    @property
    def notes(self) -> list[str]:
        """What a user should know before the run begins."""
        found = list(self.matrix.plan.dataset.notes.lines())
        if any(cell.precision == "int8" for cell in self.cells) and not has_dot_products():
            found.append(NO_DOT_PRODUCTS)
        found += [f"{reason}: these cells are left out" for reason in self.matrix.refused]
        shortlists = self.matrix.shortlists.items()
        return [*found, *(f"{encoder}: {listed.told}" for encoder, listed in shortlists)]

    @property
    def remarks(self) -> list[str]:
        """What a user should know when the run is over."""
        made = ", ".join(f"{count} {kind}" for kind, count in sorted(self.run.store.made.items()))
        notes = {f"made {made or 'nothing: all of it was in the store'}": None}
        for cell in self.cells:
            if cell.id in self.records:
                for note in fit(self.run, cell).checkpoint.notes:
                    notes[f"{cell.encoder} {cell.scheme}: {note}"] = None
        if self.earlier:
            notes[f"times of {len(self.kept)} of {len(self.records)} cells were kept"] = None
        unchecked = self._unchecked()
        if unchecked:
            shown = ", ".join([*unchecked][:_NAMED])
            more = f" and {len(unchecked) - _NAMED} more" if len(unchecked) > _NAMED else ""
            notes[
                f"times were unstable, and their budgets were not checked: {shown}{more} "
                f"({next(iter(unchecked.values()))})"
            ] = None
        return [*notes]

    def measure(self, cell: Cell) -> Record:
        """Return a cell's record, measured now as far as the store has not kept it.

        Raises
        ------
        CellError
            If a process of the cell's failed, now or before.
        GoemoError
            What the steps raise of mistakes.
        """
        self._prepare()
        if cell.id not in self.records:
            self._fit(cell)
            self.records[cell.id] = self._once(cell.id, measure, cell)
            self.update(cell, engines=self.matrix.shortlists.get(cell.encoder))
        return self.records[cell.id]

    def keep_times(self, cell: Cell) -> bool:
        """Put the times of an earlier run into a measured cell's record, where they hold; say whether they do."""
        found = kept_times(self.run, self.measure(cell), self.earlier.get(cell.id))
        if found:
            self.update(cell, **found)
            self.kept.append(cell.id)
        return bool(found)

    def time_whole(self, cell: Cell) -> Record:
        """Time a measured cell over the whole split: forward passes in turns, and text to scores."""
        self.measure(cell)
        fields = time_split(self.run, cell)
        return self.update(cell, offline=time_throughput(self.run, cell), **fields)

    def add_latency(self, cell: Cell, scenario: Scenario, latency: Latency) -> Record:
        """Put a scenario's times into a measured cell's record."""
        return self.update(cell, latency={**self.records[cell.id].latency, scenario: latency})

    def update(self, cell: Cell, **fields: Any) -> Record:
        """Put fields into a measured cell's record, and check its budgets again."""
        record = self.records[cell.id].model_copy(update=fields)
        budget = self.budgets.of(self.matrix.plan.dataset.name, cell.id)
        twin = None if budget.max_int8_drop is None else self._twin(cell)
        checks = check_budget(record, budget, reference=twin)
        self.records[cell.id] = record.model_copy(update={"budgets": checks})
        return self.records[cell.id]

    def over_budget(self, cell: Cell, wanted: Callable[[str], bool]) -> list[BudgetCheck]:
        """Return the budgets that a cell exceeded, of those whose name is wanted."""
        found = self.records[cell.id].budgets
        return [check for check in found if not check.passed and wanted(check.name)]

    def gate(self, cell: Cell) -> CellVerdict | None:
        """Judge a cell against the baseline; None where that has no score of it.

        Alpha is of the whole run: the cells that are judged take equal shares of it. At least one is called
        a regression exactly where `goemo_eval.gate` would call one over all of them.
        """
        old = self.baseline.get(cell.id)
        if old is None:
            return None
        judged = sum(each.id in self.baseline for each in self.cells)
        verdict = gate(
            [old],
            [self.measure(cell)],
            max_drop=self.options.max_drop,
            alpha=self.options.alpha / max(1, judged),
        )
        self.failed |= verdict.status == "not-comparable"
        return verdict.cells[0]

    def write_report(self, command: str) -> Path | None:
        """Write the report of the records so far; None if there are none."""
        if not self.records:
            return None
        from goemo_eval.report.render import write_report

        return write_report(
            list(self.records.values()),
            self.matrix.reports,
            title=f"goemo_eval report: {self.matrix.plan.dataset.name}",
            command=command,
        )

    def close(self) -> None:
        """Remove what the run was writing."""
        self.run.store.close()

    def _prepare(self) -> None:
        """Look at what was brought before anything is trained; then let a cluster work ahead."""
        if self._prepared:
            return
        self._prepared = True
        for cell in self.cells:
            if (cell.encoder, cell.scheme) in self.run.plan.checkpoints:
                with suppress(CellError):  # it is met again where the cell is measured
                    self._fit(cell)
        prepare(
            self.run,
            self.cells,
            executor=self.options.executor,
            gpus=self.options.gpus_per_cell,
        )

    def _fit(self, cell: Cell) -> Fitted:
        return self._once(f"{cell.encoder}-{cell.scheme}-s{cell.seed}", fit, cell)

    def _once(self, what: str, step: Callable[[Run, Cell], _T], cell: Cell) -> _T:
        """Take a step, unless it failed before: nobody waits for the same crash twice."""
        try:
            if what in self._failures:
                raise CellError(self._failures[what])
            return step(self.run, cell)
        except CellError as error:
            self.failed = True
            self._failures[what] = str(error)
            raise

    def _twin(self, cell: Cell) -> Record | None:
        """Return the FP32 record that an INT8 cell is held against, whether or not it was asked for."""
        if cell.precision != "int8":
            return None
        twin = cell.at("fp32")
        if twin.id in self.records:
            return self.records[twin.id]
        if twin.id not in self._twins:
            self._twins[twin.id] = self._once(twin.id, measure, twin)
        return self._twins[twin.id]

    def _unchecked(self) -> dict[str, str]:
        """Return what has a budget and unstable times, and why they are unstable."""
        found = {}
        for cell_id, record in self.records.items():
            budget = self.budgets.of(self.matrix.plan.dataset.name, cell_id)
            limited = {scenario_of(name) for name, limit in budget if limit is not None}
            for scenario in TIMED:
                times = times_of(record, scenario)
                if times is not None and scenario in limited and not times.load.stable:
                    found[f"{cell_id} {scenario}"] = times.load.reason
            speedup = record.speedup
            if speedup and getattr(budget, _SPEEDUP) is not None and not speedup.load.stable:
                found[f"{cell_id} speed over FP32"] = speedup.load.reason
        return found


def open_session(
    options: Options,
    *,
    budgets_beside: Path | None = None,
    earlier: Mapping[str, Record] | None = None,
) -> Session:
    """Resolve options into a run; nothing is measured yet.

    Parameters
    ----------
    options : Options
    budgets_beside : Path, optional
        File of budgets to use where the options name none and it exists.
    earlier : dict of str to Record, optional
        By cell id, what a run before measured: see `Session.keep_times`.

    Raises
    ------
    GoemoError
        If options, data, recipe, budgets, store or baseline cannot be used, or do not go together.
    """
    if options.isa is not None:
        limit_isa(options.isa)
    source = options.budgets
    if source is None and budgets_beside is not None and budgets_beside.is_file():
        source = budgets_beside
    budgets = load_budgets(source)
    baseline = read_baseline(options.baseline).records if options.baseline else ()
    store = Store(options.store or default_store())
    found = matrix(options, budgets=budgets, shorten=partial(shortlist, store=store))
    if options.budgets is not None:
        _check_budgets(budgets, found)
    scored = {record.cell.id: record for record in baseline if record.scores is not None}
    if options.baseline is not None:
        _check_baseline(options.baseline, scored, found)
    return Session(
        options=options,
        matrix=found,
        run=Run(found.plan, store),
        budgets=budgets,
        baseline=scored,
        cells=found.cells,
        earlier=earlier or {},
    )


def _check_budgets(budgets: Budgets, found: Matrix) -> None:
    """Refuse budgets, which a user named, that could never apply."""
    plan = found.plan
    budgets.check_names(
        plan.dataset.name,
        encoders={*encoder_names(), *plan.encoders, *(cell.encoder for cell in found.cells)},
        schemes=scheme_names(plan.dataset.labels, groups=plan.groups),
        engines=[*ENGINES],
    )


def _check_baseline(path: Path, scored: Mapping[str, Record], found: Matrix) -> None:
    """Refuse a baseline that could judge nothing of this run, before there is a run."""
    shared = [cell for cell in found.cells if cell.id in scored]
    if not shared:
        raise RecordError(
            f"{path}: a baseline of none of this run's cells: it has {_few(scored)}, the run has "
            f"{_few([cell.id for cell in found.cells])}: make one of this run's records (goemo-eval baseline set)"
        )
    for cell in shared:
        if differing := comparable(*_before_and_now(scored[cell.id], cell, found), "scores"):
            raise RecordError(
                f"{path}: {cell.id}: cannot be compared with this run: {'; '.join(differing)}: pass the "
                "baseline of these data, or make one (goemo-eval baseline set)"
            )


def _before_and_now(record: Record, cell: Cell, found: Matrix) -> tuple[Record, Record]:
    """Return a record without its decisions, and the like of it with what is known before measuring."""
    scheme = found.plan.scheme(cell.scheme)
    before = record.model_copy(update={"decisions": None})
    known = {
        "data": data_of(found.plan),
        "kind": scheme.kind,
        "labels": scheme.labels,
        "dominance": scheme.dominance,
    }
    return before, before.model_copy(update=known)


def _few(names: Collection[str]) -> str:
    shown = ", ".join([*names][:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown or "none"

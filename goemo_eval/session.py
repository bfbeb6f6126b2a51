"""A run: its cells, their records so far, their budgets and verdicts, and the report at the end.

``goemo-eval run`` and the pytest plugin are two ways to drive one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goemo_eval.cpu import has_dot_products, limit_isa
from goemo_eval.errors import CellError
from goemo_eval.judge.budgets import Budgets, check_budget, load_budgets
from goemo_eval.judge.gate import gate
from goemo_eval.judge.verdict import CellVerdict
from goemo_eval.measure.scenarios import Latency, Scenario
from goemo_eval.options import Options
from goemo_eval.pipeline.assemble import measure
from goemo_eval.pipeline.cells import Matrix, matrix
from goemo_eval.pipeline.executors import prepare
from goemo_eval.pipeline.steps import Run, fit
from goemo_eval.pipeline.store import Store, default_store
from goemo_eval.pipeline.timing import time_split, time_throughput
from goemo_eval.records.files import read_records
from goemo_eval.records.schema import BudgetCheck, Cell, Record

NO_DOT_PRODUCTS = (
    "no INT8 dot-product instructions (VNNI) here, or forbidden by --isa: INT8 gives up a bit lest sums "
    "saturate, scores differently than on a CPU with VNNI, and gains less speed"
)


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
        By cell id; empty without a baseline.
    records : dict of str to Record
        By cell id, as far as measured.
    failures : dict of str to str
        Cells whose own process failed, and how.
    """

    options: Options
    matrix: Matrix
    run: Run
    budgets: Budgets
    baseline: Mapping[str, Record]
    records: dict[str, Record] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _prepared: bool = False

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of the matrix."""
        return self.matrix.cells

    @property
    def notes(self) -> list[str]:
        """What a user should know before the run begins."""
        found = list(self.matrix.plan.dataset.notes.lines())
        if any(cell.precision == "int8" for cell in self.cells) and not has_dot_products():
            found.append(NO_DOT_PRODUCTS)
        return found

    def measure(self, cell: Cell) -> Record:
        """Return a cell's record, measured now as far as the store has not kept it.

        Raises
        ------
        CellError
            If a process of the cell's failed, now or before.
        """
        if cell.id in self.failures:
            raise CellError(self.failures[cell.id])
        if cell.id not in self.records:
            if not self._prepared:
                self._prepared = True
                for each in self.cells:
                    if (each.encoder, each.scheme) in self.run.plan.checkpoints:
                        fit(
                            self.run, each
                        )  # what is brought is looked at before anything is trained
                prepare(
                    self.run,
                    self.cells,
                    executor=self.options.executor,
                    gpus=self.options.gpus_per_cell,
                )
            try:
                found = measure(self.run, cell)
            except CellError as error:
                self.failures[cell.id] = str(error)
                raise
            self.records[cell.id] = found
            self.update(cell)
        return self.records[cell.id]

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
        twin = self.records.get(cell.at("fp32").id)
        budget = self.budgets.of(self.matrix.plan.dataset.name, cell.id)
        checks = check_budget(record, budget, reference=twin)
        self.records[cell.id] = record.model_copy(update={"budgets": checks})
        return self.records[cell.id]

    def over_budget(self, cell: Cell, wanted: Callable[[str], bool]) -> list[BudgetCheck]:
        """Return the budgets that a cell exceeded, of those whose name is wanted."""
        found = self.records[cell.id].budgets
        return [check for check in found if not check.passed and wanted(check.name)]

    def gate(self, cell: Cell) -> CellVerdict | None:
        """Judge a cell against the baseline; None where that has no score of it.

        Cells are judged one by one, so each has its equal share of the run's alpha (Bonferroni):
        `goemo-eval gate`, which sees all of them at once, spends it better.
        """
        old = self.baseline.get(cell.id)
        if old is None or old.scores is None:
            return None
        gated = sum(each.id in self.baseline for each in self.cells)
        verdict = gate(
            [old],
            [self.measure(cell)],
            max_drop=self.options.max_drop,
            alpha=self.options.alpha / gated,
        )
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


def open_session(options: Options, *, budgets_beside: Path | None = None) -> Session:
    """Resolve options into a run; nothing is measured yet.

    Parameters
    ----------
    options : Options
    budgets_beside : Path, optional
        File of budgets to use where the options name none and it exists.

    Raises
    ------
    GoemoError
        If options, data, recipe, budgets, store or baseline cannot be used.
    """
    if options.isa is not None:
        limit_isa(options.isa)
    source = options.budgets
    if source is None and budgets_beside is not None and budgets_beside.is_file():
        source = budgets_beside
    budgets = load_budgets(source)
    found = matrix(options, budgets=budgets)
    baseline = read_records(options.baseline) if options.baseline else []
    return Session(
        options=options,
        matrix=found,
        run=Run(found.plan, Store(options.store or default_store())),
        budgets=budgets,
        baseline={record.cell.id: record for record in baseline},
    )

"""The pytest side: options, the matrix as parameters, and records, report and verdicts at the end.

``bench/conftest.py`` loads it; the tests there only call `Bench` and assert.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goemo_eval.cpu import limit_isa
from goemo_eval.engines.registry import missing_engine
from goemo_eval.errors import EXIT_BAD_INPUT, GoemoError
from goemo_eval.judge.budgets import check_budget, load_budget
from goemo_eval.judge.gate import gate
from goemo_eval.judge.verdict import CellVerdict
from goemo_eval.measure.latency import latency_batches, rounds_within, summarize_times, time_forward
from goemo_eval.models.recipes import load_recipe
from goemo_eval.pipeline.evaluate import Workbench
from goemo_eval.pipeline.executors import check_executor, prepare
from goemo_eval.pipeline.matrix import (
    Profile,
    get_profile,
    matrix,
    parse_checkpoints,
    parse_dominance,
    parse_repair,
    parse_seeds,
    parse_train,
    parse_weights,
)
from goemo_eval.pipeline.plan import INT8_BUDGET, Plan
from goemo_eval.pipeline.store import default_store
from goemo_eval.pytest_options import pytest_addoption  # noqa: F401 (pytest looks for it here)
from goemo_eval.records.files import read_records
from goemo_eval.records.schema import BudgetCheck, Cell, Record

LATENCY_BUDGETS = {"real": "max_real_p50_s", "padded128": "max_padded128_p50_s"}


class Bench:
    """What the bench's tests share: the cells, their records so far, and their budgets."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.getoption
        if option("--isa"):
            limit_isa(option("--isa"))
        self.profile_name: str = option("--profile")
        profile: Profile = get_profile(self.profile_name)
        weights = parse_weights(option("--weights"))
        checkpoints = parse_checkpoints(option("--checkpoint"))
        if option("--threads") < 1:
            raise GoemoError(f"--threads must be at least 1: got {option('--threads')}")
        self.cells = matrix(
            encoders=option("--encoders"),
            schemes=option("--schemes"),
            engines=option("--engines"),
            precisions=option("--precisions"),
            seeds=parse_seeds(option("--seeds")),
            weights=weights,
            checkpoints=checkpoints,
            default_engines=profile.engines,
        )
        self.reports: Path = option("--reports") or Path("reports") / self.profile_name
        self.budgets: Path = option("--budgets") or config.rootpath / "bench/budgets.toml"
        int8_budget = load_budget(self.budgets, self.profile_name).max_int8_drop
        self.workbench = Workbench(
            Plan(
                source=option("--data") or profile.data,
                recipe=load_recipe(option("--recipe") or profile.recipe),
                store=option("--store") or default_store(),
                threads=option("--threads"),
                train=parse_train(option("--train")),
                dominance=parse_dominance(option("--dominance")),
                checkpoints=checkpoints,
                weights=weights,
                split_budget_s=profile.split_budget_s,
                batch_budget_s=profile.batch_budget_s,
                int8_repair=parse_repair(option("--int8-repair")),
                int8_budget=INT8_BUDGET if int8_budget is None else int8_budget,
            )
        )
        gate_file: Path | None = option("--gate")
        self.baseline = {r.cell.id: r for r in read_records(gate_file)} if gate_file else {}
        self.max_drop: float = option("--max-drop")
        self.alpha: float = option("--alpha")
        self.records: dict[str, Record] = {}
        self.executor = check_executor(option("--executor"))
        self._prepared = False
        self._config = config

    def measure(self, cell: Cell) -> Record:
        """Score a cell and time it over the test split (fine-tuning it first where that is due).

        A cell whose engine is not installed is skipped, with the command that installs it.
        """
        if (reason := missing_engine(cell.engine)) is not None:
            pytest.skip(reason)
        if cell.id not in self.records:
            with self._uncaptured():
                self._prepare()
                self.records[cell.id] = self.workbench.measure(cell)
            self._judge(cell)
        return self.records[cell.id]

    def _prepare(self) -> None:
        """Let the executor fine-tune and score all cells, before the first is measured."""
        if not self._prepared:
            self._prepared = True
            gpus = self._config.getoption("--gpus-per-cell")
            prepare(self.workbench, self.cells, executor=self.executor, gpus=gpus)

    def time(self, cell: Cell, shape: str, benchmark: Any) -> Record:
        """Let pytest-benchmark time the forward pass, and put the times into the cell's record."""
        self.measure(cell)
        with self._uncaptured():
            classifier = self.workbench.classifier(cell)
        texts = self.workbench.task(cell.scheme).texts["test"]
        batches = latency_batches(classifier, texts, shape)
        time_forward(classifier, batches[0])  # warm-up: the first call allocates and packs
        rounds = rounds_within(
            time_forward(classifier, batches[0]), budget_s=self.workbench.plan.batch_budget_s
        )
        turn = iter(range(10**9))

        def next_batch() -> tuple[tuple[Any], dict[str, Any]]:
            return (batches[next(turn) % len(batches)],), {}

        benchmark.group = f"{cell.encoder} {cell.scheme} {shape}"
        benchmark.pedantic(classifier.forward, setup=next_batch, rounds=rounds)
        if benchmark.stats is not None:  # None under --benchmark-disable
            latency = summarize_times(
                benchmark.stats.stats.data,
                batch_size=len(batches[0].rows),
                threads=self.workbench.plan.threads,
            )
            self._update(cell, latency=self.records[cell.id].latency | {shape: latency})
        self._judge(cell)
        # Before any assertion: a failed one would otherwise leave its row without a verdict.
        benchmark.extra_info["goemo"] = self.records[cell.id].model_dump(mode="json")
        return self.records[cell.id]

    def over_budget(self, cell: Cell, shape: str | None = None) -> list[BudgetCheck]:
        """Return the budgets that a cell exceeded: those of one shape, or those of no shape."""
        wanted = {LATENCY_BUDGETS[shape]} if shape else None
        return [
            check
            for check in self.records[cell.id].budgets
            if not check.passed
            and (check.name in wanted if wanted else check.name not in LATENCY_BUDGETS.values())
        ]

    def gate(self, cell: Cell) -> CellVerdict | None:
        """Judge a cell against the baseline of ``--gate``; None where that has no score of it."""
        old = self.baseline.get(cell.id)
        if old is None or old.scores is None:
            return None
        new = self.measure(cell)
        return gate([old], [new], max_drop=self.max_drop, alpha=self.alpha).cells[0]

    def _judge(self, cell: Cell) -> None:
        budget = load_budget(self.budgets, self.profile_name, cell.id)
        twin = self.workbench.measure(cell.at("fp32")) if cell.precision == "int8" else None
        self._update(cell, budgets=check_budget(self.records[cell.id], budget, reference=twin))

    def _update(self, cell: Cell, **fields: Any) -> None:
        self.records[cell.id] = self.records[cell.id].model_copy(update=fields)

    def _uncaptured(self) -> Any:
        """Let progress bars through to the terminal."""
        manager = self._config.pluginmanager.getplugin("capturemanager")
        return manager.global_and_fixture_disabled()

    def write_report(self) -> Path:
        """Write the report of the records so far."""
        from goemo_eval.report.render import write_report

        command = shlex.join(["pytest", *map(str, self._config.invocation_params.args)])
        return write_report(
            list(self.records.values()),
            self.reports,
            title=f"goemo_eval report: {self.profile_name}",
            command=command,
        )


_BENCH = pytest.StashKey[Bench]()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Build the bench from the options; a user's mistake ends the run in one line, exit code 2."""
    try:
        config.stash[_BENCH] = Bench(config)
    except GoemoError as error:
        pytest.exit(f"goemo-eval: {error}", returncode=EXIT_BAD_INPUT)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove temporary checkpoints."""
    if _BENCH in config.stash:
        config.stash[_BENCH].workbench.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that takes a ``cell`` the whole matrix, a cell's tests side by side."""
    if "cell" in metafunc.fixturenames:
        cells = metafunc.config.stash[_BENCH].cells
        metafunc.parametrize("cell", cells, ids=[cell.id for cell in cells], scope="session")


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest) -> Bench:
    """Give tests the run's `Bench`."""
    return request.config.stash[_BENCH]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """End the run in one line when a test meets a mistake of the user's, such as a broken file."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, GoemoError):
        item.session.shouldfail = f"goemo-eval: {call.excinfo.value}"
        item.config.stash[_USER_ERROR] = str(call.excinfo.value)
    return report


_USER_ERROR = pytest.StashKey[str]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report of whatever was measured, also after a failure or an interruption."""
    bench = session.config.stash.get(_BENCH, None)
    if bench is not None and bench.records:
        session.config.stash[_REPORT] = bench.write_report()
    if _USER_ERROR in session.config.stash:
        session.exitstatus = EXIT_BAD_INPUT


_REPORT = pytest.StashKey[Path]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say where the report is, and what a user must mend."""
    if _REPORT in config.stash:
        terminalreporter.write_line(f"goemo-eval: report in {config.stash[_REPORT]}")
    if _USER_ERROR in config.stash:
        terminalreporter.write_line(f"goemo-eval: {config.stash[_USER_ERROR]}", red=True)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: Any, output_json: dict[str, Any]
) -> None:
    """Give every row of a cell the cell's final record: earlier rows saw it half filled."""
    del benchmarks
    records = config.stash[_BENCH].records
    for row in output_json["benchmarks"]:
        early = row["extra_info"].get("goemo")
        if early is not None:
            final = records[Cell(**early["cell"]).id]
            row["extra_info"]["goemo"] = final.model_dump(mode="json")

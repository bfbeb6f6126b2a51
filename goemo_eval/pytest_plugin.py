"""The pytest plugin: options, the matrix as parameters, and records, report and verdicts at the end.

It is installed with the library and stays silent until ``--goemo`` or a ``conftest.py`` asks for it:
a test run that does not pays for reading this file and a table of options.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from goemo_eval.measure.scenarios import Scenario
    from goemo_eval.records.schema import Cell, Record
    from goemo_eval.session import Session

PREFIX = "--goemo-"
TABLE = Path(__file__).with_name("pytest_options.json")
"""Written by `goemo_eval.options` from the one model of options, which takes longer to import."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--goemo`` and the options of a run."""
    group = parser.getgroup("goemo-eval", "which text classifier to put on a CPU")
    group.addoption(
        "--goemo",
        action="store_true",
        help="measure the cells of goemo.toml, or of the options below",
    )
    group.addoption(f"{PREFIX}file", metavar="FILE", help="run file; default: goemo.toml")
    for view in json.loads(TABLE.read_bytes()):
        keep: dict[str, Any] = {"action": "store_true", "default": None} if view["flag"] else {}
        if view["repeatable"]:
            keep = {"action": "append"}
        if view["metavar"] and not view["flag"]:
            keep["metavar"] = view["metavar"]
        group.addoption(
            PREFIX + view["name"].replace("_", "-"),
            dest=_destination(view["name"]),
            help=view["help"].replace("%", "%%"),
            **keep,
        )


def _destination(name: str) -> str:
    return f"goemo_{name}"


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Open the run that the options ask for; a user's mistake ends it in one line, exit code 2."""
    if not config.getoption("--goemo"):
        return
    from goemo_eval.errors import EXIT_BAD_INPUT, GoemoError

    try:
        if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
            raise GoemoError(
                "pytest -n runs tests side by side, and their times would be of one another: leave it out"
            )
        from goemo_eval.options import find_run_file, read_options
        from goemo_eval.session import open_session

        named = config.getoption(f"{PREFIX}file")
        views = json.loads(TABLE.read_bytes())
        options = read_options(
            {v["name"]: config.getoption(_destination(v["name"]), None) for v in views},
            run_file=Path(named) if named else find_run_file(config.rootpath),
            prefix=PREFIX,
        )
        session = open_session(options, budgets_beside=config.rootpath / "bench/budgets.toml")
    except GoemoError as error:
        pytest.exit(f"goemo-eval: {error}", returncode=EXIT_BAD_INPUT)
    config.stash[_SESSION] = session


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the run was writing."""
    if _SESSION in config.stash:
        config.stash[_SESSION].close()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is measured, and what a user should know of the data."""
    session = config.stash.get(_SESSION, None)
    if session is None:
        return []
    plan = session.matrix.plan
    head = (
        f"goemo-eval: {len(session.cells)} cells of {plan.dataset.name}, recipe {plan.recipe.name}"
    )
    return [head, *(f"goemo-eval: {note}" for note in session.notes)]


_SESSION: pytest.StashKey[Session] = pytest.StashKey()
_USER_ERROR: pytest.StashKey[str] = pytest.StashKey()
_REPORT: pytest.StashKey[Path] = pytest.StashKey()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that takes a ``goemo_cell`` the whole matrix, a cell's tests side by side."""
    if "goemo_cell" in metafunc.fixturenames:
        session = metafunc.config.stash.get(_SESSION, None)
        cells = session.cells if session else ()
        metafunc.parametrize("goemo_cell", cells, ids=[cell.id for cell in cells], scope="session")


class Goemo:
    """What a test asks of a cell."""

    def __init__(self, session: Session, config: pytest.Config) -> None:
        self.session = session
        self._config = config

    def measure(self, cell: Cell) -> Record:
        """Score a cell, fine-tuning it first where that is due.

        A cell whose engine is not installed is skipped, with the command that installs it; one whose
        process crashed fails, and the others go on.
        """
        from goemo_eval.engines.registry import missing_engine

        if (reason := missing_engine(cell.engine)) is not None:
            pytest.skip(reason)
        with self._uncaptured(), _crash_fails():
            return self.session.measure(cell)

    def time_whole(self, cell: Cell) -> Record:
        """Time a cell over the whole test split, INT8 in turns with FP32."""
        self.measure(cell)
        with self._uncaptured(), _crash_fails():
            return self.session.time_whole(cell)

    def time(self, cell: Cell, scenario: Scenario, benchmark: Any) -> Record:
        """Let pytest-benchmark time a scenario, and put the times into the cell's record."""
        from goemo_eval.measure.machine_load import Watch
        from goemo_eval.measure.scenarios import summarize_times
        from goemo_eval.pipeline.timing import timed
        from goemo_eval.records.files import embed

        record = self.measure(cell)
        with self._uncaptured(), _crash_fails():
            batches = timed(self.session.run, cell, scenario)
        if batches is None:
            pytest.skip(f"not timed under {scenario}: {record.unscored_reason}")
        batches.warm_up()
        calls = iter(batches.calls * batches.rounds)  # round by round

        def next_call() -> tuple[tuple[Any], dict[str, Any]]:
            return (next(calls),), {}

        benchmark.group = f"{cell.encoder} {cell.scheme} {scenario}"
        with Watch() as watch:
            benchmark.pedantic(
                lambda call: call(), setup=next_call, rounds=len(batches.calls) * batches.rounds
            )
        if benchmark.stats is not None:  # None under --benchmark-disable
            latency = summarize_times(
                benchmark.stats.stats.data,
                batches,
                threads=self.session.run.plan.threads,
                load=watch.load,
            )
            record = self.session.add_latency(cell, scenario, latency)
        # Before any assertion: a failed one would otherwise leave its row without a verdict.
        benchmark.extra_info["goemo"] = embed(record)
        return record

    def over_budget(self, cell: Cell, scenario: str | None = None) -> list[Any]:
        """Return the budgets that a cell exceeded: those of one scenario, or those of none."""
        from goemo_eval.judge.budgets import scenario_of

        return self.session.over_budget(cell, lambda name: scenario_of(name) == scenario)

    def gate(self, cell: Cell) -> Any:
        """Judge a cell against the baseline; None where there is no baseline, or none of the cell."""
        if cell.id not in self.session.baseline:
            return None
        self.measure(cell)
        return self.session.gate(cell)

    def _uncaptured(self) -> Any:
        """Let progress bars through to the terminal."""
        manager = self._config.pluginmanager.getplugin("capturemanager")
        return manager.global_and_fixture_disabled()


class _crash_fails:  # noqa: N801 - reads as a statement
    """Turn the crash of a cell's process into its test's failure."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from goemo_eval.errors import CellError

        if isinstance(error, CellError):
            pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def goemo(request: pytest.FixtureRequest) -> Goemo:
    """Give tests the run."""
    session = request.config.stash.get(_SESSION, None)
    if session is None:
        pytest.skip("goemo-eval was not asked for: pass --goemo")
    return Goemo(session, request.config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """End the run in one line when a test meets a mistake of the user's, such as a broken file."""
    report = yield
    if _SESSION in item.config.stash and call.excinfo is not None:
        from goemo_eval.errors import GoemoError

        if isinstance(call.excinfo.value, GoemoError):
            item.session.shouldfail = f"goemo-eval: {call.excinfo.value}"
            item.config.stash[_USER_ERROR] = str(call.excinfo.value)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report of whatever was measured, also after a failure or an interruption."""
    ours = session.config.stash.get(_SESSION, None)
    if ours is None:
        return
    from goemo_eval.errors import EXIT_BAD_INPUT, GoemoError

    command = shlex.join(["pytest", *map(str, session.config.invocation_params.args)])
    try:
        if (report := ours.write_report(command)) is not None:
            session.config.stash[_REPORT] = report
    except GoemoError as error:
        session.config.stash[_USER_ERROR] = str(error)
    if _USER_ERROR in session.config.stash:
        session.exitstatus = EXIT_BAD_INPUT


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say where the report is, what was not computed again, and what a user must mend."""
    session = config.stash.get(_SESSION, None)
    if session is None:
        return
    made = ", ".join(f"{count} {kind}" for kind, count in sorted(session.run.store.made.items()))
    terminalreporter.write_line(f"goemo-eval: made {made or 'nothing: all of it was in the store'}")
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
    session = config.stash.get(_SESSION, None)
    if session is None:
        return
    for row in output_json["benchmarks"]:
        early = row["extra_info"].get("goemo")
        if early is not None:
            from goemo_eval.records.files import embed
            from goemo_eval.records.schema import Cell

            row["extra_info"]["goemo"] = embed(session.records[Cell(**early["cell"]).id])

"""The pytest plugin: options, the matrix as parameters, and records, report and verdicts at the end.

It is installed with the library and stays silent until ``--goemo`` or a ``conftest.py`` asks for it:
a test run that does not pays for reading this file and a table of options.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from goemo_eval.judge.verdict import CellVerdict
    from goemo_eval.measure.scenarios import Scenario
    from goemo_eval.options import Options
    from goemo_eval.records.schema import BudgetCheck, Cell, Record
    from goemo_eval.session import Session

PREFIX = "--goemo-"
TABLE = Path(__file__).with_name("pytest_options.json")
"""Written by `goemo_eval.options` from the one model of options, which takes longer to import."""
NOT_ASKED = "goemo-eval was not asked to measure: pass --goemo"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--goemo`` and the options of a run."""
    group = parser.getgroup("goemo-eval", "which text classifier to put on a CPU")
    group.addoption(
        "--goemo",
        action="store_true",
        help="measure the cells of goemo.toml, or of the options below",
    )
    group.addoption(
        f"{PREFIX}file",
        metavar="FILE",
        help="run file; default: goemo.toml here, or at the root of the tests",
    )
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
    # --help and --markers configure, too, and measure nothing.
    if not config.getoption("--goemo") or config.option.help or config.option.markers:
        return
    from goemo_eval.errors import GoemoError

    try:
        _refuse_company(config)
        session = _opener()(_options(config), budgets_beside=config.rootpath / "bench/budgets.toml")
    except (GoemoError, OSError) as error:
        # Exit says it on stderr; the reporter would say it again.
        config.pluginmanager.unregister(name="terminalreporter")
        _end(error)
    config.stash[_SESSION] = session


def _opener() -> Callable[..., Session]:
    """Return what opens a run; a server's environment, without the extra `bench`, has none."""
    from goemo_eval.errors import OptionError

    try:
        from goemo_eval.session import open_session
    except ModuleNotFoundError as error:
        raise OptionError(
            f"--goemo needs the package {error.name}, which is not installed: pip install 'goemo-eval[bench]'"
        ) from None
    return open_session


def _refuse_company(config: pytest.Config) -> None:
    """Refuse pytest-xdist, whose workers would time one another."""
    from goemo_eval.errors import OptionError

    side_by_side = config.getoption("numprocesses", None) or config.getoption("tx", None)
    if side_by_side or hasattr(config, "workerinput"):
        raise OptionError(
            "pytest -n runs tests side by side, and their times would be of one another: leave it out"
        )


def _options(config: pytest.Config) -> Options:
    from goemo_eval.run_file import find_run_file, read_options

    named = config.getoption(f"{PREFIX}file")
    # A project within another, such as an example of a repository, has its own.
    nearest = find_run_file(config.invocation_params.dir) or find_run_file(config.rootpath)
    views = json.loads(TABLE.read_bytes())
    return read_options(
        {v["name"]: config.getoption(_destination(v["name"]), None) for v in views},
        run_file=Path(named) if named else nearest,
        prefix=PREFIX,
    )


def _end(error: BaseException) -> NoReturn:
    """End the test run in one line, with the exit code of a mistake."""
    from goemo_eval.errors import EXIT_BAD_INPUT
    from goemo_eval.records.values import escaped

    pytest.exit(f"goemo-eval: {escaped(str(error))}", returncode=EXIT_BAD_INPUT)


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
    head = f"{len(session.cells)} cells of {plan.dataset.name}, recipe {plan.recipe.name}"
    return _lines(head, *session.notes)


_SESSION: pytest.StashKey[Session] = pytest.StashKey()
_REPORT: pytest.StashKey[Path] = pytest.StashKey()
_MISTAKE: pytest.StashKey[str] = pytest.StashKey()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that takes a ``goemo_cell`` the whole matrix, a cell's tests side by side."""
    if "goemo_cell" not in metafunc.fixturenames:
        return
    session = metafunc.config.stash.get(_SESSION, None)
    if session is None:
        cells = [pytest.param(None, id="not-asked", marks=pytest.mark.skip(reason=NOT_ASKED))]
    else:
        cells = [pytest.param(cell, id=cell.id) for cell in session.matrix.cells]
    metafunc.parametrize("goemo_cell", cells, scope="session")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Ask for the cells alone that ``-k``, ``--lf`` and their like left."""
    ours = session.config.stash.get(_SESSION, None)
    if ours is not None:
        parameters = [getattr(item, "callspec", None) for item in session.items]
        chosen = [found.params.get("goemo_cell") for found in parameters if found is not None]
        ours.cells = tuple(cell for cell in ours.matrix.cells if cell in chosen)


class Goemo:
    """What a test asks of a cell.

    A cell whose engine is not installed is skipped, with the command that installs it. One whose process
    crashed fails, and the others go on. A user's mistake ends the test run.
    """

    def __init__(self, session: Session, config: pytest.Config) -> None:
        self.session = session
        self._config = config

    def measure(self, cell: Cell) -> Record:
        """Score a cell, fine-tuning it first where that is due."""
        from goemo_eval.engines.registry import missing_engine

        if (reason := missing_engine(cell.engine)) is not None:
            pytest.skip(reason)
        with self._at_work():
            return self.session.measure(cell)

    def time_whole(self, cell: Cell) -> Record:
        """Time a cell over the whole test split, INT8 in turns with FP32."""
        self.measure(cell)
        # pytest-benchmark has no part in this, but the wish is plain.
        for wish in ("disable", "skip"):
            if self._config.getoption(f"benchmark_{wish}", False):
                pytest.skip(f"not timed: --benchmark-{wish}")
        with self._at_work():
            return self.session.time_whole(cell)

    def time(self, cell: Cell, scenario: Scenario, benchmark: Any) -> Record:
        """Let pytest-benchmark time a scenario, and put the times into the cell's record."""
        from goemo_eval.measure.machine_load import Watch
        from goemo_eval.measure.scenarios import summarize_times
        from goemo_eval.pipeline.timing import timed
        from goemo_eval.records.files import embed

        record = self.measure(cell)
        with self._at_work():
            batches = timed(self.session.run, cell, scenario)
        if batches is None:
            pytest.skip(f"not timed under {scenario}: {record.unscored_reason or 'not planned'}")
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

    def over_budget(self, cell: Cell, scenario: str | None = None) -> list[BudgetCheck]:
        """Return the budgets that a cell exceeded: those of one scenario, or those of none."""
        from goemo_eval.judge.budgets import scenario_of

        return self.session.over_budget(cell, lambda name: scenario_of(name) == scenario)

    def gate(self, cell: Cell) -> CellVerdict | None:
        """Judge a cell against the baseline; None where there is no baseline, or no score of the cell in it."""
        if cell.id not in self.session.baseline:
            return None
        self.measure(cell)
        with self._at_work():
            return self.session.gate(cell)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Let progress bars through to the terminal, and errors end what they should."""
        from goemo_eval.errors import CellError, GoemoError
        from goemo_eval.records.values import escaped

        with self._uncaptured():
            try:
                yield
            except CellError as error:
                raise pytest.fail.Exception(escaped(str(error)), pytrace=False) from None
            except (GoemoError, OSError) as error:
                self.session.failed = True
                _end(error)

    def _uncaptured(self) -> AbstractContextManager[Any]:
        manager = self._config.pluginmanager.getplugin("capturemanager")
        return manager.global_and_fixture_disabled() if manager else nullcontext()


@pytest.fixture(scope="session")
def goemo(request: pytest.FixtureRequest) -> Goemo:
    """Give tests the run."""
    session = request.config.stash.get(_SESSION, None)
    if session is None:
        pytest.skip(NOT_ASKED)
    return Goemo(session, request.config)


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
    except (GoemoError, OSError) as error:
        session.config.stash[_MISTAKE] = str(error)
    # Exit code 1 says that something was lost: what failed otherwise must not end in it.
    if _MISTAKE in session.config.stash or ours.failed:
        session.exitstatus = EXIT_BAD_INPUT


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say where the report is, what was not computed again, and what a user must mend."""
    session = config.stash.get(_SESSION, None)
    if session is None or config.option.collectonly:
        return
    lines = []
    if session.records:
        lines = session.remarks
    elif _MISTAKE not in config.stash and not session.failed:
        lines = ["nothing was measured: no selected test asked for a goemo_cell"]
    if _REPORT in config.stash:
        lines.append(f"report in {config.stash[_REPORT]}")
        wanted = config.getoption("benchmark_json", None)
        if wanted and not config._benchmarksession.benchmarks:  # type: ignore[attr-defined]
            lines.append(
                f"{wanted} was not written: pytest-benchmark keeps what was timed alone; the gate reads "
                f"{config.stash[_REPORT].parent / 'records.json'} as well"
            )
    for line in _lines(*lines):
        terminalreporter.write_line(line)
    if _MISTAKE in config.stash:
        for line in _lines(config.stash[_MISTAKE]):
            terminalreporter.write_line(line, red=True)


def _lines(*texts: str) -> list[str]:
    """Return texts as lines of ours; what came from data cannot steer the terminal."""
    from goemo_eval.records.values import escaped

    return [f"goemo-eval: {escaped(text)}" for text in texts]


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

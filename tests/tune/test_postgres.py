"""Two workers on two machines' stores share a study in a real PostgreSQL, and one of them is killed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import optuna
import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from goemo_eval.models.recipes import load_recipe
from goemo_eval.tune.space import Space
from goemo_eval.tune.study import Search, open_study

Worker = subprocess.Popen[str]


def _programs() -> Path | None:
    """Where Debian, or the PATH, has the server's programs."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=Path("-/-")).parent


def _unprivileged() -> dict[str, Any]:
    """As whom the server runs: it refuses to be root's."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("no unprivileged user to run PostgreSQL as")


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    """The URL of an empty database in a cluster of our own, reached through a socket."""
    pytest.importorskip("psycopg")
    programs = _programs()
    if programs is None or not (programs / "pg_ctl").is_file():
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    whom = _unprivileged()
    # Not below pytest's own directory, which only its owner may enter; and short, as sockets want it.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    if whom:
        os.chown(home, whom["user"], whom["group"])

    def call(program: str, *words: str) -> None:
        subprocess.run(
            [programs / program, "-D", str(home / "data"), *words],
            check=True,
            cwd=home,
            stdout=subprocess.DEVNULL,
            **whom,
        )

    try:
        call("initdb", "-U", "tune", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={home} -c fsync=off"
        call("pg_ctl", "-w", "-l", str(home / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tune@/postgres?host={home}"
        finally:
            call("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home)


@pytest.fixture
def start(
    storage: str, tmp_path: Path, tsv_dir: Callable[..., Path], tiny_weights_dir: Path
) -> Iterator[Callable[[str], Worker]]:
    """Start a worker with a store of its own, as on a machine of its own."""
    (tmp_path / "space.toml").write_text("epochs = [4, 5]\nlearning_rate = [1e-4, 1e-3]\n")
    (tmp_path / "base.toml").write_text(
        "epochs = 1\nbatch_size = 16\nlearning_rate = 1e-3\nschedule = 'linear'\n"
        "weight_decay = 0.01\nwarmup_ratio = 0.1\nmax_length = 16\n"
    )
    data, started = tsv_dir(), list[Worker]()

    def call(store: str) -> Worker:
        command = ["tune", str(tmp_path / "space.toml"), "--sampler", "grid", "--no-prune"]
        command += ["--encoder", "tiny", "--weights", f"tiny={tiny_weights_dir}"]
        command += ["--scheme", "raw", "--data", str(data), "--recipe", str(tmp_path / "base.toml")]
        command += ["--storage", storage, "--store", str(tmp_path / store)]
        command += ["--threads", "1", "--heartbeat-s", "8"]
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "goemo_eval", *command],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield call
    for worker in started:
        worker.kill()
        worker.communicate()


def trials(storage: str) -> list[optuna.trial.FrozenTrial]:
    """The study's trials; none before it is there."""
    engine = create_engine(storage)
    try:
        if not inspect(engine).has_table("alembic_version"):  # the last that a worker makes
            return []
    finally:
        engine.dispose()
    opened = optuna.storages.RDBStorage(storage, engine_kwargs={"poolclass": NullPool})
    names = [study.study_name for study in opened.get_all_studies()]
    return opened.get_all_trials(names.index("tiny-raw-space") + 1) if names else []


def state_of(storage: str, worker: Worker) -> list[str]:
    """The states of a worker's trials."""
    return [
        trial.state.name
        for trial in trials(storage)
        if trial.user_attrs.get("worker", "").endswith(f" {worker.pid}")
    ]


def test_one_of_two_workers_is_killed_and_no_trial_is_lost_or_run_twice(
    storage: str, start: Callable[[str], Worker], tmp_path: Path
) -> None:
    doomed, other = start("here"), start("there")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and doomed.poll() is None:
        done = sum(trial.state.name == "COMPLETE" for trial in trials(storage))
        if done and "RUNNING" in state_of(storage, doomed):
            break
        time.sleep(0.1)
    assert doomed.poll() is None, doomed.communicate()
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate()
    printed, said = other.communicate(timeout=600)
    assert other.returncode == 0, said

    found = trials(storage)
    done = [trial for trial in found if trial.state.name == "COMPLETE"]
    points = sorted((t.params["epochs"], t.params["learning_rate"]) for t in done)
    assert points == [(e, r) for e in (4, 5) for r in (1e-4, 1e-3)]
    assert printed.count("complete") == 4
    lost = [t for t in found if t.state.name == "FAIL" and "worker" in t.user_attrs]
    assert [t.user_attrs["worker"].split()[-1] for t in lost] == [str(doomed.pid)]
    again = [t for t in done if "retry_of" in t.user_attrs]
    assert [t.user_attrs["retry_of"] for t in again] == [lost[0].number]
    assert again[0].params == lost[0].params
    assert not any(trial.state.name in ("RUNNING", "WAITING") for trial in found)

    # The search is over: whoever comes back runs nothing, and tells the same.
    back = start("here")
    assert back.communicate(timeout=300)[0].splitlines()[:-1] == printed.splitlines()[:-1]
    assert len(trials(storage)) == len(found)
    best = [
        (tmp_path / store / "tune" / "tiny-raw-space" / "best.toml").read_text()
        for store in ("here", "there")
    ]
    assert best[0] == best[1]


def test_the_tables_are_the_servers(storage: str) -> None:
    """Nothing of the above went to a file of SQLite's instead."""
    assert query(storage, "select count(*) from studies") == 1
    assert "PostgreSQL" in str(query(storage, "select version()"))


def query(storage: str, statement: str) -> Any:
    """What a statement answers first; None of one that answers nothing."""
    engine = create_engine(storage, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        found = connection.execute(text(statement))
        return found.scalar() if found.returns_rows else None


# Workers are processes; that these are threads, which share the list of silenced warnings, is the test's own doing.
@pytest.mark.filterwarnings(
    "ignore:Argument ..heartbeat_interval:optuna.exceptions.ExperimentalWarning"
)
def test_workers_that_meet_an_empty_database_at_once(storage: str) -> None:
    """Each makes the tables that it misses; the others' are as good."""
    search = Search("tiny", "raw", Space(load_recipe("sample"), {}, {}), "random", 1)
    for attempt in range(3):
        query(storage, f"create database empty{attempt}")
        url = storage.replace("/postgres?", f"/empty{attempt}?")
        gate = Barrier(6)

        def opened(_: int, url: str = url, gate: Barrier = gate) -> int:
            gate.wait()
            return int(open_study(url, "shared", search)._study_id)

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(opened, range(6))) == {1}

"""``goemo-eval run``: measuring without pytest."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goemo_eval.cli.app import main
from goemo_eval.data.sources import load_dataset
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.scenarios import SCENARIOS
from goemo_eval.pipeline import fitting, steps
from goemo_eval.records.files import Provenance, dump_records, read_records
from goemo_eval.records.schema import Record
from goemo_eval.session import Session

TICKETS = Path(__file__).parents[2] / "examples" / "tickets" / "tickets.csv"

Out = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Out]:
    def call(*words: object) -> Out:
        capsys.readouterr()
        code = main(["run", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_the_main_job_then_again_from_the_store(
    run: Callable[..., Out], measured: Any, tmp_path: Path
) -> None:
    assert measured.code == 0, measured.err
    report = measured.file.parent / "report"
    assert measured.out == f"{report / 'report.md'}\n"
    assert "made 2 artifacts, 1 checkpoints, 2 logits, 2 scores" in measured.err
    first = read_records(report / "records.json")
    assert [r.cell.id for r in first] == ["tiny-raw-torch-fp32", "tiny-raw-torch-int8"]
    for record in first:
        assert record.scores is not None
        assert tuple(record.latency) == SCENARIOS
        assert record.offline is not None
        assert record.memory is not None
    assert first[1].speedups

    code, _, err = run("--file", measured.file, "--reports", tmp_path)
    assert code == 0, err
    assert "made nothing: all of it was in the store" in err
    again = read_records(tmp_path / "records.json")
    assert [_without_times(r) for r in again] == [_without_times(r) for r in first]
    assert not list((measured.file.parent / "store" / "work").iterdir())


def _without_times(record: Record) -> dict[str, Any]:
    timed = {"latency", "split_latency_s", "offline", "speedups", "environment", "budgets"}
    return record.model_dump(exclude=timed)


def test_stable_times_of_an_earlier_run_are_kept(
    run: Callable[..., Out], measured: Any, timed_beside: Callable[..., Record], tmp_path: Path
) -> None:
    fp32, int8 = (
        timed_beside(record, Load(load_start=0.0, load_end=0.0, reason=reason))
        for record, reason in zip(
            read_records(measured.file.parent / "report" / "records.json"),
            ("", "others took half of the processors"),
            strict=True,
        )
    )
    file = tmp_path / "earlier.json"
    file.write_text(dump_records([fp32, int8], Provenance(command="goemo-eval run of before")))
    code, _, err = run("--file", measured.file, "--reports", tmp_path, "--keep-times", file)
    assert code == 0, err
    assert "goemo-eval: times of 1 of 2 cells were kept\n" in err
    again = read_records(tmp_path / "records.json")
    assert again[0].latency == fp32.latency
    assert again[0].offline == fp32.offline
    assert again[1].latency["real"].times_s != int8.latency["real"].times_s
    page = (tmp_path / "report.md").read_text()
    assert "    goemo-eval run of before\n    goemo-eval" in page  # what follows is pytest's own

    code, out, err = run("--file", measured.file, "--keep-times", file, "--timing", "off")
    assert (code, out) == (2, "")
    assert "--keep-times with --timing off: nothing is timed" in err
    code, out, err = run("--file", measured.file, "--keep-times", tmp_path / "none.json")
    assert (code, out, len(err.splitlines())) == (2, "", 1)


def test_a_budget_that_is_exceeded_is_exit_code_1(
    run: Callable[..., Out], measured: Any, tmp_path: Path
) -> None:
    (tmp_path / "b.toml").write_text("min_macro_f1 = 0.99\nmax_size_mb = 1000\n")
    code, _, err = run(
        *("--file", measured.file, "--precisions", "fp32", "--reports", tmp_path / "r"),
        *("--budgets", tmp_path / "b.toml"),
    )
    assert code == 1
    (said,) = [line for line in err.splitlines() if "beyond" in line]
    assert said.startswith("goemo-eval: tiny-raw-torch-fp32: min_macro_f1 0.")
    assert said.endswith(" is beyond 0.99")
    (record,) = read_records(tmp_path / "r" / "records.json")
    assert {b.name: b.passed for b in record.budgets} == {
        "min_macro_f1": False,
        "max_size_mb": True,
    }


def test_int8_is_held_against_fp32_that_nobody_asked_for(
    run: Callable[..., Out], measured: Any, tmp_path: Path
) -> None:
    (tmp_path / "b.toml").write_text("max_int8_drop = 1.0\n")
    code, _, err = run(
        *("--file", measured.file, "--precisions", "int8", "--reports", tmp_path / "r"),
        *("--budgets", tmp_path / "b.toml"),
    )
    assert code == 0, err
    (record,) = read_records(tmp_path / "r" / "records.json")
    assert record.cell.precision == "int8"
    assert [b.name for b in record.budgets] == ["max_int8_drop"]


def test_times_of_a_busy_machine_are_said_to_have_been_checked_against_nothing(
    run: Callable[..., Out], measured: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Session.add_latency

    def busy(self: Session, cell: Any, scenario: Any, latency: Any) -> Record:
        load = Load(load_start=8.0, load_end=8.0, reason="others took half of the processors")
        return add(self, cell, scenario, latency.model_copy(update={"load": load}))

    monkeypatch.setattr(Session, "add_latency", busy)
    (tmp_path / "b.toml").write_text("max_real_p50_s = 1e-9\nmax_single_p95_s = 1e-9\n")
    code, _, err = run(
        *("--file", measured.file, "--precisions", "fp32", "--reports", tmp_path / "r"),
        *("--budgets", tmp_path / "b.toml"),
    )
    assert code == 0, err
    (said,) = [line for line in err.splitlines() if "unstable" in line]
    assert said == (
        "goemo-eval: times were unstable, and their budgets were not checked: tiny-raw-torch-fp32 real, "
        "tiny-raw-torch-fp32 single (others took half of the processors)"
    )


def test_a_process_that_is_killed_fails_its_cell_and_the_others_go_on(
    run: Callable[..., Out], measured: Any, tmp_path: Path, crashing: Any
) -> None:
    steady = ["--file", measured.file, "--precisions", "fp32", "--reports", tmp_path / "r"]
    with crashing(steps, "predict_artifact"):
        code, out, err = run(*steady, "--seeds", "7,0")
    assert code == 2  # nothing is known to be lost
    (said,) = [line for line in err.splitlines() if "failed" in line]
    assert said.startswith(
        "goemo-eval: tiny-raw-torch-fp32-s7: failed: dies: the process was killed"
    )
    assert out == f"{tmp_path / 'r' / 'report.md'}\n"
    (record,) = read_records(tmp_path / "r" / "records.json")
    assert record.cell.seed == 0


def test_a_fine_tuning_that_is_killed_is_not_begun_again_for_the_next_cell(
    run: Callable[..., Out], measured: Any, tmp_path: Path, crashing: Any
) -> None:
    with crashing(fitting, "fit_checkpoint") as calls:
        code, out, err = run(
            *("--file", measured.file, "--store", tmp_path / "s", "--reports", tmp_path)
        )
    assert (code, out) == (2, "")
    assert len([line for line in err.splitlines() if "failed: dies" in line]) == 2
    assert calls() == 1


def test_interrupted_it_writes_what_there_is(
    run: Callable[..., Out],
    measured: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = Session.time_whole

    def second_is_interrupted(self: Session, cell: Any) -> Record:
        if self.records:
            raise KeyboardInterrupt
        return whole(self, cell)

    monkeypatch.setattr(Session, "time_whole", second_is_interrupted)
    code, out, err = run("--file", measured.file, "--reports", tmp_path / "r")
    assert code == 2
    assert "interrupted: what is finished is kept" in err.splitlines()[-1]
    assert len(read_records(tmp_path / "r" / "records.json")) == 1
    assert out == f"{tmp_path / 'r' / 'report.md'}\n"


@pytest.fixture(scope="session")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's tickets in three files, with a run file for the floor alone."""
    directory = tmp_path_factory.mktemp("tickets")
    dataset = load_dataset(TICKETS, separator=",", ids="id")
    for name, split in dataset.splits.items():
        _write_rows(directory / f"{name}.csv", split, dataset.labels)
    (directory / "goemo.toml").write_text(
        """
[data]
source = { train = "train.csv", validation = "validation.csv", test = "test.csv" }
labels = ["billing", "bug", "cancellation", "feature_request", "login", "performance"]
name = "tickets"
[run]
encoders = ["tfidf"]
store = "store"
reports = "report"
threads = 1
timing = "quick"
"""
    )
    return directory


def _write_rows(path: Path, split: Any, labels: Any, shift: int = 0) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", *labels])
        for i, text in enumerate(split.texts):
            rows.writerow([text, *split.labels[(i + shift) % len(split)].astype(int)])


def test_timing_off(run: Callable[..., Out], tickets: Path, tmp_path: Path) -> None:
    common = ["--file", tickets / "goemo.toml", "--timing", "off", "--reports", tmp_path]
    code, _, err = run(*common)
    assert code == 0, err
    first = read_records(tmp_path / "records.json")
    for record in first:
        assert record.scores is not None
        assert not record.latency
        assert not record.speedups
        assert record.offline is record.split_latency_s is None
    code, _, err = run(*common)
    assert "made nothing: all of it was in the store" in err
    again = read_records(tmp_path / "records.json")
    assert [_without_times(r) for r in again] == [_without_times(r) for r in first]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own, mounted (again) with some options."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = False

    def mount(options: str) -> Path:
        nonlocal mounted
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)]
        if mounted:
            words = ["mount", "-o", f"remount,{options}", str(where)]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("file systems cannot be mounted here")
        mounted = True
        return where

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def test_a_full_disk_costs_a_line_and_nothing_that_was_there(
    run: Callable[..., Out],
    tickets: Path,
    tmp_path: Path,
    small_disk: Callable[[str], Path],
) -> None:
    common = ["--file", tickets / "goemo.toml", "--timing", "off"]
    assert run(*common, "--store", tmp_path / "wide", "--reports", tmp_path / "expected")[0] == 0
    expected = read_records(tmp_path / "expected" / "records.json")
    size = sum(f.stat().st_size for f in (tmp_path / "wide").rglob("*") if f.is_file())
    for share in (0.05, 0.6):  # full at another step each
        disk = small_disk(f"size={int(size * share)}")
        code, _, err = run(*common, "--store", disk / "store", "--reports", tmp_path / "none")
        assert code == 2, err
        said = [line for line in err.splitlines() if "disk is full" in line]
        assert len(said) == 1
        assert str(disk / "store") in said[0]
    disk = small_disk(f"size={size * 3}")
    there = ["--store", disk / "store"]
    assert run(*common, *there, "--reports", tmp_path / "after")[0] == 0
    found = read_records(tmp_path / "after" / "records.json")
    assert [(r.scores, r.decisions) for r in found] == [(r.scores, r.decisions) for r in expected]
    # A report that has no room leaves the one that stands.
    kept = disk / "report"
    assert run(*common, "--store", tmp_path / "wide", "--reports", kept)[0] == 0
    before = {f: f.read_bytes() for f in kept.rglob("*") if f.is_file()}
    (disk / "filler").write_bytes(b"x" * (shutil.disk_usage(disk).free - (8 << 10)))
    code, _, err = run(*common, "--store", tmp_path / "wide", "--reports", kept)
    assert code == 2
    assert "cannot write the report there (No space left on device)" in err
    assert {f: f.read_bytes() for f in kept.rglob("*") if f.is_file()} == before
    # A store that cannot be written to serves what it has, and nothing else.
    small_disk("ro")
    code, _, err = run(*common, *there, "--reports", tmp_path / "none")
    assert code == 0
    assert "made nothing: all of it was in the store" in err
    code, _, err = run(*common, "--store", disk / "new", "--reports", tmp_path / "none")
    assert code == 2
    assert "cannot be written to (Read-only file system): pass another --store" in err


def test_a_run_that_learned_from_wrong_labels_is_a_regression(
    run: Callable[..., Out], tickets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run("--file", tickets / "goemo.toml")
    assert code == 0, err
    records, baseline = tickets / "report" / "records.json", tickets / "baseline.json"
    assert read_records(records)[0].scores.test.macro_f1 > 0.9  # type: ignore[union-attr]
    assert main(["baseline", "set", str(records), "--out", str(baseline)]) == 0
    gated = ["--baseline", baseline, "--reports", tmp_path / "r"]
    code, _, err = run("--file", tickets / "goemo.toml", *gated)
    assert code == 0, err

    dataset = load_dataset(TICKETS, separator=",", ids="id")
    for path in tickets.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    _write_rows(tmp_path / "train.csv", dataset.splits["train"], dataset.labels, shift=1)
    (tmp_path / "goemo.toml").write_text((tickets / "goemo.toml").read_text())
    code, _, err = run("--file", tmp_path / "goemo.toml", *gated)
    assert code == 1
    lost = [line for line in err.splitlines() if "regression" in line]
    assert [line.split(": ")[1] for line in lost] == [
        "tfidf-raw-linear-fp32",
        "tfidf-raw-linear-int8",
    ]
    assert "above the budget of 0.01" in lost[0]
    # The gate over both cells at once comes to the same.
    capsys.readouterr()
    found = ["--candidate", str(tmp_path / "r" / "records.json"), "--json"]
    assert main(["gate", "--baseline", str(baseline), *found]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert [cell["status"] for cell in verdict["cells"]] == ["regression", "regression"]


def test_a_baseline_of_something_else_is_refused_before_any_work(
    run: Callable[..., Out], tickets: Path, measured: Any, tmp_path: Path, make_record: Any
) -> None:
    from goemo_eval.records.files import dump_records

    other = tmp_path / "other.json"
    other.write_text(dump_records([make_record()]))
    code, out, err = run(
        "--file", tickets / "goemo.toml", "--baseline", other, "--store", tmp_path / "s"
    )
    assert (code, out) == (2, "")
    assert "a baseline of none of this run's cells: it has minilm-simplified-torch-fp32" in err
    cell = make_record().cell.model_copy(update={"encoder": "tiny", "scheme": "raw"})
    other.write_text(dump_records([make_record(cell=cell, kind="multilabel", dominance=None)]))
    code, out, err = run("--file", measured.file, "--baseline", other, "--store", tmp_path / "s")
    assert (code, out) == (2, "")
    assert "tiny-raw-torch-fp32: cannot be compared with this run: test split sha256 differs" in err
    assert not (tmp_path / "s").exists()

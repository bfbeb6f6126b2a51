"""A baseline's history in git: every version of the file, and what it scored, with its interval."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from tabulate import tabulate

from goemo_eval.errors import RecordError
from goemo_eval.files import MOST_BYTES
from goemo_eval.frozen import Frozen
from goemo_eval.judge.baseline import Baseline, baseline_in
from goemo_eval.measure.statistics import Interval, paired_bootstrap, score_interval
from goemo_eval.progress import progress
from goemo_eval.records.comparable import comparable
from goemo_eval.records.schema import Record
from goemo_eval.records.values import escaped, shown
from goemo_eval.records.verified import verified_decisions

_SEPARATOR = "\x1f"
UNCOMMITTED = "uncommitted"


class Version(NamedTuple):
    """One version of a baseline."""

    commit: str
    """Its sha1, or "uncommitted"."""
    date: str
    """When it was committed, as ``2025-11-30``; empty if it was not."""
    subject: str
    baseline: Baseline | None
    problem: str
    """Why it cannot be read; empty if it can."""


class Point(Frozen):
    """What one version of a baseline says of one cell."""

    commit: str
    date: str
    subject: str
    cell: str
    macro_f1: float
    low: float
    high: float
    """Ends of the 95 % interval: where other texts would have put the score."""
    change: float | None
    """Macro-F1 minus that of the cell's version before, on the same texts; None where there is none,
    or it cannot be compared."""
    change_low: float | None
    change_high: float | None
    """Ends of the 95 % interval of the change. It is paired, and narrower than the scores' own."""
    anchor: float | None
    """Macro-F1 of the anchor that this version kept."""


def versions(path: str | Path) -> list[Version]:
    """Return the versions of a file in git, the oldest first, and the file as it lies there if it differs.

    Renames are followed. A version that cannot be read says why.

    Raises
    ------
    RecordError
        If git is missing, or the file is in no repository or not in its history.
    """
    path = Path(path)
    commits = list(_commits(path))
    if not commits:
        raise RecordError(f"{path}: git knows no version of it: commit it first")
    found = []
    with _blobs(path) as read:
        for commit, date, subject, place in progress(commits, desc="versions"):
            content = read(f"{commit}:{place}")
            if content is not None:  # None where the commit removed it
                found.append(_version(commit, date, subject, content))
        last = read(f"HEAD:{commits[-1][3]}")
    if path.is_file() and last is not None and path.read_bytes() != last:
        found.append(_version(UNCOMMITTED, "", "", path.read_bytes()))
    return found


def as_text(points: Sequence[Point], found: Sequence[Version]) -> str:
    """Return the history as a table, cell by cell and the oldest first, and what could not be read."""
    rows = [
        (
            point.cell,
            point.date or "—",
            point.commit[:12],
            f"{point.macro_f1:.4f}",
            f"{point.low:.4f} to {point.high:.4f}",
            _told(point),
            "—" if point.anchor is None else f"{point.anchor:.4f}",
            shown(point.subject, 50),
        )
        for point in sorted(points, key=lambda point: point.cell)
    ]
    head = ("cell", "date", "commit", "Macro-F1", "95 %", "change (95 %)", "anchor", "subject")
    unread = [f"not read: {version.problem}" for version in found if version.problem]
    explained = (
        "95 %: where another test split of this size would put the score. The change is on the same texts, so its "
        "interval is narrower than two scores' own: judge a change by it."
    )
    table = tabulate(rows, head, disable_numparse=True)
    return "\n".join([table, "", *unread, explained]) + "\n"


def _told(point: Point) -> str:
    if point.change is None or point.change_low is None or point.change_high is None:
        return "—"
    return f"{point.change:+z.4f} ({point.change_low:+z.4f} to {point.change_high:+z.4f})"


def history(found: Sequence[Version], *, n_resamples: int = 1000) -> list[Point]:
    """Return what the versions say of each cell, with intervals.

    Parameters
    ----------
    found : sequence of Version
        The oldest first; those that cannot be read are left out.
    n_resamples : int, default 1,000
    """
    points: list[Point] = []
    last: dict[str, Record] = {}
    for version in progress(found, desc="history"):
        if version.baseline is None:
            continue
        anchors = {record.cell.id: _macro_f1(record) for record in version.baseline.anchor}
        for record in version.baseline.records:
            if not (record.scores and record.decisions):
                continue
            cell = record.cell.id
            score = score_interval(*verified_decisions(record), n_resamples=n_resamples)
            change = _change(last.get(cell), record, n_resamples)
            last[cell] = record
            points.append(
                Point(
                    commit=version.commit,
                    date=version.date,
                    subject=version.subject,
                    cell=cell,
                    macro_f1=score.point,
                    low=score.low,
                    high=score.high,
                    change=change and change.point,
                    change_low=change and change.low,
                    change_high=change and change.high,
                    anchor=anchors.get(cell),
                )
            )
    return points


def _change(old: Record | None, new: Record, n_resamples: int) -> Interval | None:
    if old is None or comparable(old, new, "scores"):
        return None
    truth, first = verified_decisions(old)
    return paired_bootstrap(truth, first, verified_decisions(new)[1], n_resamples=n_resamples)


def _macro_f1(record: Record) -> float:
    assert record.scores is not None
    return record.scores.test.macro_f1


def _version(commit: str, date: str, subject: str, content: bytes) -> Version:
    try:
        values = json.loads(content.decode("utf-8-sig"))
        baseline = baseline_in(values, commit[:12])
    except RecordError as error:
        return Version(commit, date, subject, None, str(error))
    except (ValueError, RecursionError):
        return Version(commit, date, subject, None, f"{commit[:12]}: not JSON")
    return Version(commit, date, subject, baseline, "")


def _commits(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield commit, date, subject and the file's place in the repository, the oldest first."""
    form = _SEPARATOR.join(["%x00%H", "%cs", "%s", ""])
    said = _git(path, "log", "--follow", "--name-only", f"--format={form}", "--", path.name)
    for entry in reversed(said.split("\0")[1:]):
        commit, date, rest = entry.split(_SEPARATOR, 2)
        subject, _, place = rest.rpartition(_SEPARATOR)
        yield commit, date, escaped(subject), place.strip("\n")


def _git(path: Path, *words: str) -> str:
    """Run git where the file lies, and return what it says."""
    options = ["--no-pager", "--literal-pathspecs", "-c", "core.quotePath=false"]
    command = ["git", "-C", str(path.parent), *options, *words]
    try:
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - no shell
    except OSError as error:
        raise RecordError(f"{path}: cannot run git ({error.strerror}): install it") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RecordError(f"{path}: git says: {escaped(said[0][:200]) if said else 'nothing'}")
    return done.stdout.decode("utf-8", "replace")


@contextmanager
def _blobs(path: Path) -> Iterator[_Read]:
    """Open git's store of contents, which says how long each is before it is read."""
    command = ["git", "-C", str(path.parent), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603
        assert process.stdin is not None
        assert process.stdout is not None
        yield _Read(path, process.stdin, process.stdout)
        process.stdin.close()


class _Read:
    def __init__(self, path: Path, asks: IO[bytes], answers: IO[bytes]) -> None:
        self._path, self._asks, self._answers = path, asks, answers

    def __call__(self, name: str) -> bytes | None:
        """Return the content of ``COMMIT:PLACE``; None if there is none."""
        self._asks.write(name.encode() + b"\n")
        self._asks.flush()
        head = self._answers.readline().split()
        if len(head) != 3 or head[1] != b"blob":
            return None
        size = int(head[2])
        if size > MOST_BYTES:
            raise RecordError(
                f"{self._path}: {size:,} bytes in git: at most {MOST_BYTES:,} are read"
            )
        content = self._answers.read(size)
        self._answers.read(1)
        return content

"""A baseline's history, in a real repository."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goemo_eval.errors import RecordError
from goemo_eval.judge.baseline import Baseline, dump_baseline, update_baseline
from goemo_eval.judge.history import UNCOMMITTED, as_text, history, versions
from goemo_eval.measure.statistics import paired_bootstrap, score_interval
from goemo_eval.records.schema import Record
from goemo_eval.records.verified import verified_decisions

Make = Callable[..., Record]


class Repository:
    """A repository with a file that is committed again and again."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.number = directory, 0
        directory.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self.directory), "-c", "user.name=x", "-c", "user.email=x@y"]
        return subprocess.run(
            [*command, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, name: str, content: str | None, subject: str = "") -> str:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject or f"State {self.number}")
        self.number += 1
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    return Repository(tmp_path / "repository")


def states(make_record: Make, *wrong: float) -> list[Baseline]:
    found: list[Baseline] = []
    for w in wrong:
        records = [make_record(wrong=w), make_record("int8", wrong=w + 0.02)]
        found.append(update_baseline(found[-1] if found else None, records, keep_anchor=True))
    return found


def test_every_commit_with_its_interval(make_record: Make, repository: Repository) -> None:
    kept = states(make_record, 0.2, 0.25, 0.22)
    commits = [
        repository.commit("baselines/b.json", dump_baseline(b), f"State {w} of it: \u20ac\x1b[31m")
        for w, b in zip("abc", kept, strict=True)
    ]
    repository.commit("other", "nothing to do with it")
    found = versions(repository.directory / "baselines" / "b.json")
    assert [version.commit for version in found] == commits
    assert found[0].subject == r"State a of it: €\x1b[31m"
    points = [p for p in history(found, n_resamples=300) if p.cell.endswith("fp32")]
    assert [p.commit for p in points] == commits
    truth, first = verified_decisions(kept[0].records[0])
    _, second = verified_decisions(kept[1].records[0])
    score = score_interval(truth, second, n_resamples=300)
    assert (points[1].macro_f1, points[1].low, points[1].high) == (
        score.point,
        score.low,
        score.high,
    )
    change = paired_bootstrap(truth, first, second, n_resamples=300)
    assert (points[1].change, points[1].change_low) == (change.point, change.low)
    assert points[0].change is None
    assert points[0].anchor is None
    assert [p.anchor for p in points[1:]] == pytest.approx([points[0].macro_f1] * 2)


def test_as_a_table(make_record: Make, repository: Repository) -> None:
    for baseline in states(make_record, 0.2, 0.25):
        commit = repository.commit("b.json", dump_baseline(baseline))
    found = versions(repository.directory / "b.json")
    lines = as_text(history(found, n_resamples=100), found).splitlines()
    assert [line.split()[0] for line in lines[2:6]] == [
        "minilm-simplified-torch-fp32",
        "minilm-simplified-torch-fp32",
        "minilm-simplified-torch-int8",
        "minilm-simplified-torch-int8",
    ]
    assert commit[:12] in lines[3]
    assert "State 1" in lines[3]
    assert lines[2].count("—") == 2  # no change and no anchor yet
    assert "judge a change by it" in lines[-1]


def test_a_renamed_file_keeps_its_history(make_record: Make, repository: Repository) -> None:
    first, second = states(make_record, 0.2, 0.21)
    commits = [repository.commit("old name.json", dump_baseline(first))]
    repository.git("mv", "old name.json", "b.json")
    commits.append(repository.commit("b.json", dump_baseline(first)))
    commits.append(repository.commit("b.json", dump_baseline(second)))
    found = versions(repository.directory / "b.json")
    assert [version.commit for version in found] == commits
    assert all(version.baseline for version in found)


def test_what_lies_there_uncommitted(make_record: Make, repository: Repository) -> None:
    first, second = states(make_record, 0.2, 0.25)
    repository.commit("b.json", dump_baseline(first))
    path = repository.directory / "b.json"
    assert len(versions(path)) == 1
    path.write_text(dump_baseline(second))
    assert [version.commit for version in versions(path)][1] == UNCOMMITTED
    points = history(versions(path), n_resamples=100)
    assert points[-1].change is not None


def test_versions_that_cannot_be_read_say_why(make_record: Make, repository: Repository) -> None:
    (good,) = states(make_record, 0.2)
    text = dump_baseline(good)
    old = json.dumps(json.loads(text) | {"schema_version": 1})
    commits = [
        repository.commit("b.json", content)  # None: removed
        for content in ("{", old, text, None, text.replace('"judged"', '"juged"'), text)
    ]
    found = versions(repository.directory / "b.json")
    assert [version.commit for version in found] == [*commits[:3], *commits[4:]]
    problems = [version.problem for version in found]
    assert "not JSON" in problems[0]
    assert "schema_version 1" in problems[1]
    assert [problems[2], problems[4]] == ["", ""]
    assert "baseline: judged: Field required" in problems[3]
    said = as_text(history(found, n_resamples=100), found)
    assert said.count("not read: ") == 3


def test_another_test_split_has_no_change(make_record: Make, repository: Repository) -> None:
    records = [make_record(wrong=0.2), make_record(wrong=0.22, dominance="rare")]
    for record in records:
        repository.commit("b.json", dump_baseline(update_baseline(None, [record])))
    points = history(versions(repository.directory / "b.json"), n_resamples=100)
    assert [p.change for p in points] == [None, None]


def test_the_figure_is_the_same_twice(make_record: Make, repository: Repository) -> None:
    from goemo_eval.report.figures.history import history_figure

    for baseline in states(make_record, 0.2, 0.25, 0.22):
        repository.commit("b.json", dump_baseline(baseline))
    points = history(versions(repository.directory / "b.json"), n_resamples=100)
    png, svg = history_figure(points)
    assert (png, svg) == history_figure(points)
    assert png.startswith(b"\x89PNG")
    for words in ("minilm-simplified-torch-int8", points[-1].commit[:7], "anchor"):
        assert words.encode() in svg


def test_no_repository_no_version_no_git(
    make_record: Make, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "b.json"
    alone.write_text("{}")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(RecordError, match=r"b\.json: git says: fatal: not a git repository"):
        versions(alone)
    with pytest.raises(RecordError, match="does not have any commits yet"):
        versions(repository.directory / "b.json")
    repository.commit("a.json", "{}")
    with pytest.raises(RecordError, match="git knows no version of it: commit it first"):
        versions(repository.directory / "b.json")
    with pytest.raises(RecordError, match="git says"):
        versions(tmp_path / "nowhere" / "b.json")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RecordError, match="cannot run git"):
        versions(repository.directory / "a.json")

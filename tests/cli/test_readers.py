"""Every file that a command reads, in every form that it should not have: one line, exit code 2, no hang."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from goemo_eval.cli.app import main
from goemo_eval.records.files import dump_records

RECORDS = "good.json"
FLOOR = ("--encoder", "tfidf", "--scheme", "raw")
READERS: dict[str, tuple[str, ...]] = {
    "gate, baseline": ("gate", "--baseline", "X", "--candidate", RECORDS),
    "gate, candidate": ("gate", "--baseline", RECORDS, "--candidate", "X"),
    "recommend": ("recommend", "X"),
    "report": ("report", "X", "--out", "out"),
    "power": ("power", "X"),
    "baseline set": ("baseline", "set", "X", "--out", "out.json"),
    "baseline show": ("baseline", "show", "X"),
    "export": ("export", "a-b-c-d", "--records", "X", "--out", "out"),
    "run file": ("run", "--file", "X"),
    "recipe": ("run", "--encoders", "tfidf", "--recipe", "X"),
    "budgets": ("run", "--encoders", "tfidf", "--budgets", "X"),
    "baseline of a run": ("run", "--encoders", "tfidf", "--baseline", "X"),
    "data": ("run", "--encoders", "tfidf", "--data", "X"),
    "data to look at": ("init", "X"),
    "label names": ("run", "--encoders", "tfidf", "--data", "ids.csv", "--names", "X"),
    "space": ("tune", "X", *FLOOR),
}
ENDINGS = {"run file": "toml", "recipe": "toml", "budgets": "toml", "space": "toml"}
ENDINGS |= {"data": "csv", "data to look at": "csv", "label names": "txt"}

Make = Callable[[Path], object]


def holding(content: bytes) -> Make:
    return lambda path: path.write_bytes(content)


FORMS: dict[str, Make] = {
    "missing": lambda _: None,
    "a directory": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "empty": holding(b""),
    "no text": holding(bytes(range(256)) * 4),
    "Latin-1": holding("café = 'é'\n".encode("latin-1")),
    "UTF-16": holding("a = 1\n".encode("utf-16")),
    "NUL": holding(b"a\0b\n"),
    "compressed": holding(gzip.compress(b"a = 1\n")),
    "a pointer": holding(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"),
    "nested deeply": holding(b"[" * 100_000),
    "nested deeply in a key": holding(b"a = " + b"[" * 100_000),
    "nested objects": holding(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "5,000 digits": holding(b"9" * 5_000),
    "5,000 digits of a key": holding(b"a = " + b"9" * 5_000 + b"\n"),
    "one long line": holding(b"x" * 5_000_000),
    "a terminal's codes": holding(b"\x1b[2J\x1b]0;title\x07\n"),
    "markup": holding(b"<script>alert(1)</script>\n"),
    "a half surrogate": holding(b'{"a": "\xed\xa0\x80"}\n'),
    "JSON of something else": holding(b'{"name": "x", "dependencies": {"y": "1"}}\n'),
    "a JSON number": holding(b"3\n"),
    "null": holding(b"null\n"),
    "YAML": holding(b"run:\n  - encoders: tfidf\n"),
}
# No line at all is a file without a limit, and one that leaves the defaults.
FINE = {("budgets", "empty"), ("run file", "empty")}
CASES = [case for case in product(READERS, FORMS) if case not in FINE]


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_record: Callable[..., Any]
) -> Iterator[Path]:
    """A directory to be in, and an end to waiting for a file that never ends."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise AssertionError("still reading")

    (tmp_path / RECORDS).write_text(dump_records([make_record()]))
    rows = "".join(f"ticket number {i},{i % 3}\n" for i in range(30))
    (tmp_path / "ids.csv").write_text("text,labels\n" + rows)
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(120)
    yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("reader", "form"), CASES)
def test_one_line_and_exit_code_2(
    here: Path, capsys: pytest.CaptureFixture[str], reader: str, form: str
) -> None:
    name = f"theirs.{ENDINGS.get(reader, 'json')}"
    FORMS[form](here / name)
    before = sorted(here.iterdir())
    code = main([name if word == "X" else word for word in READERS[reader]])
    out, err = capsys.readouterr()
    assert code == 2, (out, err)
    assert not out
    (line,) = err.splitlines()
    assert line.startswith("goemo-eval: ")
    assert name in line
    assert line.isprintable()
    assert len(line) < 1000
    assert sorted(here.iterdir()) == before

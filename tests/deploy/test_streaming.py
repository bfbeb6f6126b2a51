"""Files of any length: read, predicted and written a stretch at a time, and taken up again."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.deploy import rows, streaming
from goemo_eval.deploy.bundle import Bundle, load_bundle
from goemo_eval.deploy.rows import read_texts
from goemo_eval.deploy.streaming import predict_file, stretches_of
from goemo_eval.errors import DataError
from goemo_eval.records.schema import Record

BundleOf = Callable[[str], tuple[Path, Record]]
FLOOR = "tfidf-raw-linear-int8"
TEXTS = ["thank you", "", 'a "quoted", text', "two\tparts", "😂 \u2028 \x1c ä", "x" * 500]


@pytest.fixture(scope="module")
def bundle(bundle_of: BundleOf) -> Bundle:
    return load_bundle(bundle_of(FLOOR)[0])


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Stretches of so few rows that a test has many."""
    monkeypatch.setattr(streaming, "STRETCH", 16)
    return 16


def as_csv(texts: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([["id", "text"], *([i, text] for i, text in enumerate(texts))])
    return out.getvalue().encode()


def as_jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def as_text(texts: list[str]) -> bytes:
    return "".join(text + "\n" for text in texts).encode()


FORMS = {"texts.csv": as_csv, "texts.jsonl": as_jsonl, "texts.txt": as_text}


def predict(bundle: Bundle, source: Path, target: Path, **options: Any) -> list[Any]:
    predict_file(bundle, str(source), str(target), **options)
    return [json.loads(line) for line in target.read_text().splitlines()]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_form_gives_its_texts_rows(
    bundle: Bundle, tmp_path: Path, name: str, mark: bytes
) -> None:
    source = tmp_path / name
    source.write_bytes(mark + FORMS[name](TEXTS))
    found = predict(bundle, source, tmp_path / "out.jsonl")
    assert [row["row"] for row in found] == [1, 2, 3, 4, 5, 6]
    for row, expected in zip(found, bundle.predict(TEXTS), strict=True):
        assert row["labels"] == list(expected.labels)
        assert row["scores"] == {k: round(v, 6) for k, v in expected.scores.items()}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=20))
def test_what_is_written_is_read(texts: list[str]) -> None:
    assert (
        list(read_texts(io.BytesIO(as_jsonl(texts)), "jsonl", column="text", source="x")) == texts
    )
    found = read_texts(io.BytesIO(as_csv(texts)), "csv", column="text", source="x")
    assert list(found) == texts
    lines = [text.replace("\n", " ").rstrip("\r") for text in texts]
    assert list(read_texts(io.BytesIO(as_text(lines)), "text", column="", source="x")) == lines


def test_the_outputs_forms_say_the_same(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "texts.txt"
    source.write_bytes(as_text(TEXTS))
    whole = predict(bundle, source, tmp_path / "out.jsonl")
    predict_file(bundle, str(source), str(tmp_path / "out.csv"))
    with (tmp_path / "out.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for row, cells in zip(whole, table, strict=True):
        assert cells["labels"] == ",".join(row["labels"])
        assert {k: float(cells[k]) for k in bundle.info.labels} == row["scores"]
    predict_file(bundle, str(source), str(tmp_path / "out.txt"))
    for row, line in zip(whole, (tmp_path / "out.txt").read_text().splitlines(), strict=True):
        shown = [f"{label} {row['scores'][label]:.3f}" for label in row["labels"]]
        assert line == (", ".join(shown) or "(no label)")

    top = predict(bundle, source, tmp_path / "top.jsonl", top=2)
    assert [row["labels"] for row in top] == [row["labels"] for row in whole]
    for row, every in zip(top, whole, strict=True):
        assert list(row["scores"].values()) == sorted(every["scores"].values())[:-3:-1]
    predict_file(bundle, str(source), str(tmp_path / "top.csv"), top=2)
    with (tmp_path / "top.csv").open(newline="") as file:
        for cells in csv.DictReader(file):
            assert sum(cells[k] != "" for k in bundle.info.labels) == 2


BAD: list[tuple[str, bytes, str]] = [
    ("x.txt", b"fine\n\xff\xfeb\n", "line 2: byte 0xff at offset 0 is not UTF-8"),
    ("x.csv", b"text\nfine\ncaf\xe9\n", "line 3: byte 0xe9 at offset 3 is not UTF-8"),
    ("x.csv", b"body\nx\n", "no column 'text': it has body; pass --text"),
    ("x.csv", b"text,text\nx,y\n", "two columns 'text'"),
    ("x.csv", b"id,text\n1,a\n2\n", "line 3: 1 columns: expected 2"),
    ("x.csv", b'id,text\n1,a\n2,"b\n3,c\n', "row that begins in line 3: not CSV"),
    ("x.csv", b'id,text\n1,"a\nb"\n2,c,d\n', "line 4: 3 columns"),
    ("x.jsonl", b'{"text": "a"}\n{"text": \n', "line 2: not JSON"),
    ("x.jsonl", b"[" * 100_000 + b"\n", "line 1: not JSON"),
    ("x.jsonl", b'{"text": 1' + b"0" * 5000 + b"}\n", "line 1: not JSON"),
    ("x.jsonl", b'{"text": 3}\n', "line 1: 'text' is int: expected a string"),
    ("x.jsonl", b'{"text": null}\n', "line 1: 'text' is NoneType"),
    ("x.jsonl", b'{"body": "a"}\n', "line 1: no 'text': pass --text"),
    ("x.jsonl", b'["text"]\n', "line 1: no 'text'"),
    ("x.jsonl", b'{"text": "a"}\n\n{"text": "\\ud83d"}\n', "text 2: half a surrogate pair"),
]


@pytest.mark.parametrize(("name", "content", "said"), BAD)
def test_a_bad_row_is_named(
    bundle: Bundle, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        predict_file(bundle, str(tmp_path / name), str(tmp_path / "out.jsonl"))
    assert str(caught.value).startswith(f"{tmp_path / name}: {said}")


def test_a_line_without_end(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LONGEST_LINE", 1000)
    for name, content in (("x.txt", b"a" * 1001), ("x.csv", b'text\n"' + b"a\n" * 600)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"longer than 1,000 bytes|field larger than"):
            predict_file(bundle, str(tmp_path / name), str(tmp_path / "out.jsonl"))


def test_blank_lines_are_texts_of_a_text_file_alone(bundle: Bundle, tmp_path: Path) -> None:
    for name, content, count in (
        ("x.txt", b"a\n\nb", 3),
        ("x.csv", b"text\na\n\nb\n\n", 2),
        ("x.jsonl", b'{"text": "a"}\n\n{"text": "b"}', 2),
        ("x.txt", b"", 0),
        ("x.csv", b"", 0),
        ("x.csv", b"text\n", 0),
    ):
        (tmp_path / name).write_bytes(content)
        assert len(predict(bundle, tmp_path / name, tmp_path / "out.jsonl")) == count


def test_a_mistake_in_the_source_leaves_the_target(bundle: Bundle, tmp_path: Path) -> None:
    source, target = tmp_path / "x.csv", tmp_path / "out.jsonl"
    source.write_text("body\nx\n")
    target.write_text("of last night\n")
    with pytest.raises(DataError, match="no column"):
        predict_file(bundle, str(source), str(target))
    assert target.read_text() == "of last night\n"
    with pytest.raises(DataError, match="is the input"):
        predict_file(bundle, str(source), str(source))
    with pytest.raises(DataError, match="no such file"):
        predict_file(bundle, str(tmp_path), str(target))
    source.write_text("text\nx\n")
    with pytest.raises(DataError, match=r"cannot be written \(No such file"):
        predict_file(bundle, str(source), str(tmp_path / "nowhere" / "out.jsonl"))


def test_stretches_end_by_rows_and_by_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "STRETCH", 3)
    monkeypatch.setattr(streaming, "STRETCH_CHARACTERS", 10)
    texts = ["a", "b", "c", "d", "x" * 9, "y" * 50, "z", "", ""]
    found = list(stretches_of(iter(texts)))
    assert [(s.first_row, len(s.texts)) for s in found] == [(1, 3), (4, 2), (6, 1), (7, 3)]
    assert [text for s in found for text in s.texts] == texts


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"text number {i} thank you\n" for i in range(70)))
    return path


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.txt"])
def test_an_output_that_was_cut_anywhere_becomes_whole(
    bundle: Bundle, few: int, source: Path, tmp_path: Path, name: str
) -> None:
    whole, cut = tmp_path / name, tmp_path / f"cut-{name}"
    assert predict_file(bundle, str(source), str(whole)) == 70
    content = whole.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == 10]
    head = len(ends) - 70
    for size in (0, 1, ends[0], ends[few + head - 1], ends[few + head - 1] + 1, ends[-1] - 1):
        cut.write_bytes(content[:size])
        written = predict_file(bundle, str(source), str(cut), resume=True)
        assert cut.read_bytes() == content
        kept = sum(1 for end in ends if end <= size) - head
        assert written == 70 - max(0, kept) // few * few
    assert predict_file(bundle, str(source), str(cut), resume=True) == 0
    assert cut.read_bytes() == content
    cut.unlink()
    assert predict_file(bundle, str(source), str(cut), resume=True) == 70


def test_rows_that_another_call_wrote_are_not_gone_on_with(
    bundle: Bundle, bundle_of: BundleOf, few: int, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.jsonl"
    predict_file(bundle, str(source), str(target))
    content = target.read_bytes()
    lines = content.splitlines(keepends=True)
    other = load_bundle(bundle_of("tfidf-raw-linear-fp32")[0])
    wrong: list[tuple[Bundle, bytes, dict[str, Any]]] = [
        (other, b"".join(lines[:48]), {}),
        (other, b"".join(lines[:50]), {}),
        (bundle, b"".join(lines[:48]), {"top": 3}),
        (bundle, b"my thesis\n", {}),
        (bundle, b"my thesis", {}),
        (bundle, content + lines[-1], {}),
    ]
    for theirs, held, options in wrong:
        target.write_bytes(held)
        with pytest.raises(DataError, match="was not written by this call"):
            predict_file(theirs, str(source), str(target), resume=True, **options)
        assert target.read_bytes() == held
    table = tmp_path / "out.csv"
    table.write_text("id,label\n1,joy\n")
    with pytest.raises(DataError, match="begins otherwise"):
        predict_file(bundle, str(source), str(table), resume=True)
    assert table.read_text() == "id,label\n1,joy\n"
    with pytest.raises(DataError, match="--resume needs files"):
        predict_file(bundle, "-", str(target), resume=True)


def test_int8_that_depends_on_its_batch_is_taken_up_to_the_bit(
    bundle_of: BundleOf, few: int, source: Path, tmp_path: Path
) -> None:
    bundle = load_bundle(bundle_of("tiny-raw-onnxruntime-int8")[0])
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    predict_file(bundle, str(source), str(whole))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert predict_file(bundle, str(source), str(cut), resume=True) == 70 - 32
    assert cut.read_bytes() == whole.read_bytes()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "texts.txt"
    path.write_text("".join(f"thanks {i}, what a day\n" for i in range(30_000)))
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "goemo_eval", *map(str, words)]


def test_killed_and_taken_up_equals_an_undisturbed_run(
    bundle_of: BundleOf, many: Path, tmp_path: Path
) -> None:
    path = bundle_of(FLOOR)[0]
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    subprocess.run(
        command("predict", path, "--input", many, "--output", whole, "--top", 3), check=True
    )
    assert whole.read_bytes().count(b"\n") == 30_000

    words = command("predict", path, "--input", many, "--output", cut, "--top", 3)
    process = subprocess.Popen(words)
    for _ in _waiting():
        if cut.exists() and cut.stat().st_size:
            break
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < cut.stat().st_size < whole.stat().st_size
    subprocess.run([*words, "--resume"], check=True)
    assert cut.read_bytes() == whole.read_bytes()


def _waiting() -> Iterator[None]:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        time.sleep(0.005)
        yield
    pytest.fail("nothing was written")


def test_standard_streams(bundle_of: BundleOf, many: Path) -> None:
    path = bundle_of(FLOOR)[0]
    ended = subprocess.run(
        command("predict", path, "--input", "-", "--format", "csv", "--text", "body"),
        input="body\nthank you 😂\n".encode(),
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"},
    )
    assert json.loads(ended.stdout)["row"] == 1
    assert ended.stderr == b""

    # Whoever reads only the first lines is no mistake.
    with subprocess.Popen(
        command("predict", path, "--input", many), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["row"] == 1
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_pipe_is_read_like_a_file(bundle: Bundle, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", f"printf 'a\\nb\\n' > {pipe}"]):
        assert len(predict(bundle, pipe, tmp_path / "out.jsonl")) == 2


PEAK = """
import sys
from goemo_eval import load_bundle
from goemo_eval.deploy.streaming import predict_file
from goemo_eval.measure.memory import peak_rss_bytes
bundle = load_bundle(sys.argv[1])
for source in sys.argv[2:]:
    predict_file(bundle, source, "/dev/null")
    print(peak_rss_bytes())
"""


def test_more_rows_take_no_more_memory(bundle_of: BundleOf, many: Path, tmp_path: Path) -> None:
    first, rest = tmp_path / "first.txt", many
    lines = many.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(lines[:10_000]))
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, str(bundle_of(FLOOR)[0]), str(first), str(rest)],
        capture_output=True,
        text=True,
        check=True,
    )
    few, more = map(int, ended.stdout.split())
    assert more < 1.1 * few

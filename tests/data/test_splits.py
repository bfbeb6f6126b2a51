from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.data.sources import load_split
from goemo_eval.data.splits import make_split, read_tsv
from goemo_eval.errors import DataError

GOOD = b"hello there\t27\tid1\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD + b"two columns\t3\n", r"dev.tsv:2: 2 columns: expected 3"),
        (GOOD + b"text\t28\tid2\n", r"dev.tsv:2: label id 28 is outside 0 to 27"),
        (GOOD + b"text\t\tid2\n", r"dev.tsv:2: empty label"),
        (GOOD + b"text\t-1\tid2\n", r"dev.tsv:2: label id -1 is outside"),
        (GOOD + b"text\t3,joy\tid2\n", r"dev.tsv:2: label 'joy' is not an integer"),
        (GOOD + GOOD + b"caf\xe9\t3\tid2\n", r"dev.tsv:3: byte 0xe9 at column 4 is not UTF-8"),
        (GOOD + b" \t3\tid2\n", r"dev.tsv:2: empty text"),
        (b"", r"dev.tsv: the validation split is empty"),
    ],
)
def test_malformed_rows_name_file_and_line(
    content: bytes, message: str, tsv_dir: Callable[..., Path]
) -> None:
    with pytest.raises(DataError, match=message):
        load_split(tsv_dir(dev=content), "validation")


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test.tsv: cannot read the test split"):
        load_split(tmp_path, "test")
    with pytest.raises(DataError, match="neither sample nor hub nor a directory"):
        load_split(tmp_path / "nowhere", "test")
    with pytest.raises(DataError, match="unknown split 'dev'"):
        load_split(tmp_path, "dev")


def test_quotes_and_unicode_line_separators_are_text(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_bytes('say "hi\t3\ta\nline\u2028sep\x85\t4,27\tb\r\n'.encode())
    split = read_tsv(path, "test")
    assert split.texts == ('say "hi', "line\u2028sep\x85")
    assert split.ids == ("a", "b")
    assert split.labels[1].nonzero()[0].tolist() == [4, 27]


row = st.tuples(
    st.text(
        st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), min_size=1
    ).filter(str.strip),
    st.lists(st.integers(0, 27), min_size=1, unique=True).map(sorted),
    st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True),
)


@given(st.lists(row, min_size=1, max_size=8))
def test_written_rows_are_read_back_with_the_files_hash(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, list[int], str]]
) -> None:
    content = "".join(f"{t}\t{','.join(map(str, ls))}\t{i}\n" for t, ls, i in rows).encode()
    path = tmp_path_factory.mktemp("tsv") / "train.tsv"
    path.write_bytes(content)
    split = read_tsv(path, "train")
    assert list(split.texts) == [t for t, _, _ in rows]
    assert [r.nonzero()[0].tolist() for r in split.labels] == [ls for _, ls, _ in rows]
    assert split.sha256 == hashlib.sha256(content).hexdigest()
    assert make_split("train", "elsewhere", rows).sha256 == split.sha256


def test_the_real_data_set(goemotions_dir: Path) -> None:
    sizes = {"train": 43_410, "validation": 5_426, "test": 5_427}
    hashes = {
        "train": "1c254a142be5c00e80d819b9ae1bbd36d94b2eeb8f4b1271846508d57e57d9c5",
        "validation": "575489c079c9de1097062a01738f998590d6b7ead66dd1c9fd1d2ba01fd8bc62",
        "test": "0587b2dd8b27b97352adbfc3fb083d46005c8946657fdc2b1ca8b1cc7f1f8be4",
    }
    for name, size in sizes.items():
        split = load_split(goemotions_dir, name)
        assert len(split) == size
        assert split.sha256 == hashes[name]

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from goemo_eval.errors import StoreError
from goemo_eval.pipeline.keys import Key
from goemo_eval.pipeline.store import Store


class SumKey(Key):
    kind: ClassVar[str] = "sums"
    a: int
    b: int

    @property
    def label(self) -> str:
        return "sum"


KEY = SumKey(a=1, b=2)


def write_sum(out: Path) -> None:
    (out / "sum.txt").write_text("3")
    (out / "deep").mkdir()
    (out / "deep" / "more.bin").write_bytes(bytes(1000))


def refuse(out: Path) -> None:
    raise AssertionError("it was there already")


def test_a_result_is_made_once_and_found_again_with_its_key_beside_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    made = store.get_or(KEY, write_sum)
    again = Store(tmp_path / "store").get_or(KEY, refuse)

    assert again == made
    assert made.size_bytes == 1001
    assert (made.content / "sum.txt").read_text() == "3"
    assert json.loads((made.content.parent / "key.json").read_text()) == {"a": 1, "b": 2}
    assert store.made == {"sums": 1}


def test_keys_that_differ_in_anything_have_other_digests() -> None:
    assert SumKey(a=1, b=2).digest == KEY.digest
    assert SumKey(a=2, b=1).digest != KEY.digest


def test_a_make_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fails(out: Path) -> None:
        (out / "half").write_text("x")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.get_or(KEY, fails)
    assert not list(tmp_path.rglob("half"))
    assert store.get_or(KEY, write_sum).size_bytes == 1001
    store.close()
    assert not list((tmp_path / "work").iterdir())


def damage_byte(content: Path) -> None:
    (content / "sum.txt").write_text("4")


def damage_cut(content: Path) -> None:
    (content / "deep" / "more.bin").write_bytes(bytes(10))


def damage_delete(content: Path) -> None:
    (content / "sum.txt").unlink()


def damage_add(content: Path) -> None:
    (content / "added_tokens.json").write_text("{}")


def damage_key(content: Path) -> None:
    (content.parent / "key.json").write_text('{"a": 9, "b": 9}')


def damage_list(content: Path) -> None:
    (content.parent / "files.json").unlink()


def damage_list_form(content: Path) -> None:
    (content.parent / "files.json").write_text('{"sum.txt": 3}')


@pytest.mark.parametrize(
    "damage",
    [
        damage_byte,
        damage_cut,
        damage_delete,
        damage_add,
        damage_key,
        damage_list,
        damage_list_form,
    ],
)
def test_a_damaged_result_is_set_aside_and_made_again(tmp_path: Path, damage: Any) -> None:
    content = Store(tmp_path).get_or(KEY, write_sum).content
    damage(content)
    store = Store(tmp_path)
    entry = store.get_or(KEY, write_sum)

    assert store.made == {"sums": 1}
    assert (entry.content / "sum.txt").read_text() == "3"
    (aside,) = (tmp_path / "damaged").iterdir()
    assert (aside / "reason.txt").read_text().strip()


def test_another_results_directory_under_a_key_is_not_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = SumKey(a=5, b=5)
    theirs = store.get_or(other, lambda out: (out / "sum.txt").write_text("10") and None)
    theirs.content.parent.rename(tmp_path / "sums" / KEY.name)

    assert (Store(tmp_path).get_or(KEY, write_sum).content / "sum.txt").read_text() == "3"


def test_a_store_of_another_schema_or_another_directory_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "new").get_or(KEY, write_sum)
    (tmp_path / "new" / "store.json").write_text('{"schema_version": 1}')
    with pytest.raises(StoreError, match="schema_version 1"):
        Store(tmp_path / "new")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="holds something else"):
        Store(tmp_path / "home")
    with pytest.raises(StoreError, match="no directory"):
        Store(tmp_path / "home" / "letter.txt")


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "cannot be written to")]
)
def test_what_the_disk_refuses_is_one_line(tmp_path: Path, number: int, said: str) -> None:
    def make(out: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(StoreError, match=said):
        Store(tmp_path).get_or(KEY, make)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_store_is_read(tmp_path: Path) -> None:
    Store(tmp_path).get_or(KEY, write_sum)
    tmp_path.chmod(0o500)
    try:
        assert Store(tmp_path).get_or(KEY, refuse).size_bytes == 1001
        with pytest.raises(StoreError, match="cannot be written to"):
            Store(tmp_path).get_or(SumKey(a=7, b=7), write_sum)
    finally:
        tmp_path.chmod(0o700)


def make_slowly(out: Path) -> None:
    time.sleep(0.3)
    write_sum(out)


def make_in(root: Path, results: Any) -> None:
    store = Store(root)
    entry = store.get_or(KEY, make_slowly)
    results.put((entry.sha256, sum(store.made.values())))
    store.close()


def test_runs_that_want_the_same_key_wait_for_one_another(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    runs = [context.Process(target=make_in, args=(tmp_path, results)) for _ in range(4)]
    for run in runs:
        run.start()
    found = [results.get(timeout=60) for _ in runs]
    for run in runs:
        run.join()
    assert len({sha256 for sha256, _ in found}) == 1
    assert sum(made for _, made in found) == 1
    assert not list((tmp_path / "work").iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from goemo_eval.pipeline.keys import FitKey
from goemo_eval.pipeline.store import Store
key = FitKey(encoder="e", trained=True, scheme={{"name": "raw"}}, seed=0, weights_sha256=None,
             max_length=8, versions={{}}, isa_limit=None)
store = Store(Path({root!r}))
def make(out):
    with store.partial(key) as partial:
        (partial / "state").write_text("half way")
        (out / "half").write_text("x")
        os.kill(os.getpid(), signal.SIGKILL)
store.get_or(key, make)
"""


@pytest.mark.parametrize("finds_all", [False, True])
def test_what_a_killed_run_left_is_removed_by_the_next_but_not_its_training_state(
    tmp_path: Path, finds_all: bool
) -> None:
    if finds_all:  # the next run has nothing to write
        Store(tmp_path).get_or(KEY, write_sum)
    code = KILLED.format(here=str(Path.cwd()), root=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert list(tmp_path.rglob("half"))

    store = Store(tmp_path)
    store.get_or(KEY, refuse if finds_all else write_sum)
    store.close()
    assert not list(tmp_path.rglob("half"))
    assert [path.name for path in (tmp_path / "partial").rglob("state")] == ["state"]
    assert not list((tmp_path / "work").iterdir())


def test_a_partial_state_goes_when_its_step_is_done(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def interrupted() -> None:
        with store.partial(KEY) as partial:
            (partial / "state").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with store.partial(KEY) as partial:
        assert (partial / "state").read_text() == "1"
    assert not partial.exists()


def test_scratch_goes_with_the_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    scratch = store.scratch("repair")
    assert scratch.is_dir()
    store.close()
    assert not scratch.exists()

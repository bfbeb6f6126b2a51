from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from goemo_eval.cpu import available_threads, cpu
from goemo_eval.measure.environment import git_commit, versions
from goemo_eval.measure.memory import peak_rss_bytes


def test_versions_are_the_installed_ones() -> None:
    import torch

    # A wheel with CUDA may leave out of its name what torch says of itself: 2.13.0+cu130.
    assert versions()["torch"] in {torch.__version__, torch.__version__.partition("+")[0]}
    assert "goemo-eval" in versions()


def test_machine() -> None:
    model, flags = cpu()
    assert model
    assert len(set(flags)) == len(flags)
    assert available_threads() >= 1


def test_git_commit_marks_changed_files(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    assert git_commit(tmp_path / "nowhere") is None
    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    git_commit.cache_clear()
    clean = git_commit(tmp_path)
    assert clean is not None
    assert not clean.endswith("-dirty")
    (tmp_path / "a").write_text("2")
    git_commit.cache_clear()
    assert git_commit(tmp_path) == f"{clean}-dirty"


ALLOCATES = """
from goemo_eval.measure.memory import peak_rss_bytes
before = peak_rss_bytes()
block = bytearray(200 * 2**20)
del block
print(before, peak_rss_bytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_peak_memory_is_that_of_the_process() -> None:
    run = subprocess.run(
        [sys.executable, "-c", ALLOCATES], capture_output=True, text=True, check=True
    )
    before, after = map(int, run.stdout.split())
    assert after - before > 150 * 2**20
    assert before < 150 * 2**20  # nothing of this process
    assert peak_rss_bytes() is not None

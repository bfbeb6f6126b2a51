"""One cell fine-tuned by several processes, as torchrun starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from goemo_eval.models.checkpoint import read_checkpoint

RECIPE = """epochs = 1
batch_size = 8
learning_rate = 1e-3
schedule = 'linear'
weight_decay = 0.01
warmup_ratio = 0.1
max_length = 16
"""


def test_two_processes_write_one_checkpoint(
    tmp_path: Path, tsv_dir: Callable[..., Path], tiny_weights_dir: Path
) -> None:
    recipe, out = tmp_path / "r.toml", tmp_path / "out"
    recipe.write_text(RECIPE)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "goemo_eval", "train"),
            *("--encoder", "tiny", "--weights", f"tiny={tiny_weights_dir}", "--threads", "1"),
            *("--scheme", "raw", "--data", tsv_dir(), "--recipe", recipe, "--out", out),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(out)]
    assert read_checkpoint(out).recipe is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "r.toml", "tsv"]

"""One cell fine-tuned by several processes, as torchrun starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from goemo_eval.models.checkpoint import read_checkpoint

WORK = """
import sys
from pathlib import Path

from goemo_eval.data.dataset import make_split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.weights import find_weights
from goemo_eval.models.recipes import load_recipe
from goemo_eval.models.training import fine_tune

import numpy as np

weights, where = Path(sys.argv[1]), Path(sys.argv[2])
encoder = get_encoder("tiny", weights)
texts = [f"{word} day" for word in ("good", "bad", "a") for _ in range(16)]
labels = np.repeat(np.eye(3, dtype=bool), 16, axis=0)
split = make_split("train", texts, labels, None, label_names=("joy", "anger", "neutral"))
checkpoint = fine_tune(
    encoder,
    get_scheme("raw", ("joy", "anger", "neutral")),
    split,
    recipe=load_recipe("sample").model_copy(update={"epochs": 1, "batch_size": 8, "max_length": 16, "pooling": "encoder"}),
    weights=find_weights(encoder, weights),
    out=where / "out",
    partial=where / "partial",
    threads=1,
)
sys.stdout.write(checkpoint.content_sha256 + chr(10))
"""


def test_two_processes_write_one_checkpoint(
    tmp_path: Path, weights_dir: Callable[..., Path]
) -> None:
    work = tmp_path / "work.py"
    work.write_text(WORK)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", work, weights_dir(head=False), tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = read_checkpoint(tmp_path / "out", manifest="required")
    assert done.stdout.split() == [found.content_sha256] * 2
    # Each process keeps its own generator's state, and every file is listed when all are written.
    [*_, last] = sorted((tmp_path / "partial").iterdir(), key=lambda s: int(s.name[11:]))
    assert {"rng_state_0.pth", "rng_state_1.pth", "goemo_state.json"} <= {
        file.name for file in last.iterdir()
    }
    assert "rng_state_1.pth" in (last / "goemo_state.json").read_text()

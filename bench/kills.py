"""What kill -9 does to a run: ended at random moments, run again, and compared with an undisturbed one.

    python bench/kills.py --kills 100 --seed 0 --out reports/kills.json

A small run (a tiny encoder fine-tuned on some of the bundled sample, FP32 and INT8, scored, timed and
reported) is killed with all its processes after a random share of the time that it takes, then run
again to its end. Every second run begins with an empty store, so that kills fall into training and conversion as well as
into scoring, timing and reporting. Compared are the scores and decisions of every cell; looked for are files that
were left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from goemo_eval.data.sources import sample_dir
from goemo_eval.models.encoders import find_weights, get_encoder
from goemo_eval.progress import progress
from goemo_eval.records.files import read_records

RECIPE = """epochs = 2
batch_size = 32
learning_rate = 1e-3
schedule = "linear"
weight_decay = 0.01
warmup_ratio = 0.1
max_length = 64
head_bias = "prior"
"""
ROWS = {"train": 320, "dev": 96, "test": 96}


def prepare(scratch: Path) -> list[str]:
    """Write data, a tiny encoder and a recipe; return the arguments of the run without store and reports."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    data, weights = scratch / "data", scratch / "tiny"
    data.mkdir()
    for name, rows in ROWS.items():
        lines = (sample_dir() / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[:rows]
        (data / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    AutoModel.from_config(config).save_pretrained(weights)
    tokenizer = find_weights(get_encoder("minilm")).path
    AutoTokenizer.from_pretrained(tokenizer, local_files_only=True).save_pretrained(weights)
    (scratch / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return [
        sys.executable,
        "-m",
        "goemo_eval",
        "run",
        *(
            "--data",
            str(data),
            "--weights",
            f"tiny={weights}",
            "--recipe",
            str(scratch / "recipe.toml"),
        ),
        *("--schemes", "raw,simplified", "--engines", "torch", "--timing", "quick"),
    ]


def run(
    command: list[str], store: Path, reports: Path, *, kill_after_s: float | None = None
) -> float:
    """Run the command, killing it and its children after some seconds; return how long it took."""
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - this interpreter
        [*command, "--store", str(store), "--reports", str(reports)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = process.communicate(timeout=kill_after_s)
    except subprocess.TimeoutExpired:
        # The run alone is killed: its children must notice by themselves.
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        return time.monotonic() - began
    if process.returncode and kill_after_s is None:
        raise SystemExit(f"the run failed: {said.decode(errors='replace')[-2000:]}")
    return time.monotonic() - began


def found(reports: Path) -> dict[str, Any]:
    """Return scores and decisions by cell."""
    return {
        record.cell.id: (record.scores, record.decisions, record.thresholds)
        for record in read_records(reports / "records.json")
    }


def left_behind(store: Path, reports: Path) -> list[str]:
    """Return the files that no finished run should leave."""
    inside = [*(store / "work").glob("*"), *(store / "partial").glob("*")]
    hidden = [*reports.rglob(".*"), *store.rglob(".*")]
    return sorted(str(path.relative_to(path.anchor)) for path in [*inside, *hidden])


def main() -> None:
    """Kill, run again, compare, and say how often something was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311 - moments, no secrets
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        command = prepare(scratch)
        whole_s = run(command, scratch / "undisturbed", scratch / "expected")
        expected = found(scratch / "expected")
        warm_s = run(command, scratch / "undisturbed", scratch / "expected")
        other, left, moments = [], [], []
        store, reports = scratch / "store", scratch / "report"
        for number in progress(range(options.kills), desc="kills", leave=True):
            if number % 2 == 0:
                shutil.rmtree(store, ignore_errors=True)
                shutil.rmtree(reports, ignore_errors=True)
            after_s = rng.uniform(0.05, 1.0) * (whole_s if number % 2 == 0 else warm_s)
            moments.append(round(after_s, 2))
            run(command, store, reports, kill_after_s=after_s)
            run(command, store, reports)
            if found(reports) != expected:
                other.append(number)
            left += left_behind(store, reports)
    result = {
        "command": f"python bench/kills.py --kills {options.kills} --seed {options.seed}",
        "kills": options.kills,
        "undisturbed_s": round(whole_s, 1),
        "warm_s": round(warm_s, 1),
        "killed_after_s": moments,
        "reruns_with_other_scores": other,
        "left_behind": left,
    }
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(
        f"{options.kills} kills over runs of {whole_s:.1f} s and {warm_s:.1f} s: {len(other)} reruns with other "
        f"scores, {len(left)} files left behind\n"
    )
    raise SystemExit(1 if other or left else 0)


if __name__ == "__main__":
    main()

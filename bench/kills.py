"""What kill -9 does to a run: ended at random moments, run again, and compared with an undisturbed one.

    python bench/kills.py --kills 100 --seed 0 --out reports/kills.json

A small run (a tiny encoder fine-tuned on some of the bundled sample, FP32 and INT8, scored, timed and
reported) begins with an empty store and is killed at a random moment of a step (training, conversion, scoring, timing,
reporting), all steps alike however long they take. What it left is taken up by the same command, which may be killed
again, or comes to its end; then scores and decisions of every cell are compared with those of an undisturbed run, and
files are looked for that were left behind. So it goes on until there were as many kills as asked for.
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
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from goemo_eval.data.sources import sample_dir
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.weights import find_weights
from goemo_eval.pipeline.keys import ConvertKey, DecideKey, FitKey
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
SPARED = 0.2
POLL_S = 0.02
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
        *("--schemes", "raw", "--engines", "torch", "--timing", "quick", "--threads", "1"),
    ]


class Moment(NamedTuple):
    """When a run is killed: so long after it was first seen at a step."""

    step: str
    after_s: float


def run(
    command: list[str], store: Path, reports: Path, *, kill_at: Moment | None = None
) -> tuple[dict[str, float], bool]:
    """Run the command, perhaps killing it; return when each step was seen first, and whether it was killed."""
    began_s, seen, dies = time.time(), dict[str, float](), False
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - this interpreter
            [*command, "--store", str(store), "--reports", str(reports)],
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        while (ended := process.poll()) is None and not dies:
            now_s = time.time() - began_s
            seen.setdefault(reached(store, reports, since_s=began_s), now_s)
            dies = kill_at is not None and now_s - seen.get(kill_at.step, now_s) > kill_at.after_s
            time.sleep(POLL_S)
        if ended is None:
            # The run alone is killed: its children must notice by themselves.
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        elif ended:
            said.seek(0)
            raise SystemExit(f"the run failed: {said.read().decode(errors='replace')[-2000:]}")
    seen["end"] = time.time() - began_s
    return seen, ended is None


def reached(store: Path, reports: Path, *, since_s: float) -> str:
    """Return the step that a run is at which began at a time: the first of which nothing is kept."""
    for kind, step in (
        (FitKey.kind, "training"),
        (ConvertKey.kind, "conversion"),
        (DecideKey.kind, "scoring"),
    ):
        if not any((store / kind).glob("*")):
            return step
    with suppress(FileNotFoundError):  # written aside, and renamed meanwhile
        if any(path.lstat().st_mtime > since_s for path in [reports, *reports.rglob("*")]):
            return "reporting"
    return "timing"


def draw(undisturbed: dict[str, float], at: str, rng: random.Random) -> Moment:
    """Draw a moment of a run that begins at a step: all steps from there on alike, however long they take."""
    steps = [*undisturbed]
    place = rng.randrange(steps.index(at), len(steps) - 1)
    lasts_s = undisturbed[steps[place + 1]] - undisturbed[steps[place]]
    return Moment(steps[place], rng.uniform(0, lasts_s))


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
        undisturbed, _ = run(command, scratch / "undisturbed", scratch / "expected")
        expected = found(scratch / "expected")
        store, reports = scratch / "store", scratch / "report"
        moments: list[float] = []
        during: Counter[str] = Counter()
        ended, other = 0, 0
        left: list[str] = []
        for _ in progress(range(options.kills), desc="kills", leave=True):
            killed = False
            while not killed:
                # Of ten that follow a kill, two are left to come to their end for certain.
                spare = bool(moments) and store.exists() and rng.random() < SPARED
                at = reached(store, reports, since_s=time.time())
                kill_at = None if spare else draw(undisturbed, at, rng)
                seen, killed = run(command, store, reports, kill_at=kill_at)
                if killed:
                    moments.append(round(seen["end"], 2))
                    during[[*seen][-2]] += 1
                    continue
                ended += 1
                other += found(reports) != expected
                left += left_behind(store, reports)
                shutil.rmtree(store)
                shutil.rmtree(reports)
        run(command, store, reports)
        ended += 1
        other += found(reports) != expected
        left += left_behind(store, reports)
    result = {
        "command": f"python bench/kills.py --kills {options.kills} --seed {options.seed}",
        "kills": len(moments),
        "undisturbed_began_s": {step: round(began_s, 2) for step, began_s in undisturbed.items()},
        "killed_after_s": moments,
        "killed_during": dict(sorted(during.items())),
        "runs_that_ended": ended,
        "ended_with_other_scores": other,
        "left_behind": left,
    }
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    where = ", ".join(f"{n} during {what}" for what, n in sorted(during.items()))
    sys.stdout.write(
        f"{len(moments)} kills over a run of {undisturbed['end']:.1f} s ({where}): of {ended} that came to their end, {other} "
        f"with other scores; {len(left)} files left behind\n"
    )
    raise SystemExit(1 if other or left else 0)


if __name__ == "__main__":
    main()

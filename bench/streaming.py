"""Any number of rows in flat memory, and a run that was killed goes on: `goemo-eval predict` of a large file.

    python bench/streaming.py BUNDLE [BUNDLE ...] --rows 1000000 --out reports/streaming.json

For each bundle: 10,000 rows, then all of them; a run that is killed (SIGKILL) when it has written half, and taken up
with ``--resume``. Stated are the peak of each process's memory, rows per second, and whether the output equals the
undisturbed run's. Exit code 1 if it does not, or if the peak is more than a tenth above that of 10,000 rows.
The texts are short: some words of the bundled sample, in an order that ``--seed`` decides, and a number that no other has,
so that what is kept of words that were seen is seen to be bounded.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from goemo_eval.cpu import available_threads, cpu
from goemo_eval.data.sources import load_dataset
from goemo_eval.deploy.description import read_bundle
from goemo_eval.errors import GoemoError
from goemo_eval.files import sha256_of_file, write_atomic
from goemo_eval.measure.environment import load_average, versions

FEW = 10_000
MOST = 1.1
"""Times the peak of a few rows."""
# The command itself, which then tells what it took at most.
COMMAND = """
import sys
from goemo_eval.cli.app import main
from goemo_eval.measure.memory import peak_rss_bytes
code = main(sys.argv[1:])
print(peak_rss_bytes())
sys.exit(code)
"""


def main() -> int:
    """Measure every bundle, and say whether all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON; also printed")
    options = parser.parse_args()
    if options.rows <= FEW:
        raise GoemoError(f"--rows {options.rows}: must be more than {FEW:,}")
    result: dict[str, Any] = {
        "rows": options.rows,
        "seed": options.seed,
        "cpu": cpu()[0],
        "threads": available_threads(),
        "versions": versions(),
        "bundles": {},
    }
    with tempfile.TemporaryDirectory(prefix="goemo-eval-") as scratch:
        few, many = Path(scratch) / "few.txt", Path(scratch) / "many.txt"
        write_texts(few, FEW, seed=options.seed)
        write_texts(many, options.rows, seed=options.seed)
        for bundle in options.bundles:
            found = measure(bundle, few, many, rows=options.rows)
            result["bundles"][read_bundle(bundle).cell] = found
            sys.stdout.write(f"{bundle.name}: {json.dumps(found)}\n")
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(options.out, (json.dumps(result, indent=1) + "\n").encode())
    return 0 if all(e["equal"] and e["flat"] for e in result["bundles"].values()) else 1


def write_texts(path: Path, rows: int, *, seed: int) -> None:
    """Write short texts, one a line; a longer file begins as a shorter one does."""
    rng = random.Random(seed)  # noqa: S311 - texts, no secrets
    words = " ".join(load_dataset("sample").splits["train"].texts).split()
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            file.write(" ".join([*rng.choices(words, k=rng.randint(2, 8)), str(row)]) + "\n")


def measure(bundle: Path, few: Path, many: Path, *, rows: int) -> dict[str, Any]:
    """Run the command on a few rows, on all of them, and on all of them with a kill in the middle."""
    load, begun = load_average(), time.perf_counter()
    base, whole, cut = (many.with_name(name) for name in ("base.jsonl", "whole.jsonl", "cut.jsonl"))
    few_peak = peak_of(bundle, few, base)
    start = time.perf_counter()
    peak = peak_of(bundle, many, whole)
    seconds = time.perf_counter() - start
    killed_at = killed_in_the_middle(bundle, many, cut, size=whole.stat().st_size // 2)
    resumed_peak = peak_of(bundle, many, cut, "--resume")
    found = {
        "few_peak_mb": round(few_peak / 1e6, 1),
        "peak_mb": round(peak / 1e6, 1),
        "resumed_peak_mb": round(resumed_peak / 1e6, 1),
        "flat": max(peak, resumed_peak) <= MOST * few_peak,
        "rows_per_s": round(rows / seconds),
        "killed_at_share": round(killed_at / whole.stat().st_size, 3),
        "equal": sha256_of_file(cut) == sha256_of_file(whole),
        "output_sha256": sha256_of_file(whole),
        "load": [load, load_average()],
        "took_s": round(time.perf_counter() - begun, 1),
    }
    for made in (base, whole, cut):
        made.unlink()
    return found


def command(bundle: Path, source: Path, target: Path, *more: str) -> list[str]:
    """Return the command as a list of words."""
    words = ["predict", bundle, "--input", source, "--output", target, "--top", "3", *more]
    return [sys.executable, "-c", COMMAND, *map(str, words)]


def peak_of(bundle: Path, source: Path, target: Path, *more: str) -> int:
    """Run the command to its end; return its peak in bytes."""
    words = command(bundle, source, target, *more)
    ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - ours
    if ended.returncode:
        raise GoemoError(f"{bundle}: predict ended with {ended.returncode}: see what it said above")
    return int(ended.stdout)


def killed_in_the_middle(bundle: Path, source: Path, target: Path, *, size: int) -> int:
    """Run the command until its output has a size, and kill it; return how many bytes are left."""
    process = subprocess.Popen(command(bundle, source, target))  # noqa: S603 - ours
    while process.poll() is None and (not target.exists() or target.stat().st_size < size):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise GoemoError(f"{bundle}: predict ended before it was killed: pass more --rows")
    return target.stat().st_size


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GoemoError as error:
        sys.exit(f"streaming: {error}")

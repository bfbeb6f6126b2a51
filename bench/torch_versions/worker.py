"""A process of one interpreter that holds the artifacts made there, and scores texts when it is told to.

It is told by lines of JSON on stdin, and answers each with one on stdout.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goemo_eval.engines.base import Predictor, logits
from goemo_eval.engines.registry import load

WHAT = ("split", "single")


def seconds(predictor: Predictor, texts: Sequence[str], what: str) -> list[float]:
    """Time texts, text in, scores out: all of them at once, or one after the other."""
    found = []
    for batch in [texts] if what == "split" else [[text] for text in texts]:
        start = time.perf_counter()
        logits(predictor, batch)
        found.append(time.perf_counter() - start)
    return found


def main() -> None:
    """Load what the first line names, then do what each of the others says."""
    # What libraries print must not come between the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)

        def answer(value: Any) -> None:
            answers.write(json.dumps(value) + "\n")
            answers.flush()

        told = json.loads(sys.stdin.readline())
        loaded = {
            cell: load(Path(path), threads=told["threads"])
            for cell, path in told["artifacts"].items()
        }
        answer("ready")
        for line in sys.stdin:
            asked = json.loads(line)
            answer(seconds(loaded[asked["cell"]], told["texts"][asked["what"]], asked["what"]))


if __name__ == "__main__":
    main()

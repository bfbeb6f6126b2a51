"""Every scored cell of a run taken home: each bundle's decisions on the test split against the record's, bit for bit.

    goemo-eval run --data sample --encoders tfidf,minilm --engines torch,onnxruntime,openvino --store STORE --reports REPORT
    python bench/bundles.py REPORT/records.json --store STORE --data sample

Each cell is exported, and its bundle asked from Python, by `goemo-eval predict` of a file, and, where its card shows code for
a plain runtime, by that code as written, in a process that finds neither this library nor torch. Exit code 1 if a decision differs.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval import load_bundle, load_dataset, read_records
from goemo_eval.errors import GoemoError
from goemo_eval.models.recipes import load_recipe
from goemo_eval.pipeline.plan import Plan
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record

Bools = npt.NDArray[np.bool_]
SHOWN = '["a text", "another one"]'
"""The texts of a card's code, in whose place others are put."""
ALONE = """import json as given, sys
for name in ("goemo_eval", "torch", "transformers"):
    sys.modules[name] = None
texts = given.load(sys.stdin)
"""


def main() -> int:
    """Compare every cell, and say of each what was compared and how many decisions differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("records", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--data", default="sample", help="what the run measured")
    options = parser.parse_args()
    plan = Plan(dataset=load_dataset(options.data), recipe=load_recipe("sample"), threads=1)
    differing = 0
    for record in read_records(options.records):
        if record.scores is None:
            continue
        texts = list(plan.task(record.cell.scheme).texts["test"])
        with tempfile.TemporaryDirectory(prefix="goemo-eval-") as scratch:
            bundle = Path(scratch) / "bundle"
            where = ("--records", options.records, "--store", options.store, "--out", bundle)
            goemo_eval("export", record.cell.id, *where)
            found = ways(bundle, record, texts)
        counts = {way: int((decided != decisions_of(record)).sum()) for way, decided in found}
        differing += sum(counts.values())
        said = ", ".join(f"{way} {count}" for way, count in counts.items())
        sys.stdout.write(f"{record.cell.id}: of {len(texts)} texts' decisions differ: {said}\n")
        sys.stdout.flush()
    return 1 if differing else 0


def ways(bundle: Path, record: Record, texts: Sequence[str]) -> list[tuple[str, Bools]]:
    """Return what the bundle decides, by each way to ask it."""
    labels, threads = record.labels, record.environment.threads
    predicted = load_bundle(bundle, threads=threads).predict(texts)
    found = [("Python", indicator([p.labels for p in predicted], labels))]

    source, target = bundle.with_name("texts.jsonl"), bundle.with_name("labels.jsonl")
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    goemo_eval("predict", bundle, "--input", source, "--output", target, "--threads", threads)
    rows = [json.loads(line)["labels"] for line in target.read_text().splitlines()]
    found.append(("command line", indicator(rows, labels)))

    blocks = re.findall(r"```python\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    for code in blocks:
        if "from tokenizers import" in code:
            own = plain(bundle, code, texts)
            each = own if record.kind == "multilabel" else [[label] for label in own]
            found.append((f"plain {record.cell.engine}", indicator(each, labels)))
    return found


def plain(bundle: Path, code: str, texts: Sequence[str]) -> list[Any]:
    """Run a card's code on texts, with neither this library nor torch."""
    asked = f"{ALONE}{code.replace(SHOWN, 'texts')}\nprint(given.dumps(labels))"
    ended = subprocess.run(  # noqa: S603 - this interpreter, with a card that was written here
        [sys.executable, "-c", asked],
        cwd=bundle,
        input=json.dumps(texts),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    labels: list[Any] = json.loads(ended.stdout.splitlines()[-1])
    return labels


def goemo_eval(*words: object) -> None:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "goemo_eval", *map(str, words)]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - ours
    if ended.returncode:
        raise GoemoError(f"goemo-eval {words[0]} ended with {ended.returncode}: see above")


def decisions_of(record: Record) -> Bools:
    """Return the record's own decisions, booleans of shape (N, K)."""
    assert record.decisions is not None
    return unpack_decisions(record.decisions)[1]


def indicator(rows: Sequence[Sequence[str]], labels: Sequence[str]) -> Bools:
    """Return labels of texts as booleans of shape (N, K)."""
    return np.array([[label in row for label in labels] for row in rows])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GoemoError as error:
        sys.exit(f"bundles: {error}")

"""The hub's data sets, against a hub cache that the test lays out in the hub's own folder form."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value
from datasets import Dataset as HubDataset

from goemo_eval.data.dataset import make_split
from goemo_eval.data.goemotions import EMOTIONS
from goemo_eval.data.hub import HUB_DATASET, HUB_REVISION

SPLITS = ("train", "validation", "test")
ROWS = [
    ("Thanks, that made my day!", [15], "aa1"),
    ("so angry and so tired", [2, 25], "aa2"),
    ("It is on page four.", [27], "aa3"),
]
VOTES = [("aa1", 15), ("aa1", 15), ("aa1", 17), ("aa2", 25), ("aa2", 2), ("aa2", 25)]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def lay_out(home: Path, repo: str, revision: str, files: Mapping[str, pa.Table | str]) -> None:
    """Write a hub cache as huggingface_hub does: refs/, snapshots/REVISION/, blobs by link."""
    directory = home / "hub" / f"datasets--{repo.replace('/', '--')}"
    snapshot = directory / "snapshots" / revision
    for made in (directory / "refs", directory / "blobs", snapshot):
        made.mkdir(parents=True)
    (directory / "refs" / "main").write_text(revision)
    for number, (name, content) in enumerate(files.items()):
        blob = directory / "blobs" / str(number)
        if isinstance(content, str):
            blob.write_text(content, encoding="utf-8")
        else:
            pq.write_table(content, blob)
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(blob)


def goemotions_files(*configs: str) -> dict[str, pa.Table]:
    simplified = {
        f"simplified/{split}-00000-of-00001.parquet": pa.table(
            {
                "text": [f"{text} {split}" for text, _, _ in ROWS],
                "labels": [labels for _, labels, _ in ROWS],
                "id": [comment_id for _, _, comment_id in ROWS],
            }
        )
        for split in SPLITS
    }
    raw = {
        "raw/train-00000-of-00001.parquet": pa.table(
            {
                "text": ["..." for _ in VOTES],
                "id": [comment_id for comment_id, _ in VOTES],
                "rater_id": list(range(len(VOTES))),
            }
            | {e: [int(i == vote) for _, vote in VOTES] for i, e in enumerate(EMOTIONS)}
        )
    }
    return (simplified if "simplified" in configs else {}) | (raw if "raw" in configs else {})


def arrow(texts: list[str], labels: list[Any], feature: Any) -> pa.Table:
    """A table as `datasets` writes it, with its features in the file."""
    named = Features({"text": Value("string"), "label": feature})
    return HubDataset.from_dict({"text": texts, "label": labels}, features=named).data.table.cast(
        named.arrow_schema
    )


def run_offline(home: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process whose hub home is `home`: the library reads it at import."""
    environment = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_goemotions_with_votes_from_the_cache(tmp_path: Path) -> None:
    lay_out(tmp_path, HUB_DATASET, HUB_REVISION, goemotions_files("simplified", "raw"))
    result = run_offline(
        tmp_path,
        "import json\n"
        "from goemo_eval import get_scheme, load_dataset\n"
        "from goemo_eval.data.task import task_of\n"
        "d = load_dataset('goemotions')\n"
        "t = task_of(d, get_scheme('simplified', d.labels, dominance='votes', fallback=d.fallback))\n"
        "s = d.splits['test']\n"
        "print(json.dumps([s.texts, s.ids, s.sha256, s.votes.sum(axis=1).tolist(),\n"
        "    t.targets['test'].tolist(), d.name, d.source, d.revision, d.fallback]))",
    )
    assert result.returncode == 0, result.stderr
    texts, ids, sha256, votes, targets, *facts = json.loads(result.stdout)
    labels = np.zeros((3, 28), dtype=bool)
    for row, (_, columns, _) in enumerate(ROWS):
        labels[row, columns] = True
    expected = make_split(
        "test",
        [f"{text} test" for text, _, _ in ROWS],
        labels,
        [comment_id for _, _, comment_id in ROWS],
        label_names=EMOTIONS,
    )
    assert texts == list(expected.texts)
    assert ids == list(expected.ids)
    assert sha256 == expected.sha256  # the same rows, whatever they were read from
    assert votes == [3, 3, 0]
    assert targets == [15, 25, 27]  # two of aa2's three votes are for sadness
    assert facts == ["goemotions", "goemotions", HUB_REVISION, "neutral"]


@pytest.mark.parametrize("configs", [(), ("simplified",), ("raw",)])
def test_incomplete_cache_is_one_clear_line(tmp_path: Path, configs: tuple[str, ...]) -> None:
    lay_out(tmp_path, HUB_DATASET, HUB_REVISION, goemotions_files(*configs))
    result = run_offline(tmp_path, REFUSED.format(sources=["goemotions"]))
    assert result.returncode == 0, result.stderr
    [message] = json.loads(result.stdout)
    assert HUB_DATASET in message
    assert len(message.splitlines()) == 1


REFUSED = """
import json
from goemo_eval import load_dataset
from goemo_eval.errors import DataError
messages = []
for source in {sources}:
    try:
        load_dataset(source, labels="label") if ":" in source else load_dataset(source)
    except DataError as error:
        messages.append(str(error))
    else:
        messages.append("accepted")
print(json.dumps(messages))
"""

NAMES = ["sadness", "joy", "anger"]
CARD = """---
configs:
- config_name: one
  data_files:
  - {split: train, path: one/train.jsonl}
  - {split: dev, path: one/dev.jsonl}
  - {split: test, path: one/test.jsonl}
- config_name: two
  data_files:
  - {split: train, path: two/train.jsonl}
---
"""


def lines(split: str) -> str:
    return "".join(
        json.dumps({"text": f"{split} {i}", "label": [NAMES[i % 3]] if i % 4 else []}) + "\n"
        for i in range(30)
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with data sets in the forms that the hub has them in."""
    home = tmp_path_factory.mktemp("home")
    texts = {split: [f"{split} {i}" for i in range(30)] for split in SPLITS}
    single, several = ClassLabel(names=NAMES), List(ClassLabel(names=NAMES))
    ids = [i % 3 for i in range(30)]
    lists = [[i % 3, (i + 1) % 3] if i % 2 else [] for i in range(30)]
    shard = "data/{}-00000-of-00001.parquet"
    lay_out(
        home,
        "me/single",
        COMMIT,
        {shard.format(split): arrow(texts[split], ids, single) for split in SPLITS},
    )
    lay_out(
        home,
        "me/several",
        COMMIT,
        {shard.format(split): arrow(texts[split], lists, several) for split in ("train", "test")},
    )
    hidden = [-1] * 30
    lay_out(
        home,
        "me/hidden",
        COMMIT,
        {
            shard.format("train"): arrow(texts["train"], ids, single),
            shard.format("test"): arrow(texts["test"], hidden, single),
        },
    )
    files = {f"one/{split}.jsonl": lines(split) for split in ("train", "dev", "test")}
    lay_out(home, "me/names", COMMIT, {"README.md": CARD, "two/train.jsonl": lines("all"), **files})
    lay_out(
        home, "me/half", COMMIT, {"train.jsonl": lines("train"), "validation.jsonl": lines("dev")}
    )
    lay_out(home, "me/code", COMMIT, {"code.py": "raise SystemExit('code of theirs ran')"})
    lay_out(home, "me/broken", COMMIT, {"train.jsonl": "{"})
    return home


def test_data_sets_of_the_hub(home: Path) -> None:
    sources = [
        f"hub:me/{name}@{COMMIT}" for name in ("single", "several", "names:one", "names:two")
    ]
    result = run_offline(
        home,
        "import json\n"
        "from goemo_eval import load_dataset\n"
        f"found = [load_dataset(source, labels='label') for source in {sources}]\n"
        "print(json.dumps([[d.name, d.source, d.revision, d.labels, d.single_label,\n"
        "    {n: len(s) for n, s in d.splits.items()}, d.splits['test'].texts[:2],\n"
        "    d.splits['test'].labels[:3].astype(int).tolist()] for d in found]))",
    )
    assert result.returncode == 0, result.stderr
    single, several, one, two = json.loads(result.stdout)
    third = [30, 30, 30]
    assert single[:4] == ["single", "hub:me/single", COMMIT, NAMES]
    assert single[4] is True
    assert list(single[5].values()) == third
    assert single[7] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert several[3:5] == [NAMES, False]
    assert several[5] == {"train": 27, "validation": 3, "test": 30}
    assert several[7] == [[0, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert one[3:6] == [sorted(NAMES), False, dict(zip(SPLITS, third, strict=True))]
    assert one[6] == ["test 0", "test 1"]
    assert one[7] == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert two[5] == {"train": 24, "validation": 3, "test": 3}


def test_what_the_hub_does_not_have_is_one_clear_line(home: Path) -> None:
    expected = {
        f"hub:me/nowhere@{COMMIT}": "cannot get me/nowhere at 0123456789ab from the hub",
        f"hub:me/single@{'f' * 40}": "cannot get me/single at ffffffffffff from the hub",
        f"hub:me/names@{COMMIT}": "name a configuration with hub:me/names:CONFIG@COMMIT",
        f"hub:me/names:three@{COMMIT}": "name a configuration with hub:me/names:CONFIG@COMMIT",
        f"hub:me/half@{COMMIT}": "has the splits train, validation: train and test are needed",
        f"hub:me/code@{COMMIT}": "cannot be loaded by datasets",
        f"hub:me/broken@{COMMIT}": "cannot be loaded by datasets",
        f"hub:me/hidden@{COMMIT}": "hub:me/hidden, test: row 1: label id -1 is outside 0 to 2",
    }
    result = run_offline(home, REFUSED.format(sources=list(expected)))
    assert result.returncode == 0, result.stderr
    for message, wanted in zip(json.loads(result.stdout), expected.values(), strict=True):
        assert wanted in message
        assert message.isprintable()
        assert str(home) not in message

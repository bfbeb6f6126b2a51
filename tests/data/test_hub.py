"""The hub source, against a hub cache that the test lays out in the hub's own folder form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goemo_eval.data.hub import HUB_DATASET, HUB_REVISION
from goemo_eval.data.labels import EMOTIONS
from goemo_eval.data.splits import make_split

ROWS = [
    ("Thanks, that made my day!", [15], "aa1"),
    ("so angry and so tired", [2, 25], "aa2"),
    ("It is on page four.", [27], "aa3"),
]
VOTES = [("aa1", 15), ("aa1", 15), ("aa1", 17), ("aa2", 25), ("aa2", 2), ("aa2", 25)]


def lay_out_cache(home: Path, *, configs: tuple[str, ...] = ("simplified", "raw")) -> None:
    """Write a hub cache as huggingface_hub does: refs/, snapshots/REVISION/, blobs by link."""
    repo = home / "hub" / f"datasets--{HUB_DATASET.replace('/', '--')}"
    snapshot = repo / "snapshots" / HUB_REVISION
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(HUB_REVISION)
    tables = {
        "simplified": {
            split: {
                "text": [f"{text} {split}" for text, _, _ in ROWS],
                "labels": [labels for _, labels, _ in ROWS],
                "id": [comment_id for _, _, comment_id in ROWS],
            }
            for split in ("train", "validation", "test")
        },
        "raw": {
            "train": {
                "text": ["..." for _ in VOTES],
                "id": [comment_id for comment_id, _ in VOTES],
                "rater_id": list(range(len(VOTES))),
            }
            | {e: [int(i == vote) for _, vote in VOTES] for i, e in enumerate(EMOTIONS)}
        },
    }
    for number, config in enumerate(configs):
        (snapshot / config).mkdir(parents=True)
        for split, columns in tables[config].items():
            blob = repo / "blobs" / f"{number}{split}"
            blob.parent.mkdir(exist_ok=True)
            pq.write_table(pa.table(columns), blob)
            (snapshot / config / f"{split}-00000-of-00001.parquet").symlink_to(blob)


def run_offline(home: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process whose hub home is `home`: the library reads it at import."""
    environment = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_split_with_votes_from_the_cache(tmp_path: Path) -> None:
    lay_out_cache(tmp_path)
    result = run_offline(
        tmp_path,
        "import json\n"
        "from goemo_eval import get_scheme, load_split\n"
        "s = load_split('hub', 'test')\n"
        "t = get_scheme('simplified', 'votes').targets(s.labels, train_labels=s.labels, votes=s.votes)\n"
        "print(json.dumps([s.texts, s.ids, s.sha256, s.revision, s.votes.sum(axis=1).tolist(), t.tolist()]))",
    )
    assert result.returncode == 0, result.stderr
    texts, ids, sha256, revision, votes, targets = json.loads(result.stdout)
    expected = make_split("test", "tsv", [(f"{text} test", labels, i) for text, labels, i in ROWS])
    assert texts == list(expected.texts)
    assert ids == list(expected.ids)
    assert sha256 == expected.sha256  # the same rows, whatever they were read from
    assert revision == HUB_REVISION
    assert votes == [3, 3, 0]
    assert targets == [15, 25, 27]  # two of aa2's three votes are for sadness


@pytest.mark.parametrize("configs", [(), ("simplified",)])
def test_incomplete_cache_is_one_clear_line(tmp_path: Path, configs: tuple[str, ...]) -> None:
    lay_out_cache(tmp_path, configs=configs)
    result = run_offline(
        tmp_path,
        "import sys\nfrom goemo_eval.cli.app import main\n"
        "sys.exit(main(['train', '--encoder', 'minilm', '--scheme', 'raw', '--data', 'hub', '--store', sys.argv[0]]))",
    )
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert HUB_DATASET in result.stderr

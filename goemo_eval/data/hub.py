"""The hub's release of GoEmotions, at a pinned revision.

Its config ``simplified`` holds the aggregated labels (the same rows as the published TSV files),
its config ``raw`` one row per rater, from which the votes of the dominance rule ``votes`` come.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.data.labels import EMOTIONS
from goemo_eval.data.splits import Split, make_split
from goemo_eval.errors import DataError

HUB_DATASET = "google-research-datasets/go_emotions"
HUB_REVISION = "add492243ff905527e67aeb8b80b082af02207c3"


def load_hub_split(name: str) -> Split:
    """Load a split from the hub, or from the hub's cache when offline.

    Parameters
    ----------
    name : {"train", "validation", "test"}

    Returns
    -------
    Split
        With `Split.votes` set.

    Raises
    ------
    DataError
        If the hub cannot be reached and its cache does not hold the pinned revision.
    """
    table = _load_table("simplified", name)
    votes_of = _votes()
    rows = list(zip(table["text"], table["labels"], table["id"], strict=True))
    absent = np.zeros(len(EMOTIONS), dtype=np.int64)
    votes = np.stack([votes_of.get(comment_id, absent) for _, _, comment_id in rows])
    return make_split(name, "hub", rows, revision=HUB_REVISION, votes=votes)


def _load_table(config: str, split: str) -> Any:
    """Load one config of the pinned revision as a `datasets.Dataset`.

    The parquet files are fetched as a snapshot first: `datasets.load_dataset` on a repository
    name asks the hub even when its cache holds the files, and so fails offline.
    """
    import datasets
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot = snapshot_download(
            HUB_DATASET,
            repo_type="dataset",
            revision=HUB_REVISION,
            allow_patterns=[f"{config}/*.parquet"],
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise DataError(
            f"cannot get {HUB_DATASET} at {HUB_REVISION[:12]} from the hub "
            f"({type(error).__name__}): check the network, or give --data a directory with the TSV files"
        ) from error
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    files = sorted(map(str, Path(snapshot, config).glob(f"{split}-*.parquet")))
    try:
        if not files:
            raise FileNotFoundError(f"{config}/{split}-*.parquet")
        return datasets.load_dataset("parquet", data_files={split: files}, split=split)
    except (FileNotFoundError, datasets.exceptions.DatasetGenerationError) as error:
        raise DataError(
            f"the hub's cache of {HUB_DATASET} at {HUB_REVISION[:12]} has no readable "
            f"{config}/{split}: delete {snapshot} and run again with a network"
        ) from error


@cache
def _votes() -> dict[str, npt.NDArray[np.int64]]:
    """Sum the raters' choices per comment id, over the 28 emotions."""
    table = _load_table("raw", "train")
    choices = np.stack([np.asarray(table[emotion], dtype=np.int64) for emotion in EMOTIONS], axis=1)
    ids, comment = np.unique(np.asarray(table["id"]), return_inverse=True)
    votes = np.zeros((len(ids), len(EMOTIONS)), dtype=np.int64)
    np.add.at(votes, comment, choices)
    return dict(zip(ids.tolist(), votes, strict=True))

"""Data sets of the hub, at a pinned commit: from its cache when offline, and never with code of theirs.

GoEmotions' config ``simplified`` holds the aggregated labels (the same rows as the published TSV
files), its config ``raw`` one row per rater, from which the votes of the dominance rule ``votes``
come.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.data.dataset import SPLIT_NAMES, Dataset, Split, make_dataset, make_split
from goemo_eval.data.goemotions import EMOTIONS, NEUTRAL
from goemo_eval.data.places import Origin, clean, split_of_word
from goemo_eval.data.readers.parquet import names_of_features
from goemo_eval.data.readers.table import Rows, Table, check_columns, column_numbers
from goemo_eval.data.words import shown, shown_list
from goemo_eval.errors import DataError

HUB_DATASET = "google-research-datasets/go_emotions"
HUB_REVISION = "add492243ff905527e67aeb8b80b082af02207c3"
_SPEC = re.compile(
    r"hub:(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<config>[\w.-]+))?@(?P<revision>[0-9a-f]{40})", re.ASCII
)
_DATA_FILES = ["*.parquet", "*.csv", "*.tsv", "*.json", "*.jsonl", "README.md"]
_BATCH = 1024


def load_goemotions(*, name: str, drop_shared: bool) -> Dataset:
    """Load GoEmotions from the hub, or from the hub's cache when offline.

    Returns
    -------
    Dataset
        Its splits have votes, and the sha256 of the published files: the pinned commit fixes the
        votes.

    Raises
    ------
    DataError
        If the hub cannot be reached and its cache does not hold the pinned commit.
    """
    votes_of = _votes()
    return make_dataset(
        {split: _goemotions_split(split, votes_of) for split in SPLIT_NAMES},
        EMOTIONS,
        name=name,
        source="goemotions",
        revision=HUB_REVISION,
        fallback=NEUTRAL,
        drop_shared=drop_shared,
    )


def _goemotions_split(name: str, votes_of: dict[str, npt.NDArray[np.int64]]) -> Split:
    table = _load_goemotions("simplified", name)
    ids = list(table["id"])
    labels = np.zeros((len(ids), len(EMOTIONS)), dtype=bool)
    for row, label_ids in enumerate(table["labels"]):
        labels[row, label_ids] = True
    absent = np.zeros(len(EMOTIONS), dtype=np.int64)
    split = make_split(name, list(table["text"]), labels, ids, label_names=EMOTIONS)
    # the pinned commit fixes the votes: they leave the published sha256 as it is
    return replace(split, votes=np.stack([votes_of.get(one, absent) for one in ids]))


def _votes() -> dict[str, npt.NDArray[np.int64]]:
    """Sum the raters' choices per comment id, over the 28 emotions."""
    table = _load_goemotions("raw", "train")
    choices = np.stack([np.asarray(table[emotion], dtype=np.int64) for emotion in EMOTIONS], axis=1)
    ids, comment = np.unique(np.asarray(table["id"]), return_inverse=True)
    votes = np.zeros((len(ids), len(EMOTIONS)), dtype=np.int64)
    np.add.at(votes, comment, choices)
    return dict(zip(ids.tolist(), votes, strict=True))


def _load_goemotions(config: str, split: str) -> Any:
    """Load one config of the pinned commit as a `datasets.Dataset`."""
    import datasets

    snapshot = _snapshot(HUB_DATASET, HUB_REVISION, [f"{config}/*.parquet"])
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


def _snapshot(repo: str, revision: str, patterns: Sequence[str]) -> str:
    """Return the directory of a commit's files, fetched where the cache lacks them.

    `datasets.load_dataset` on a repository's name asks the hub even when its cache holds the files,
    and so fails offline: the files are fetched first, and then loaded from where they lie.
    """
    import datasets
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        return str(
            snapshot_download(
                repo, repo_type="dataset", revision=revision, allow_patterns=list(patterns)
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise DataError(
            f"cannot get {repo} at {revision[:12]} from the hub ({type(error).__name__}): check the "
            "name, the commit and the network, or pass files"
        ) from error


def open_hub(source: str) -> tuple[Origin, dict[str, list[Table]]]:
    """Open a data set of the hub as tables.

    Parameters
    ----------
    source : str
        ``hub:owner/name@commit`` or ``hub:owner/name:config@commit``.

    Returns
    -------
    Origin
    dict of str to list of Table
        By split; a split of another name is left out.

    Raises
    ------
    DataError
        If the commit is not given in full, the hub and its cache do not have it, or it has no
        training split.
    """
    found = _SPEC.fullmatch(source)
    if found is None:
        raise DataError(
            f"data source {shown(source)}: expected hub:owner/name@COMMIT or "
            "hub:owner/name:config@COMMIT, with the commit's 40 hex digits, which pin the data; a "
            "branch or a tag moves"
        )
    repo, config, revision = found["repo"], found["config"], found["revision"]
    loaded = _load(_snapshot(repo, revision, _DATA_FILES), repo, config)
    tables: dict[str, list[Table]] = {}
    for split, rows in loaded.items():
        if name := split_of_word(str(split)):
            if name in tables:
                raise DataError(f"hub:{repo} has two splits that could be {name}: pass files")
            tables[name] = [_table(f"hub:{repo}, {split}", rows)]
    ordered: dict[str, list[Table]] = {
        split: tables[split] for split in SPLIT_NAMES if split in tables
    }
    if "train" not in tables or ("validation" in tables and "test" not in tables):
        raise DataError(
            f"hub:{repo} has the splits {shown_list(map(str, loaded))}: train and test are needed, or "
            "train alone, to be split in three"
        )
    return Origin(clean(repo.partition("/")[2]), f"hub:{repo}", revision), ordered


def _load(snapshot: str, repo: str, config: str | None) -> Any:
    import datasets

    try:
        return datasets.load_dataset(snapshot, name=config)
    except (ValueError, OSError, TypeError, KeyError, datasets.exceptions.DatasetsError) as error:
        what = str(error).partition("\n")[0].replace(snapshot, repo)[:200]
        raise DataError(
            f"hub:{repo} cannot be loaded by datasets ({what!a}): name a configuration with "
            f"hub:{repo}:CONFIG@COMMIT, or download its files and pass them"
        ) from error


def _table(path: str, rows: Any) -> Table:
    columns = check_columns(tuple(rows.column_names), where=path)

    def read(wanted: Sequence[str]) -> Rows:
        column_numbers(columns, wanted, where=path)
        number = 0
        for batch in rows.select_columns(list(wanted)).iter(batch_size=_BATCH):
            for row in zip(*(batch[name] for name in wanted), strict=True):
                number += 1
                yield number, row

    return Table(path, "hub", columns, read, label_names=names_of_features(rows.features))

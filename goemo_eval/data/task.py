"""A data set under a scheme: what is trained on and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from goemo_eval.data.dataset import Dataset, Split
from goemo_eval.data.schemes import Scheme
from goemo_eval.errors import DataError


@dataclass(frozen=True, eq=False)
class Task:
    """A data set under a scheme, in the splits train, validation and test.

    Attributes
    ----------
    scheme : Scheme
    texts : mapping of str to tuple of str
        Those that the scheme keeps.
    targets : mapping of str to ndarray
        See `Scheme.targets`.
    sha256 : mapping of str to str
        Of the whole splits. Targets depend on train's rows, too, so that a key names all three.
    ids : mapping of str to tuple of str
    """

    scheme: Scheme
    texts: Mapping[str, tuple[str, ...]]
    targets: Mapping[str, npt.NDArray[Any]]
    sha256: Mapping[str, str]
    ids: Mapping[str, tuple[str, ...]]


def task_of(dataset: Dataset, scheme: Scheme) -> Task:
    """Apply a scheme to a data set.

    Parameters
    ----------
    dataset : Dataset
    scheme : Scheme
        For the data set's labels.

    Raises
    ------
    DataError
        If the scheme is for other labels, or a split has a row that it cannot take, or none that
        it keeps.
    """
    if scheme.data_labels != dataset.labels:
        raise DataError(
            f"scheme {scheme.name!r} is for {len(scheme.data_labels)} labels that are not those of "
            f"data set {dataset.name!r}: pass its labels to get_scheme"
        )
    texts, targets, ids = {}, {}, {}
    for name, split in dataset.splits.items():
        texts[name], targets[name], ids[name] = _apply(dataset, scheme, name, split)
    sha256 = {name: split.sha256 for name, split in dataset.splits.items()}
    return Task(scheme, texts, targets, sha256, ids)


def _apply(
    dataset: Dataset, scheme: Scheme, name: str, split: Split
) -> tuple[tuple[str, ...], npt.NDArray[Any], tuple[str, ...]]:
    try:
        keep = scheme.keeps(split.labels)
        targets = scheme.targets(
            split.labels[keep],
            train_labels=dataset.splits["train"].labels,
            votes=None if split.votes is None else split.votes[keep],
        )
    except DataError as error:
        raise DataError(f"{name} split of {dataset.name!r}: {error}") from None
    if not keep.any():
        raise DataError(
            f"{name} split of {dataset.name!r}: rule 'only' keeps no row, since each has several "
            "labels: choose another dominance rule"
        )
    rows = keep.nonzero()[0].tolist()
    return (
        tuple(split.texts[row] for row in rows),
        targets,
        tuple(split.ids[row] for row in rows),
    )

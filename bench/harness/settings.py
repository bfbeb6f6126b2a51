"""What the parts of the harness are told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from goemo_eval.data.dataset import Dataset, Split, subset
from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.data.task import Task, task_of

SCHEME = "raw"


@dataclass(frozen=True)
class Settings:
    """A run of the harness.

    Attributes
    ----------
    data : str
        As `load_dataset` takes it.
    checkpoint : Path
        The fine-tuned encoder that is scored.
    layers : Path or None
        One of three layers.
    kept : Path
        Where results, artifacts and the fitted floor are kept.
    rows : int or None
        Of every split, for a trial; all by default.
    rounds : int
        Turns of the scoring lines; each is a pass over the test split by every contender.
    threads : int
    long : bool
        Whether growth is followed to its largest sizes with the encoder, too.
    """

    data: str
    checkpoint: Path
    layers: Path | None
    kept: Path
    rows: int | None
    rounds: int
    threads: int
    long: bool

    def dataset(self) -> Dataset:
        """Load the data; of a trial, random rows of each split."""
        found = load_dataset(self.data)
        if self.rows is None:
            return found
        return replace(
            found, splits={name: self._cut(split) for name, split in found.splits.items()}
        )

    def _cut(self, split: Split) -> Split:
        assert self.rows is not None
        return subset(split, min(self.rows, len(split.texts)), seed=0)

    def task(self) -> Task:
        """Return the multi-label task, which every line scores."""
        dataset = self.dataset()
        return task_of(dataset, get_scheme(SCHEME, dataset.labels, fallback=dataset.fallback))

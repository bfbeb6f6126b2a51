"""What was counted in a data set and assumed of it, to be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from goemo_eval.data.words import shown_list


@dataclass(frozen=True)
class Notes:
    """What was counted in a data set, and what was assumed of it.

    Attributes
    ----------
    empty : mapping of str to int
        Split -> rows whose text is empty or white space.
    unlabelled : mapping of str to int
        Split -> rows without a label.
    duplicates : mapping of str to int
        Split -> rows whose text stands in an earlier row of the split.
    shared : mapping of str to int
        ``"test in train"`` -> rows of one split whose text stands in another one.
    dropped : int
        Rows left out of train because their text stands in validation or test.
    absent : tuple of str
        Labels without a row in train.
    assumed : tuple of str
        What was read into the files, a sentence each.
    """

    empty: Mapping[str, int] = field(default_factory=dict)
    unlabelled: Mapping[str, int] = field(default_factory=dict)
    duplicates: Mapping[str, int] = field(default_factory=dict)
    shared: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    absent: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Return the notes as sentences, those of them that there is something to say of."""
        counted = {
            "without any text": self.empty,
            "without a label": self.unlabelled,
            "with the text of an earlier row": self.duplicates,
        }
        lines = [
            f"{split}: {_rows(count)} {what}"
            for what, by_split in counted.items()
            for split, count in by_split.items()
            if count
        ]
        for pair, count in self.shared.items():
            split, _, other = pair.partition(" in ")
            if count:
                lines.append(f"{split}: {_rows(count)} whose text stands in {other}, too")
        if self.dropped:
            lines.append(f"train: {_rows(self.dropped)} left out, shared with validation or test")
        if self.absent:
            lines.append(f"labels without a row in train: {shown_list(self.absent)}")
        return (*lines, *self.assumed)


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"

"""What a file of somebody's data looks like: which columns hold texts, labels and ids."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from goemo_eval.data.assembly import is_of_raters
from goemo_eval.data.labelling import FLAGS
from goemo_eval.data.naming import SEPARATORS, is_id, looks_like_several
from goemo_eval.data.places import LABELS_FILE, places_of
from goemo_eval.data.readers.form import open_unknown
from goemo_eval.data.readers.table import Table
from goemo_eval.data.words import shown, shown_list, shown_path
from goemo_eval.errors import DataError

ROWS = 2_000
"""So many rows are looked at."""
TEXT_WORDS = (
    *("text", "comment_text", "tweet", "sentence", "utterance", "message", "body", "content"),
    *("comment", "review", "description", "question", "document", "title"),
)
LABEL_WORDS = (
    *("labels", "label", "emotions", "emotion", "categories", "category", "classes", "class"),
    *("intents", "intent", "topics", "topic", "tags", "tag", "sentiment", "target"),
)
ID_WORDS = ("id", "ids", "uid", "uuid", "guid", "ticket_id", "comment_id", "row_id")

_FIXED = {
    "published": "text, TAB, label ids, TAB, id stand on each line, without a header",
    "lines": "text;label stands on each line, without a header",
}


@dataclass(frozen=True)
class Findings:
    """What a file looks like.

    Attributes
    ----------
    path : Path
    form : str
    columns : tuple of str
    rows : int
        Rows that were looked at.
    text : str
    labels : str or tuple of str
        The column of labels, or the 0/1 columns.
    separator : str or None
    ids : str or None
    assumed : tuple of str
        How each was told, a sentence each.
    needed : tuple of str
        What has to be done before the data can be read, a sentence each.
    """

    path: Path
    form: str
    columns: tuple[str, ...]
    rows: int
    text: str = "text"
    labels: str | tuple[str, ...] = "labels"
    separator: str | None = None
    ids: str | None = None
    assumed: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()

    def options(self) -> dict[str, Any]:
        """Return the arguments of `goemo_eval.data.sources.load_dataset` that are no defaults."""
        options: dict[str, Any] = {}
        if self.text != "text":
            options["text"] = self.text
        if self.labels != "labels":
            options["labels"] = self.labels if isinstance(self.labels, str) else list(self.labels)
        if self.separator is not None:
            options["separator"] = self.separator
        if self.ids is not None:
            options["ids"] = self.ids
        return options


def describe(path: Path) -> Findings:
    """Look at a file of data, or at the training split of a directory.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Findings

    Raises
    ------
    DataError
        If it cannot be read, or no column looks like texts or like labels.

    Examples
    --------
    >>> from goemo_eval.data.sources import sample_dir
    >>> describe(sample_dir()).form
    'published'
    """
    path = places_of(path)["train"][0]
    table = open_unknown(path)
    fixed = _FIXED.get(table.form)
    if is_of_raters(table):
        fixed = "these are GoEmotions' rater files: a label is kept that two raters chose"
    if fixed is not None:
        return Findings(path, table.form, table.columns, _count(table), assumed=(fixed,))
    cells = _columns(table)
    rows = len(cells[table.columns[0]])
    if not rows:
        raise DataError(f"{table.path}: no rows under the header: expected at least one")
    assumed = [*table.assumed]
    text = _text_column(table, cells, assumed)
    ids = _ids_column(cells, text, assumed)
    rest = {name: column for name, column in cells.items() if name not in (text, ids)}
    labels = _labels_column(table, rest, assumed)
    separator, needed = None, None
    if isinstance(labels, str):
        tokens = [token for cell in cells[labels] for token in _tokens(cell)]
        separator = _separator(tokens, assumed)
        needed = _names_needed(path, table, labels, tokens, separator)
    return Findings(
        path,
        table.form,
        table.columns,
        rows,
        text=text,
        labels=labels,
        separator=separator,
        ids=ids,
        assumed=tuple(assumed),
        needed=(needed,) if needed else (),
    )


def _count(table: Table) -> int:
    return sum(1 for _ in islice(table.read([table.columns[0]]), ROWS))


def _columns(table: Table) -> dict[str, list[Any]]:
    """Return the first rows' cells by column."""
    rows = [cells for _, cells in islice(table.read(table.columns), ROWS)]
    return {name: [cells[i] for cells in rows] for i, name in enumerate(table.columns)}


def _named(cells: Collection[str], words: Sequence[str]) -> str | None:
    """Return the column that is named by the first possible of some words."""
    by_word = {name.strip().casefold(): name for name in cells}
    return next((by_word[word] for word in words if word in by_word), None)


def _text_column(table: Table, cells: Mapping[str, Sequence[Any]], assumed: list[str]) -> str:
    texts = {
        name: sum(map(len, column)) / len(column)
        for name, column in cells.items()
        if all(isinstance(cell, str) for cell in column) and len(set(column)) > 1
    }
    named = _named(texts, TEXT_WORDS)
    if named is not None:
        assumed.append(f"texts are in column {shown(named)}, by its name")
        return named
    if not texts:
        raise DataError(
            f"{table.path}: no column looks like texts: the columns are {shown_list(table.columns)}"
        )
    longest = max(texts, key=texts.__getitem__)
    assumed.append(f"texts are in column {shown(longest)}, which holds the longest")
    return longest


def _ids_column(cells: Mapping[str, Sequence[Any]], text: str, assumed: list[str]) -> str | None:
    named = _named([name for name in cells if name != text], ID_WORDS)
    if named is None or not all(
        isinstance(cell, (str, int)) and str(cell).isprintable() for cell in cells[named]
    ):
        return None
    if len(set(cells[named])) < len(cells[named]):
        return None
    assumed.append(f"ids are in column {shown(named)}, by its name")
    return named


def _labels_column(
    table: Table, cells: Mapping[str, Sequence[Any]], assumed: list[str]
) -> str | tuple[str, ...]:
    flags = tuple(name for name, column in cells.items() if _are_flags(column))
    named = _named([name for name in cells if name not in flags], LABEL_WORDS)
    if named is not None:
        assumed.append(f"labels are in column {shown(named)}, by its name")
        return named
    if flags:
        assumed.append(
            f"labels are the {len(flags)} column(s) that hold 0 and 1: {shown_list(flags)}"
        )
        return flags
    few = {name: distinct for name, column in cells.items() if (distinct := _distinct(column))}
    if not few:
        raise DataError(
            f"{table.path}: no column looks like labels: the columns are {shown_list(table.columns)}; "
            "name it with labels="
        )
    fewest = min(few, key=few.__getitem__)
    assumed.append(
        f"labels are in column {shown(fewest)}, which holds {few[fewest]} different ones"
    )
    return fewest


def _are_flags(column: Sequence[Any]) -> bool:
    return all(
        not isinstance(cell, (list, tuple, dict, bool))
        and cell in FLAGS
        and str(cell)[:1] in ("0", "1")
        for cell in column
    )


def _distinct(column: Sequence[Any]) -> int:
    """Return how many different labels a column would have, 0 if it does not look like labels."""
    tokens = [token for cell in column for token in _tokens(cell)]
    distinct = len(set(tokens))
    return distinct if tokens and 2 <= distinct <= len(tokens) // 2 else 0


def _tokens(cell: Any) -> list[str | int]:
    items = cell if isinstance(cell, (list, tuple)) else [cell]
    return [
        item.strip() if isinstance(item, str) else item
        for item in items
        if isinstance(item, (str, int)) and not isinstance(item, bool) and str(item).strip()
    ]


def _separator(tokens: Sequence[str | int], assumed: list[str]) -> str | None:
    names = sorted({token for token in tokens if isinstance(token, str)})
    for separator in SEPARATORS:
        several = looks_like_several(names, separator)
        if several is not None:
            assumed.append(f"{shown(several)} is several labels, between {separator!r}")
            return separator
    return None


def _names_needed(
    path: Path, table: Table, labels: str, tokens: Sequence[str | int], separator: str | None
) -> str | None:
    """Say what has to be written, where labels are ids and nothing has their names."""
    parts: list[str | int] = []
    for token in tokens:
        if isinstance(token, str) and separator is not None:
            parts += [part.strip() for part in token.split(separator)]
        else:
            parts.append(token)
    beside = path.with_name(LABELS_FILE)
    if labels in table.label_names or beside.exists() or not parts or not all(map(is_id, parts)):
        return None
    return (
        f"column {shown(labels)} holds ids: write {shown_path(beside)} with their names, one a line, "
        "or pass names="
    )

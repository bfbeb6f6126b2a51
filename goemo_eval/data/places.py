"""Where a source's files are, by split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goemo_eval.data.dataset import SPLIT_NAMES
from goemo_eval.data.readers.form import SUFFIXES
from goemo_eval.data.words import shown, shown_list, shown_path
from goemo_eval.errors import DataError, unknown_name

LABELS_FILE = "labels.txt"
Places = dict[str, tuple[Path, ...]]
"""Split -> its files; a single split ``train`` is all of the data, to be dealt to three."""

WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
"""What names the files of a split."""


@dataclass(frozen=True)
class Origin:
    """What a data set is said to come from.

    Attributes
    ----------
    name : str
        Of the data set, if the caller gives it none.
    source : str
        See `Dataset.source`.
    revision : str or None
    beside : tuple of Path
        Directories that may hold labels.txt.
    """

    name: str
    source: str
    revision: str | None = None
    beside: tuple[Path, ...] = ()


_SHARD = re.compile(r"(.*)-\d{5}-of-\d{5}")


def split_of_word(word: str) -> str | None:
    """Return the split that a word of a file's name stands for.

    Examples
    --------
    >>> split_of_word("dev")
    'validation'
    """
    return next((split for split, words in WORDS.items() if word in words), None)


def places_of(source: str | Path | Sequence[str | Path] | Mapping[str, object]) -> Places:
    """Return a source's files.

    Parameters
    ----------
    source : str, Path, sequence of these, or mapping of str to these
        A directory with a file for each split; one file, or several with the same columns; or the
        files of ``train``, ``validation`` and ``test``.

    Raises
    ------
    DataError
        If there is nothing at a path, a split is missing, or two files could be the same split.
    """
    if isinstance(source, Mapping):
        return _of_mapping(source)
    if isinstance(source, (str, Path)) and str(source) and _is_dir(Path(source)):
        return _of_directory(Path(source))
    return {"train": _paths(source, "data source")}


def origin_of(places: Places, source: str) -> Origin:
    """Return what data in files are said to come from."""
    first = places["train"][0]
    one_file = len(places) == 1 and len(places["train"]) == 1
    return Origin(
        name=clean(first.stem if one_file else first.resolve().parent.name),
        source=source,
        beside=tuple(dict.fromkeys(path.parent for paths in places.values() for path in paths)),
    )


def clean(name: str) -> str:
    """Return what of a name may stand in records and in names of files.

    Examples
    --------
    >>> clean("my tickets (2)")
    'my-tickets-2'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:100].strip("-.") or "data"


def _of_mapping(source: Mapping[str, object]) -> Places:
    for split in source:
        if split not in SPLIT_NAMES:
            raise DataError(unknown_name("split", str(split), SPLIT_NAMES))
    if "train" not in source or ("validation" in source and "test" not in source):
        lacking = "train" if "train" not in source else "test"
        raise DataError(
            f"data source has {shown_list(source) or 'no splits'} and no {lacking}: name the files of "
            "train, validation and test, of train and test, or one file to be split in three"
        )
    return {
        split: _paths(source[split], f"data source, {split}")
        for split in SPLIT_NAMES
        if split in source
    }


def _paths(source: object, what: str) -> tuple[Path, ...]:
    listed = [source] if isinstance(source, (str, Path)) else source
    if not isinstance(listed, Sequence) or not listed:
        raise DataError(f"{what} must be a path or a list of paths: got {shown(source)}")
    for path in listed:
        if not isinstance(path, (str, Path)) or not str(path):
            raise DataError(f"{what} must be a path or a list of paths: got {shown(path)}")
        if not _exists(Path(path)):
            raise DataError(
                f"{what} {shown(str(path), most=200)} is no file or directory, nor sample, goemotions or "
                "hub:owner/name@commit"
            )
    return tuple(Path(path) for path in listed)


def _of_directory(directory: Path) -> Places:
    try:
        files = sorted(p for p in directory.iterdir() if p.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise DataError(
            f"{shown_path(directory)}: cannot be listed ({error.strerror}): name its files"
        ) from None
    found: dict[str, list[Path]] = {}
    for path in files:
        if path.name == LABELS_FILE:
            continue
        if split := _split_of(path):
            found.setdefault(split, []).append(path)
    missing = [split for split in ("train", "test") if split not in found]
    if missing:
        there = shown_list((p.name for p in files), most=4) or "no data files"
        raise DataError(
            f"{shown_path(directory)}: no {' and no '.join(missing)} split: it holds {there}; "
            "expected a file each named train, dev or validation, and test, or pass one file"
        )
    return {split: _one(split, found[split]) for split in SPLIT_NAMES if split in found}


def _split_of(path: Path) -> str | None:
    words = re.split(r"[^a-z0-9]+", path.stem.lower())
    splits = {split for word in words if (split := split_of_word(word))}
    if len(splits) > 1:
        raise DataError(
            f"{shown_path(path)}: the name says {' and '.join(sorted(splits))}: name it after one "
            "split, or pass the splits' files by name"
        )
    return splits.pop() if splits else None


def _one(split: str, paths: list[Path]) -> tuple[Path, ...]:
    """Return a split's one file, or all of its shards; a file of no other name goes first."""
    exact = [path for path in paths if split_of_word(path.stem.lower())]
    paths = exact or paths
    bases = {match and (match[1], p.suffix) for p in paths for match in [_SHARD.fullmatch(p.stem)]}
    if len(paths) > 1 and (None in bases or len(bases) > 1):
        raise DataError(
            f"{shown_path(paths[0].parent)}: {paths[0].name} and {paths[1].name} could both be "
            f"{split}: pass the splits' files by name"
        )
    return tuple(paths)


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long for the file system
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False

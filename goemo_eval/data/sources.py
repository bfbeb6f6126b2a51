"""Data from wherever they are: the bundled sample, GoEmotions, files, or the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from goemo_eval.data.assembly import Asked, assemble, read_names
from goemo_eval.data.dataset import Dataset
from goemo_eval.data.places import Origin, clean, origin_of, places_of
from goemo_eval.data.readers.form import open_table
from goemo_eval.data.readers.table import Table
from goemo_eval.data.words import check_label_names, shown, shown_path
from goemo_eval.errors import DataError


def sample_dir() -> Path:
    """Return the directory of the bundled sample, in GoEmotions' published form."""
    return Path(str(resources.files("goemo_eval.data").joinpath("sample")))


def load_dataset(
    source: str | Path | Sequence[str | Path] | Mapping[str, object],
    *,
    text: str = "text",
    labels: str | Sequence[str] = "labels",
    separator: str | None = None,
    ids: str | None = None,
    rater: str | None = None,
    names: str | Path | Sequence[str] | None = None,
    name: str | None = None,
    seed: int = 0,
    fallback: str | None = None,
    drop_shared: bool = False,
) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    source : str, Path, sequence of these, or mapping of str to these
        ``"sample"``, the bundled texts; ``"goemotions"``, the hub's release with its raters'
        votes; ``"hub:owner/name@commit"`` or ``"hub:owner/name:config@commit"``; a directory with
        a file for each split; one file, or several that go together, to be split in three; or a
        mapping of ``train``, ``validation`` and ``test`` to files, of which ``validation`` may be
        left out. Files end in .csv, .tsv, .txt, .jsonl, .json or .parquet.
    text : str, default "text"
        Column of texts.
    labels : str or sequence of str, default "labels"
        Column whose cells hold a list of labels, one label, or several with `separator` between
        them; or the 0/1 columns, which are the labels.
    separator : str, optional
        Between the labels of a cell.
    ids : str, optional
        Column of ids; row numbers by default.
    rater : str, optional
        Column that says who gave a row's labels. Rows with the same id are then one text; a label
        is kept that two raters chose, and texts on which no two agreed are left out.
    names : sequence of str, or path, optional
        The labels in the order of their columns, or a file with a name a line. Needed where cells
        hold ids, unless ``labels.txt`` lies beside the file or the file has the names in it.
    name : str, optional
        Of the data set, in records.
    seed : int, default 0
        Of the split in three (see `goemo_eval.data.stratify`), which is a part of the data's
        identity.
    fallback : str, optional
        The label that gives way to others where one of several must be picked; ``neutral`` where
        the data are GoEmotions'.
    drop_shared : bool, default False
        Leave rows out of train whose text stands in validation or test.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If something is missing or malformed: the file and line, the column, what came and the
        mend are named.

    Examples
    --------
    >>> load_dataset("sample")
    Dataset(sample, sample, 1190/325/332 rows, 28 labels)
    """
    asked = Asked(
        text=_column(text, "text"),
        labels=_label_columns(labels),
        separator=separator,
        ids=None if ids is None else _column(ids, "ids"),
        rater=None if rater is None else _column(rater, "rater"),
        names=None if names is None else _names(names),
        names_from=shown_path(Path(names)) if isinstance(names, (str, Path)) else "names",
    )
    _check_asked(asked, seed)
    if name is not None and (not isinstance(name, str) or clean(name) != name):
        raise DataError(f"name must be of letters, digits, '.', '_' and '-': got {shown(name)}")
    if source == "goemotions":
        from goemo_eval.data.hub import load_goemotions

        if asked != Asked():
            raise DataError("goemotions names its own columns: leave out text, labels and the like")
        return load_goemotions(name=name or "goemotions", drop_shared=drop_shared)
    origin, parts = _open(source, asked)
    return assemble(
        parts,
        origin,
        asked,
        name=name,
        seed=seed,
        fallback=fallback,
        drop_shared=drop_shared,
    )


def _column(name: object, option: str) -> str:
    if not isinstance(name, str) or not name:
        raise DataError(f"{option} must be the name of a column: got {shown(name)}")
    return name


def _label_columns(labels: str | Sequence[str]) -> str | tuple[str, ...]:
    if isinstance(labels, str):
        return _column(labels, "labels")
    if not isinstance(labels, Sequence):
        raise DataError(f"labels must be a column or a list of 0/1 columns: got {shown(labels)}")
    return check_label_names(labels, where="labels")


def _names(names: str | Path | Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, (str, Path)):
        return read_names(Path(names))
    if not isinstance(names, Sequence):
        raise DataError(f"names must be a list of labels or a file: got {shown(names)}")
    return check_label_names(names, where="names")


def _check_asked(asked: Asked, seed: int) -> None:
    columns = [asked.text, asked.ids, asked.rater]
    columns += [asked.labels] if isinstance(asked.labels, str) else asked.labels
    given = [column for column in columns if column is not None]
    twice = next((column for i, column in enumerate(given) if column in given[:i]), None)
    if twice is not None:
        raise DataError(f"column {shown(twice)} is asked for twice: text, ids and labels differ")
    if asked.separator is not None and not (isinstance(asked.separator, str) and asked.separator):
        raise DataError(f"separator must be a text such as ',': got {shown(asked.separator)}")
    if not isinstance(asked.labels, str) and (asked.separator or asked.names):
        raise DataError(
            "labels are 0/1 columns, which name themselves: leave separator and names out, or name "
            "one column of labels"
        )
    if asked.rater is not None and asked.ids is None:
        raise DataError("rater needs ids: rows with the same id are votes on one text")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise DataError(f"seed must be an integer from 0: got {shown(seed)}")


def _open(
    source: str | Path | Sequence[str | Path] | Mapping[str, object], asked: Asked
) -> tuple[Origin, dict[str, list[Table]]]:
    """Return where the data come from, and their tables by split."""
    if isinstance(source, str) and source.startswith("hub:"):
        from goemo_eval.data.hub import open_hub

        return open_hub(source)
    places = places_of(sample_dir() if source == "sample" else source)
    parts = {
        split: [open_table(path, text=asked.text) for path in paths]
        for split, paths in places.items()
    }
    if source == "sample":
        return Origin("sample", "sample"), parts
    forms = {table.form for tables in parts.values() for table in tables}
    return origin_of(places, forms.pop() if len(forms) == 1 else "files"), parts

"""Where splits come from: the bundled sample, a directory of TSV files, or the hub."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from goemo_eval.data.splits import SPLIT_NAMES, TSV_NAMES, Split, read_tsv
from goemo_eval.errors import DataError, unknown_name

SOURCES = ("sample", "hub")


def sample_dir() -> Path:
    """Return the directory of the bundled sample, in the same three-column form as the data set."""
    return Path(str(resources.files("goemo_eval.data").joinpath("sample")))


def load_split(source: str | Path, name: str) -> Split:
    """Load one split.

    Parameters
    ----------
    source : str or Path
        ``"sample"``, ``"hub"``, or a directory with ``train.tsv``, ``dev.tsv``, ``test.tsv``.
    name : {"train", "validation", "test"}

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If the source or the split is unknown, missing or malformed.

    Examples
    --------
    >>> split = load_split("sample", "test")
    >>> split.labels.shape[1]
    28
    """
    if name not in SPLIT_NAMES:
        raise DataError(unknown_name("split", name, SPLIT_NAMES))
    if source == "sample":
        return read_tsv(sample_dir() / TSV_NAMES[name], name, source="sample")
    if source == "hub":
        from goemo_eval.data.hub import load_hub_split

        return load_hub_split(name)
    directory = Path(source)
    if not directory.is_dir():
        raise DataError(
            f"data source {str(source)!r} is neither {' nor '.join(SOURCES)} nor a directory: "
            f"expected a directory with {', '.join(TSV_NAMES.values())}"
        )
    return read_tsv(directory / TSV_NAMES[name], name)

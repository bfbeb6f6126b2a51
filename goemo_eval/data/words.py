"""What came, as a message may show it; and the names that labels may have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from goemo_eval.errors import DataError

MOST_LABELS = 10_000
MOST_NAME = 200
_MOST_SHOWN = 60
_MOST_PATH = 400


def shown(value: object, *, most: int = _MOST_SHOWN) -> str:
    r"""Return a value as a message may show it: one line, no control characters, cut when long.

    Examples
    --------
    >>> print(shown("a\x1b[31m"))
    'a\x1b[31m'
    """
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except (ValueError, RecursionError):  # integers of thousands of digits, nested lists
        return f"a {type(value).__name__} too large to show"
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shown_path(path: str | Path) -> str:
    """Return a path as a message may show it: as it is, escaped only where it cannot be printed."""
    text = str(path)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= _MOST_PATH else f"...{text[3 - _MOST_PATH :]}"


def shown_list(names: Iterable[str], *, most: int = 12) -> str:
    """Return names as a message shows them: the first of many, with the number of the rest.

    Examples
    --------
    >>> shown_list(["bug", "refund", "login"], most=2)
    'bug, refund and 1 more'
    """
    listed = [name if name.isprintable() and len(name) <= 40 else shown(name) for name in names]
    head = ", ".join(listed[:most])
    return head if len(listed) <= most else f"{head} and {len(listed) - most:,} more"


def check_label_names(names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Return label names that can stand in records, tables and file names of nobody's choosing.

    Parameters
    ----------
    names : sequence of str
    where : str
        What the message names: an option, a file.

    Raises
    ------
    DataError
        If there are none or more than 10,000, or one is empty, long, unprintable or there twice.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{where}: label names must be a list of texts: got {shown(names)}")
    if not 1 <= len(names) <= MOST_LABELS:
        raise DataError(f"{where}: {len(names):,} labels: there may be 1 to {MOST_LABELS:,}")
    seen = set()
    for number, name in enumerate(names, start=1):
        if not name or name != name.strip():
            raise DataError(
                f"{where}: label {number} is {shown(name)}: a name has no white space around it "
                "and is not empty"
            )
        if len(name) > MOST_NAME or not name.isprintable():
            raise DataError(
                f"{where}: label {number} is {shown(name)}: a name has at most {MOST_NAME} "
                "printable characters"
            )
        if name in seen:
            raise DataError(f"{where}: label {shown(name)} is there twice: name each once")
        seen.add(name)
    return tuple(names)

"""The one progress bar of every long piece of work: on stderr, silent where that is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(
    items: Iterable[Any] | None = None,
    *,
    desc: str,
    total: int | None = None,
    unit: str = "it",
    leave: bool = False,
) -> Any:
    """Return a progress bar over `items`, or one of `total` steps to be updated by hand.

    Parameters
    ----------
    items : iterable, optional
    desc : str
        What is going on, in a word or two.
    total : int, optional
        Steps, where `items` cannot tell.
    unit : str, default "it"
    leave : bool, default False
        Keep the finished bar on the terminal.

    Returns
    -------
    tqdm.tqdm
        To be iterated, or used as a context manager.
    """
    # disable=None: silent when stderr is no terminal
    return tqdm(items, desc=desc, total=total, unit=unit, leave=leave, disable=None)


def say(line: str) -> None:
    """Print a line on stderr, above whatever progress bars are there."""
    tqdm.write(line, file=sys.stderr)

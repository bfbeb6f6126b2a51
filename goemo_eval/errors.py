"""The errors that a user can mend, and the one form their messages take.

A message names what was wrong (a file, line, option or parameter), what came, what was
expected and the mend. The command line and the pytest plugin print it as one line and end
with exit code 2; from Python it is an ordinary exception.
"""

from __future__ import annotations

from collections.abc import Iterable

EXIT_PASS = 0
EXIT_REGRESSION = 1
EXIT_BAD_INPUT = 2
EXIT_INCONCLUSIVE = 3


class GoemoError(ValueError):
    """Base of every error that the caller can mend."""


class DataError(GoemoError):
    """A data file, split or label is missing or malformed."""


class CheckpointError(GoemoError):
    """Weights or a checkpoint are missing, altered, or do not fit what is asked of them."""


class DivergedError(CheckpointError):
    """Fine-tuning left the finite numbers."""


class EngineError(GoemoError):
    """An engine or a precision is unknown or cannot run here."""


class ScoreError(GoemoError):
    """Logits, predictions or thresholds cannot be scored honestly."""


class RecordError(GoemoError):
    """A record, benchmark file or budget is missing, malformed, or not comparable."""


class CellError(Exception):
    """A cell's own process failed: no mistake of the caller's, and other cells can go on."""


class BundleError(GoemoError):
    """A bundle is missing, altered, of another schema, or cannot be made."""


class OptionError(GoemoError):
    """An option, or a run file's key, is unknown or out of range."""


class StoreError(GoemoError):
    """The store cannot be used or written to."""


class TuneError(GoemoError):
    """A search space, a study or its storage cannot be used."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not in a registry.

    Parameters
    ----------
    kind : str
        What the name stands for, such as ``"encoder"``.
    name : str
        The name that came.
    known : iterable of str
        The names that would have been accepted.

    Returns
    -------
    str
        One line that lists what is known.

    Examples
    --------
    >>> unknown_name("scheme", "row", ["raw", "simplified"])
    "unknown scheme 'row': known are raw, simplified"
    """
    return f"unknown {kind} {name!r}: known are {', '.join(sorted(known))}"

"""Values of a file that anyone may have written, refused before they are looked at; and text made fit for one.

What a record says is printed in terminals and in pages. So its text holds no control characters, no
escape codes and no halves of characters, its numbers are finite, and nothing in it is endless.
"""

from __future__ import annotations

import math
import re
from typing import Any

from goemo_eval.errors import RecordError

MOST_CHARACTERS = 100_000
MOST_PACKED = 1 << 26
"""Characters of packed decisions."""
_PACKED = ("targets", "predictions")
_MOST_DIGITS = 1 << 63
_DEEPEST = 12
# Controls (C0 but for tab and line feed, DEL, C1), line separators, overrides of the direction of
# text, and surrogates, which are halves of characters.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LINES = re.compile("[\t\n]")


def check_values(value: Any, where: str, *, lines: bool = False) -> None:
    """Refuse what no record may hold, anywhere inside a value read from JSON.

    Parameters
    ----------
    value : object
        As ``json.loads`` returns it.
    where : str
        Of the value, for the message.
    lines : bool, default False
        Whether text may have several lines.

    Raises
    ------
    RecordError
        Naming the place.
    """
    _check(value, (), where, lines)


def escaped(text: str) -> str:
    r"""Return text on one line, with what could do harm in a terminal written as ``\x1b`` or ``\u202e``.

    Examples
    --------
    >>> escaped("a\x1b[31m\nb")
    'a\\x1b[31m b'
    """
    return _UNFIT.sub(lambda found: _code(found[0]), " ".join(text.split("\n")).replace("\t", " "))


def escaped_values(value: Any, *, lines: bool = False) -> Any:
    """Return a value for JSON with every text in it `escaped`, so that reading it will not refuse it.

    With `lines`, text of several lines keeps them.
    """
    if isinstance(value, str):
        parts = value.split("\n") if lines else [value]
        return "\n".join(map(escaped, parts))
    if isinstance(value, dict):
        return {escaped(key): escaped_values(inner, lines=lines) for key, inner in value.items()}
    if isinstance(value, list):
        return [escaped_values(inner, lines=lines) for inner in value]
    return value


def shown(text: str, most: int = 160) -> str:
    """Return text that came from outside for a message: whatever does not print escaped, and not endless."""
    text = "".join(c if c.isprintable() else _code(c) for c in text[: 2 * most])
    return text if len(text) <= most else text[: most - 3] + "..."


def _check(value: Any, path: tuple[str | int, ...], where: str, lines: bool) -> None:
    if isinstance(value, dict):
        for key in value:
            if found := _text_problem(key, path=(), lines=False):
                raise RecordError(f"{_place(where, path)}: a key holds {found}")
    if problem := _problem(value, path, lines=lines):
        raise RecordError(f"{_place(where, path)}: {problem}")
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _check(inner, (*path, key), where, lines)


def _problem(value: Any, path: tuple[str | int, ...], *, lines: bool) -> str:
    if isinstance(value, str):
        return _text_problem(value, path=path, lines=lines)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no number that a record may hold"
    if isinstance(value, int) and abs(value) >= _MOST_DIGITS:
        return "a whole number of 19 digits or more"
    if isinstance(value, dict | list) and len(path) > _DEEPEST:
        return "nested too deeply"
    return ""


def _text_problem(text: str, *, path: tuple[str | int, ...], lines: bool) -> str:
    most = MOST_PACKED if path and path[-1] in _PACKED else MOST_CHARACTERS
    if len(text) > most:
        return f"text of {len(text):,} characters: at most {most:,} are read"
    if found := _UNFIT.search(text):
        return f"the character {_code(found[0])}, which text may not have"
    return "" if lines or not _LINES.search(text) else "text of several lines"


def _place(where: str, path: tuple[str | int, ...]) -> str:
    return ": ".join([where, shown(".".join(map(str, path)))] if path else [where])


def _code(character: str) -> str:
    number = ord(character)
    if number > 0xFFFF:
        return f"\\U{number:08x}"
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"

"""What a library's exception says, in one printable line of ours."""

from __future__ import annotations

from pydantic import ValidationError


def said(error: BaseException, *, most: int = 200) -> str:
    """Return an exception's kind and message in one line, without control characters.

    Examples
    --------
    >>> said(KeyError("evil"))
    "KeyError: 'evil'"
    """
    return printable(f"{type(error).__name__}: {' '.join(str(error).split())}", most=most)


def printable(text: str, *, most: int = 200) -> str:
    r"""Return a text with what a terminal would obey or cannot show escaped, and cut.

    Examples
    --------
    >>> printable("a\x1b[2J")
    'a\\x1b[2J'
    """
    cut = text if len(text) <= most else text[: most - 3] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def first_problem(error: ValidationError) -> str:
    """Return where a model's first problem is and what it is, in a printable line."""
    first = error.errors(include_input=False)[0]
    at = ".".join(str(part) for part in first["loc"])
    return printable(": ".join(filter(None, [at, first["msg"].removeprefix("Value error, ")])))

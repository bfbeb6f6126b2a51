"""A part of a page that a command makes: it stands between two comments, of which the first names the command."""

from __future__ import annotations


def put_between(page: str, begin: str, end: str, block: str) -> str:
    """Return the page with the block between its marks, in place of what stood there."""
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{block}\n{end}{after}"

"""What labels are called: from what stands in their cells, and the names that come with the data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from goemo_eval.data.labelling import UNLABELLED, Token
from goemo_eval.data.words import check_label_names, shown, shown_list
from goemo_eval.errors import DataError

SEPARATORS = (",", ";", "|", "/", "\t")
_ID = re.compile(r"0|[1-9][0-9]{0,8}")


def name_labels(
    seen: Mapping[Token, tuple[int, str]],
    *,
    names: Sequence[str] | None,
    names_from: str,
    column: str,
    separator: str | None,
    rows: int,
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Say what the columns of labels are, and which token belongs to which.

    Parameters
    ----------
    seen : mapping of token to (number, place)
    names : sequence of str, optional
        The labels, where they are known: a token is one of them, or its position among them.
        Without them the tokens are names, and the labels are those that there are, sorted.
    names_from : str
        Where the names come from, as messages say it.
    column : str
        The column of labels, as messages name it.
    separator : str or None
    rows : int
        Number of rows that the tokens come from.

    Returns
    -------
    labels : tuple of str, length K
    columns_of : ndarray of int64, length of `seen`
        Each token's column, by its number.

    Raises
    ------
    DataError
        If a token is no label, or names look like several labels, like ids, or like texts.
    """
    columns_of = np.zeros(len(seen), dtype=np.int64)
    if names is None:
        names = _found_names(seen, column=column, separator=separator, rows=rows)
    by_token = _token_columns(seen, names, names_from)
    for token, (number, _) in seen.items():
        columns_of[number] = by_token[token]
    return tuple(names), columns_of


def _token_columns(
    seen: Mapping[Token, tuple[int, str]], names: Sequence[str], names_from: str
) -> dict[Token, int]:
    columns: dict[Token, int] = {name: number for number, name in enumerate(names)}
    if any(map(is_id, names)):  # names that are numbers are names, or 0 and "0" would be two things
        seen = {str(token): place for token, place in seen.items()}
        columns |= {int(name): number for name, number in columns.items() if is_id(name)}
    elif not all(token in columns for token in seen):
        return _id_columns(seen, names, names_from)
    for token, (_, where) in seen.items():
        if token not in columns:
            raise DataError(
                f"{where}: label {shown(token)} is none of {names_from}: {shown_list(names)}"
            )
    return columns


def _id_columns(
    seen: Mapping[Token, tuple[int, str]], names: Sequence[str], names_from: str
) -> dict[Token, int]:
    known = set(names)
    for token, (_, where) in seen.items():
        if isinstance(token, str) and token not in known and not _looks_like_id(token):
            raise DataError(
                f"{where}: label {shown(token)} is none of {names_from}: {shown_list(names)}"
            )
    for token, (_, where) in seen.items():
        if token in known:
            raise DataError(
                f"{where}: label {shown(token)} is a name, and other rows hold ids: write one or the "
                "other"
            )
    return {token: _id(token, len(names), names_from, where) for token, (_, where) in seen.items()}


def is_id(token: Token) -> bool:
    """Say whether a token is an id: an integer, or digits without a zero before them."""
    return isinstance(token, int) or _ID.fullmatch(token) is not None


def _looks_like_id(token: str) -> bool:
    """Say whether a text was meant as a number, though it may be none that is read."""
    return any(character.isdigit() for character in token) and not any(
        character.isalpha() for character in token
    )


def _id(token: Token, labels: int, names_from: str, where: str) -> int:
    if not is_id(token):
        raise DataError(
            f"{where}: label {shown(token)} is no id: ids are written in the digits 0 to 9, as 3 or "
            "3,10"
        )
    number = int(token)
    if not 0 <= number < labels:
        raise DataError(
            f"{where}: label id {shown(token)} is outside 0 to {labels - 1}, the ids of {names_from}"
            + (UNLABELLED if number == -1 else "")
        )
    return number


def _found_names(
    seen: Mapping[Token, tuple[int, str]], *, column: str, separator: str | None, rows: int
) -> tuple[str, ...]:
    if not seen:
        raise DataError(f"column {shown(column)} holds no label in any row: name it with labels=")
    first = next(iter(seen))
    if all(map(is_id, seen)):
        raise DataError(
            f"{seen[first][1]}: label {shown(first)} is an id, and nothing says what it stands for: "
            "write labels.txt beside the file, a name a line, or pass names="
        )
    number = next((token for token in seen if isinstance(token, int)), None)
    if number is not None:
        raise DataError(
            f"{seen[number][1]}: label {shown(number)} is an integer, and other rows have names: "
            "write one or the other"
        )
    names = sorted(map(str, seen))
    _check_alike(names, seen)
    if separator is None:
        _check_several(names, seen)
        if rows >= 20 and len(names) > rows / 2:
            raise DataError(
                f"column {shown(column)} has {len(names):,} labels in {rows:,} rows, such as "
                f"{shown(names[0])}: name the column of labels with labels=, or what is between "
                "labels with separator="
            )
    return check_label_names(names, where=f"column {shown(column)}")


def _check_alike(names: Sequence[str], seen: Mapping[Token, tuple[int, str]]) -> None:
    folded: dict[str, str] = {}
    for name in names:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(
                f"{seen[name][1]}: label {shown(name)} is {shown(other)} but for its capitals: write "
                "it one way, or pass names= with both"
            )


def _check_several(names: Sequence[str], seen: Mapping[Token, tuple[int, str]]) -> None:
    for separator in SEPARATORS:
        name = looks_like_several(names, separator)
        if name is not None:
            raise DataError(
                f"{seen[name][1]}: {shown(name)} looks like several labels: pass "
                f"separator={separator!r}, or names= to say that it is one"
            )


def looks_like_several(names: Collection[str], separator: str) -> str | None:
    """Return a name that is made of other names, or of parts that others have, too.

    Examples
    --------
    >>> looks_like_several(["bug", "bug,login"], ",")
    'bug,login'
    >>> looks_like_several(["cats, dogs", "fish"], ",")
    """
    whole = set(names)
    parts_of = {
        name: {part.strip() for part in name.split(separator)}
        for name in names
        if separator in name
    }
    known = Counter(part for parts in parts_of.values() for part in parts)
    known.update(names)
    for name, parts in parts_of.items():
        if parts & whole or all(known[part] > 1 for part in parts):
            return name
    return None

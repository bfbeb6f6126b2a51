"""One set of rows in several parts, each with its share of every label.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label
Data", ECML PKDD 2011): the rarest label's rows are dealt first, each to the part that wants that
label most. Two things are other than in the paper. Where it draws at random, rows come in the
order of a hash of seed and text, so that the parts depend on neither the order of the rows nor a
library's random numbers. And a part that is full takes no more: with many rare labels, the paper's
parts are far from the sizes asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def split_rows(
    texts: Sequence[str], labels: npt.NDArray[np.bool_], *, shares: Sequence[float], seed: int
) -> list[npt.NDArray[np.int64]]:
    """Deal rows to parts; rows with the same text go to the same part.

    Parameters
    ----------
    texts : sequence of str, length N
    labels : ndarray of bool, shape (N, K)
    shares : sequence of float
        Of the distinct texts, for each part; they sum to 1.
    seed : int

    Returns
    -------
    list of ndarray of int64
        For each part its rows, in their order.
    """
    unit_of: dict[str, int] = {}
    units = np.fromiter((unit_of.setdefault(t, len(unit_of)) for t in texts), np.int64, len(texts))
    _, first = np.unique(units, return_index=True)
    united = labels[first]
    again = np.setdiff1d(np.arange(len(units)), first)
    np.logical_or.at(united, units[again], labels[again])
    keys = [hashlib.sha256(f"{seed}\n{text}".encode()).digest() for text in unit_of]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    part = stratify(united, shares=shares, order=order)[units]
    return [np.flatnonzero(part == number) for number in range(len(shares))]


def stratify(
    labels: npt.NDArray[np.bool_], *, shares: Sequence[float], order: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Deal rows to parts by iterative stratification.

    Parameters
    ----------
    labels : ndarray of bool, shape (N, K)
    shares : sequence of float
    order : sequence of int, length N
        In which rows are dealt where the rule leaves the choice; ties of parts go to the first.

    Returns
    -------
    ndarray of int64, shape (N,)
        Each row's part. None is empty where N is at least the number of parts.
    """
    rank = np.asarray(order, dtype=np.int64)
    rows, columns = np.nonzero(labels[rank])
    rows_of = _grouped(columns, rows, labels.shape[1])
    columns_of = _grouped(rows, columns, len(rank))
    remaining = labels.sum(axis=0)
    room = _sizes(len(rank), shares)
    wanted_of = [[int(count) * share for share in shares] for count in remaining]
    part = [-1] * len(rank)

    def deal(row: int, wants: Sequence[float]) -> None:
        open_parts = [number for number, left in enumerate(room) if left]
        chosen = max(open_parts, key=lambda number: (wants[number], room[number], -number))
        part[row] = chosen
        room[chosen] -= 1
        for column in columns_of[row]:
            wanted_of[column][chosen] -= 1

    while remaining.any():
        rarest = int(np.where(remaining > 0, remaining, np.iinfo(np.int64).max).argmin())
        dealt = [row for row in rows_of[rarest] if part[row] < 0]
        for row in dealt:
            deal(row, wanted_of[rarest])
        np.subtract.at(remaining, [column for row in dealt for column in columns_of[row]], 1)
    for row, where in enumerate(part):
        if where < 0:
            deal(row, room)
    out = np.empty(len(rank), dtype=np.int64)
    out[rank] = part
    return out


def _grouped(keys: npt.NDArray[Any], values: npt.NDArray[Any], groups: int) -> list[list[int]]:
    by_key = np.argsort(keys, kind="stable")
    ends = np.cumsum(np.bincount(keys, minlength=groups))[:-1]
    return [group.tolist() for group in np.split(values[by_key], ends)]


def _sizes(rows: int, shares: Sequence[float]) -> list[int]:
    """Return the parts' sizes: their shares rounded, the last rows to the largest remainders."""
    exact = [rows * share for share in shares]
    sizes = [int(size) for size in exact]
    by_remainder = sorted(range(len(shares)), key=lambda number: sizes[number] - exact[number])
    for number in by_remainder[: rows - sum(sizes)]:
        sizes[number] += 1
    for number in range(len(sizes)):
        if sizes[number] == 0 and max(sizes) > 1:
            sizes[sizes.index(max(sizes))] -= 1
            sizes[number] = 1
    return sizes

"""F1 on resampled texts, all resamples together.

Every F1 here is a function of three sums over the texts: true positives, decided plus true
positives (``F1 = 2 tp / s``), and true positives per label. A resample of the texts weighs their
rows, so all resamples together are one matrix product, which is exact in float32 because every
number in it is a small integer. Texts are drawn with equal chance, not stratified: a label's number
of positives varies from resample to resample, as it would from test split to test split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.errors import ScoreError, unknown_name
from goemo_eval.measure.f1 import f1_from_counts, ratio
from goemo_eval.measure.metrics import indicator

METRICS = ("macro_f1", "micro_f1", "weighted_f1")
Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

_CHUNK = 256  # resamples at a time: their weights stay in the processor's cache
_MOST_WEIGHTS = 1 << 24  # of a portion: of a million texts fewer resamples are held at a time


def distinct(
    rows: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Return the distinct rows, and which of them each row is: equal texts are weighed as one."""
    keys = rows.astype(np.uint8).view(np.dtype((np.void, rows.shape[1]))).ravel()
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], group


def draw(
    rng: np.random.Generator, number: int, group: npt.NDArray[np.intp], n_groups: int
) -> npt.NDArray[np.float32]:
    """Draw how often each group of texts stands in each of some resamples of the texts."""
    n = len(group)
    width = np.uint16 if n <= 1 << 16 else np.uint32  # narrow numbers are drawn several at once
    weights = np.empty((number, n_groups), np.float32)
    for i, row in enumerate(rng.integers(0, n, (number, n), dtype=width)):
        weights[i] = np.bincount(group.take(row), minlength=n_groups)
    return weights


def chunks(n: int, n_texts: int = 1) -> Iterator[int]:
    """Yield the sizes of the portions in which n draws of so many texts are made."""
    size = max(1, min(_CHUNK, _MOST_WEIGHTS // max(1, n_texts)))
    for start in range(0, n, size):
        yield min(size, n - start)


def text_sums(
    truth: Bools, guesses: Sequence[Bools], *, support: bool = False
) -> npt.NDArray[np.float32]:
    """Return what each text adds to tp, s and, if asked, support of each set of predictions.

    Shape (N, S, 2 or 3, K).
    """
    more = [truth] if support else []
    sets = [np.stack([truth & g, truth.astype(np.int8) + g, *more], axis=1) for g in guesses]
    return np.stack(sets, axis=1).astype(np.float32)


def value_and_gradient(sums: Floats, metric: str | int) -> tuple[Floats, Floats]:
    """Return a metric, and its derivatives by the sums that it is made of.

    Parameters
    ----------
    sums : ndarray, shape (..., 2, K) or (..., 3, K)
        tp, s, and for weighted F1 support.

    Returns
    -------
    values, ndarray of shape (...), and gradients, of the shape of `sums`
    """
    sums = sums.astype(np.float64)
    tp, s = sums[..., 0, :], sums[..., 1, :]
    gradient = np.zeros(sums.shape)
    if metric == "micro_f1":
        tp, s = tp.sum(axis=-1, keepdims=True), s.sum(axis=-1, keepdims=True)
    f1, inverse = f1_from_counts(tp, s, 0), ratio(1.0, s)
    if metric == "weighted_f1":
        everything = np.maximum(sums[..., 2, :].sum(axis=-1, keepdims=True), 1)
        share = sums[..., 2, :] / everything
        value = (share * f1).sum(axis=-1)
        gradient[..., 2, :] = (f1 - value[..., None]) / everything
    else:
        share = np.full(s.shape[-1], 1 / s.shape[-1])
        if isinstance(metric, int):
            share = np.eye(s.shape[-1])[metric]
        value = (share * f1).sum(axis=-1)
    gradient[..., 0, :] = 2 * share * inverse
    gradient[..., 1, :] = -share * f1 * inverse
    return value, gradient


def indicators(
    targets: npt.NDArray[Any], predictions: Sequence[npt.NDArray[Any]], n_labels: int | None
) -> tuple[Bools, list[Bools]]:
    """Return targets and predictions as booleans of one shape (N, K).

    Raises
    ------
    ScoreError
        If they do not fit one another.
    """
    arrays = [np.asarray(a) for a in (targets, *predictions)]
    if n_labels is None:
        n_labels = max(a.shape[1] if a.ndim == 2 else int(a.max(initial=0)) + 1 for a in arrays)
    names = ["targets", *["predictions"] * len(predictions)]
    if len(predictions) == 2:
        names[1:] = ["baseline", "candidate"]
    found = [indicator(a, name, n_labels) for a, name in zip(arrays, names, strict=True)]
    for name, array in zip(names, found, strict=True):
        if len(array) != len(found[0]):
            raise ScoreError(
                f"targets have {len(found[0])} rows, {name} {len(array)}: pass equal rows"
            )
    return found[0], found[1:]


def check_draws(number: int, seed: int) -> None:
    """Check how often is drawn, and with which seed."""
    if number < 100:
        raise ScoreError(f"resamples must number at least 100: got {number}")
    if seed < 0:
        raise ScoreError(f"seed must be at least 0: got {seed}")


def check_metric(metric: str | int, n_labels: int) -> None:
    """Check that a metric is one of `METRICS`, or the column of a label."""
    if isinstance(metric, int):
        if not 0 <= metric < n_labels:
            raise ScoreError(f"metric {metric} is no column: expected 0 to {n_labels - 1}")
    elif metric not in METRICS:
        raise ScoreError(unknown_name("metric", metric, METRICS))

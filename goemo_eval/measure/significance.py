"""Whether a drop is more than chance: a paired permutation test, and p-values of many labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from goemo_eval.measure.f1 import f1_from_counts
from goemo_eval.measure.resampling import Floats, check_draws, chunks, indicators, text_sums


class SwapTest(NamedTuple):
    """One-sided p-values: how often chance alone makes the candidate look that much worse."""

    macro_f1: float
    per_label: npt.NDArray[np.float64]


def swap_test(
    targets: npt.NDArray[Any],
    baseline: npt.NDArray[Any],
    candidate: npt.NDArray[Any],
    *,
    n_swaps: int = 10_000,
    seed: int = 0,
    n_labels: int | None = None,
) -> SwapTest:
    """Test by permutation whether the candidate is worse, overall and for each label.

    If nothing had changed, baseline and candidate could change places on any text. Each round
    swaps them on about half of the texts and asks whether the drop is at least as large as the
    one measured. The test is exact for a drop of zero, however rare a label is; it knows no
    other margin [1]_.

    Parameters
    ----------
    targets, baseline, candidate, seed, n_labels
        As in `paired_bootstrap`.
    n_swaps : int, default 10,000
        At least 100. No p-value is below ``1 / (n_swaps + 1)``.

    Returns
    -------
    SwapTest
        P-values in ``(0, 1]`` for the drop of Macro-F1 and of each label's F1, not corrected for
        the number of labels: see `holm`.

    Raises
    ------
    ScoreError
        If the arrays do not fit one another or an option is out of range.

    References
    ----------
    .. [1] E. W. Noreen, Computer-intensive methods for testing hypotheses (1989).
    """
    check_draws(n_swaps, seed)
    truth, guesses = indicators(targets, (baseline, candidate), n_labels)
    rows = text_sums(truth, guesses)
    total = rows.sum(axis=0, dtype=np.float64)
    swapped = rows[:, [1, 0]] - rows
    swapped = swapped[swapped.any(axis=(1, 2, 3))]  # most texts are decided alike
    size = total.size
    rng = np.random.default_rng(seed)
    measured = _drops(total[None])[0]
    least = measured - 1e-9  # ties count against a finding, whatever their last bit
    at_least = np.zeros(len(measured))
    for number in chunks(n_swaps):
        heads = rng.integers(0, 2, (number, len(swapped)), dtype=np.uint8).astype(np.float32)
        moved = heads @ swapped.reshape(len(swapped), size)
        at_least += (_drops(total + moved.reshape(number, *total.shape)) >= least).sum(axis=0)
    p_values = (at_least + 1) / (n_swaps + 1)
    return SwapTest(float(p_values[0]), p_values[1:])


def holm(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Correct p-values for their number, by Holm's step-down method.

    Rejecting what is at most alpha keeps the chance of any false finding at most alpha.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = values.argsort(kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(steps, 1)
    return corrected


def holm_levels(p_values: npt.ArrayLike, alpha: float) -> npt.NDArray[np.float64]:
    """Return the level at which Holm's method judges each p-value.

    A p-value of at most its level is a finding, and the chance of any false finding among them is at most
    alpha, whatever they have to do with one another [1]_. The smallest of m is judged at ``alpha / m``; each
    finding leaves the next one more; what comes after the last finding shares its successor's level.

    References
    ----------
    .. [1] S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6 (1979).

    Examples
    --------
    >>> holm_levels([0.5, 0.001, 0.02], 0.05).round(4).tolist()
    [0.05, 0.0167, 0.025]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = values.argsort(kind="stable")
    steps = alpha / np.arange(len(values), 0, -1)
    lost = np.flatnonzero(values[order] > steps)
    if len(lost):
        steps[lost[0] :] = steps[lost[0]]
    levels = np.empty_like(values)
    levels[order] = steps
    return levels


def detectable_drop(standard_error: float, *, alpha: float, power: float = 0.8) -> float:
    """Return the smallest true drop beyond the budget that would be found with a given chance.

    Parameters
    ----------
    standard_error : float
        Of the paired difference.
    alpha : float
        Chance of a false alarm, one-sided, in ``(0, 1)``.
    power : float, default 0.8
    """
    from scipy.special import ndtri

    return float((ndtri(1 - alpha) + ndtri(power)) * standard_error)


def _drops(sums: Floats) -> Floats:
    """Return the drop of Macro-F1 and of each label, shape (B, 1 + K), from (B, 2, 2, K)."""
    tp, s = sums[:, :, 0].astype(np.float64), sums[:, :, 1]
    f1 = f1_from_counts(tp, s, 0)
    drop = f1[:, 0] - f1[:, 1]
    return np.concatenate([drop.mean(axis=1, keepdims=True), drop], axis=1)

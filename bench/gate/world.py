"""Texts and models whose true Macro-F1 is known without sampling.

A label's score is normal, 2.2 higher where the label is true: what all models find hard about a text,
and noise of each model's own. A threshold per label, best for the baseline, decides. So the true F1 of a
model follows from the normal distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Noise = npt.NDArray[np.float32]

SEPARATION = 2.2
SAME = 0.14
"""Standard deviation of a model's own noise, that of what all share being 1: changed versions of one
model. 15 in 100 positive decisions differ, more than between MiniLM's FP32 and INT8 (3 to 5)."""
ANEW = 0.33
"""The same of models trained anew: 35 in 100 differ, as between two seeds of MiniLM on GoEmotions (31 to 39)."""


@dataclass(frozen=True)
class Texts:
    """A kind of test split: how many texts, and each label's share of them."""

    number: int
    shares: tuple[float, ...]

    def truth(self, rng: np.random.Generator) -> Bools:
        """Draw the labels of all texts, shape (N, K)."""
        return rng.random(self.shape, np.float32) < np.array(self.shares, np.float32)

    def noise(self, rng: np.random.Generator) -> Noise:
        """Draw standard normal noise, shape (N, K)."""
        return rng.standard_normal(self.shape, np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """N and K."""
        return self.number, len(self.shares)


def _shares(least: float, most: float, number: int) -> tuple[float, ...]:
    return tuple(np.geomspace(least, most, number).tolist())


FULL = Texts(5427, _shares(0.0015, 0.33, 28))
"""As many texts and labels as in GoEmotions' test split, and labels as rare."""
SMALL = Texts(2000, _shares(0.01, 0.33, 12))
"""Where thousands of test splits are drawn."""


@dataclass(frozen=True)
class Model:
    """How a model scores: by how much more where a label is true, and with how much noise of its own."""

    private: float = SAME
    separation: float = SEPARATION

    def f1(self, texts: Texts, thresholds: Floats) -> Floats:
        """Return each label's F1 over all texts that could ever come."""
        shares, spread = np.array(texts.shares), np.hypot(1, self.private)
        hit = shares * norm.sf((thresholds - self.separation) / spread)
        decided = hit + (1 - shares) * norm.sf(thresholds / spread)
        return np.asarray(2 * hit / (decided + shares))

    def macro_f1(self, texts: Texts, thresholds: Floats) -> float:
        """Return Macro-F1 over all texts that could ever come."""
        return float(self.f1(texts, thresholds).mean())

    def decide(self, truth: Bools, hard: Noise, own: Noise, thresholds: Floats) -> Bools:
        """Return decisions, shape (N, K), from what is hard about the texts and the model's own noise."""
        score = np.float32(self.separation) * truth + hard + np.float32(self.private) * own
        return np.asarray(score > thresholds.astype(np.float32))


@cache
def thresholds_of(texts: Texts, model: Model) -> Floats:
    """Return the best threshold of each label."""
    grid = np.linspace(-1, 6, 1401)
    found = [model.f1(texts, np.full(len(texts.shares), t)) for t in grid]
    return np.asarray(grid[np.argmax(found, axis=0)])


def true_drop(texts: Texts, baseline: Model, candidate: Model) -> float:
    """Return the drop of Macro-F1 over all texts, both under the baseline's thresholds."""
    thresholds = thresholds_of(texts, baseline)
    return baseline.macro_f1(texts, thresholds) - candidate.macro_f1(texts, thresholds)


def losing(
    texts: Texts,
    baseline: Model,
    loss: float,
    make: Callable[[float], Model],
    ends: tuple[float, float],
) -> Model:
    """Return the model on a line of them that loses so much."""
    return make(brentq(lambda x: true_drop(texts, baseline, make(x)) - loss, *ends))


@cache
def weaker(texts: Texts, baseline: Model, loss: float) -> Model:
    """Return the model that loses so much because true labels score less higher."""
    return losing(
        texts,
        baseline,
        loss,
        lambda x: replace(baseline, separation=x),
        (0.5, baseline.separation),
    )


@cache
def noisier(texts: Texts, baseline: Model, loss: float) -> Model:
    """Return the model that loses so much by more noise of its own."""
    return losing(
        texts, baseline, loss, lambda x: replace(baseline, private=x), (baseline.private, 2.0)
    )

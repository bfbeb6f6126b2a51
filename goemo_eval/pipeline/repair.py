"""Accuracy-aware precision: the few linear layers that must stay in FP32 for INT8 to keep its Macro-F1.

Two steps. Each layer is first quantized alone, and ranked by how far that moves the logits of
some texts for each of its weights: a small layer that is kept costs little. A bisection then finds the shortest head of the ranking that brings validation
Macro-F1 back within the budget, in about twice log2 of its length validation passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from goemo_eval.engines.base import Classifier, Model

RANKING_TEXTS = 64


@dataclass(frozen=True, eq=False)
class Repaired:
    """What a search found, and what it cost.

    Attributes
    ----------
    classifier : Classifier
        INT8 with `kept_fp32` left in FP32.
    kept_fp32 : tuple of str
        Most sensitive first.
    macro_f1 : float
        Of `classifier`, on the split that the search looked at.
    int8_share : float
        Share of the linear layers' weights that are INT8, in [0, 1].
    passes : int
        Classifiers that were quantized and scored on that whole split.
    seconds : float
        Of the whole search, the ranking included.
    """

    classifier: Classifier
    kept_fp32: tuple[str, ...]
    macro_f1: float
    int8_share: float
    passes: int
    seconds: float


def rank_layers(model: Model, texts: Sequence[str]) -> tuple[str, ...]:
    """Rank linear layers by how far the logits move, per weight, when only that layer is quantized.

    Parameters
    ----------
    model : Model
        Torch's is the cheapest to quantize; its ranking serves the other engines too, whose
        layers have the same names.
    texts : sequence of str
        Not of the test split.

    Returns
    -------
    tuple of str
        Names, the most sensitive first, by the mean squared change of the logits over the layer's
        number of weights. Changes of several layers about add up, so that a head of this ranking
        takes most of the change away for the weights that it costs.
    """
    weights = {layer.name: layer.weights for layer in model.layers}
    names = list(weights)
    reference = model.classifier("fp32").logits(texts)
    moved: dict[str, float] = {}
    # disable=None: silent when stderr is no terminal
    for name in tqdm(names, desc="ranking layers", leave=False, disable=None):
        others = [other for other in names if other != name]
        logits = model.classifier("int8", kept_fp32=others).logits(texts)
        moved[name] = float(np.square(logits - reference).mean()) / weights[name]
    return tuple(sorted(names, key=lambda name: -moved[name]))


def search_precision(
    model: Model,
    ranking: Sequence[str],
    texts: Sequence[str],
    macro_f1: Callable[[npt.NDArray[Any]], float],
    *,
    least: float,
) -> Repaired:
    """Find the shortest head of a ranking that must stay in FP32.

    Parameters
    ----------
    model : Model
    ranking : sequence of str
        Every linear layer, the most sensitive first.
    texts : sequence of str
        Of the validation split: a choice that was made on the test split would flatter itself.
    macro_f1 : callable
        Logits of `texts`, shape (N, K) -> Macro-F1.
    least : float
        Macro-F1 that INT8 must reach. Frozen INT8 is taken not to.

    Returns
    -------
    Repaired
        Where not even all layers in FP32 reach `least`, that is what is returned.

    Notes
    -----
    The bisection takes Macro-F1 to grow with the number of layers kept. Where it does not quite,
    the result still reaches `least`, by a head that may be longer than need be.
    """
    began = time.perf_counter()
    low, high = 0, len(ranking)  # so many are too few; so many are enough, or all that there are
    best: tuple[Classifier, float] | None = None
    passes = 0
    # disable=None: silent when stderr is no terminal
    with tqdm(desc="searching precision", leave=False, disable=None) as bar:
        while best is None or high - low > 1:
            # Few layers are to blame as a rule: 1, 2, 4, ... first, then halve what is between.
            count = min(max(1, 2 * low), len(ranking)) if best is None else (low + high) // 2
            classifier = model.classifier("int8", kept_fp32=ranking[:count])
            score = macro_f1(classifier.logits(texts))
            passes += 1
            bar.update()
            if score >= least or count == len(ranking):
                high, best = count, (classifier, score)
            else:
                low = count
    weights = {layer.name: layer.weights for layer in model.layers}
    kept = sum(weights[name] for name in ranking[:high])
    return Repaired(
        classifier=best[0],
        kept_fp32=tuple(ranking[:high]),
        macro_f1=best[1],
        int8_share=1 - kept / sum(weights.values()),
        passes=passes,
        seconds=time.perf_counter() - began,
    )

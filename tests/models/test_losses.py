from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from goemo_eval.models.losses import binary_loss, label_weights, loss_of, softmax_loss
from goemo_eval.models.recipes import Recipe, load_recipe

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 4)) * 3
MANY = RNG.random((6, 4)) < 0.4
ONE = RNG.integers(0, 4, 6)
COUNTS = np.array([1000, 100, 10, 0])


def recipe(**changed: object) -> Recipe:
    return Recipe.model_validate(load_recipe("study").model_dump() | changed)


def of(recipe: Recipe, targets: np.ndarray) -> float:
    """The recipe's loss of `LOGITS`, in torch."""
    kind = "multilabel" if targets.ndim == 2 else "multiclass"
    loss = loss_of(recipe, kind=kind, counts=COUNTS)
    assert loss is not None
    wanted = torch.tensor(targets.astype(np.float32) if targets.ndim == 2 else targets)
    return float(loss(torch.tensor(LOGITS, dtype=torch.float32), wanted))


def binary_oracle(
    targets: np.ndarray,
    *,
    up: float = 0,
    down: float = 0,
    clip: float = 0,
    weights: np.ndarray | None = None,
    smoothing: float = 0,
) -> float:
    """The formula, term by term, without any of torch's or numpy's vector code."""
    total = []
    for row, truth in zip(LOGITS, targets, strict=True):
        for k, (logit, t) in enumerate(zip(row, truth, strict=True)):
            p = 1 / (1 + np.exp(-logit))
            q = max(p - clip, 0)
            soft = t * (1 - smoothing) + smoothing / 2
            w = 1 if weights is None else weights[k]
            total.append(
                -w * soft * (1 - p) ** up * np.log(p) - (1 - soft) * q**down * np.log(1 - q)
            )
    return float(np.mean(total))


def softmax_oracle(
    targets: np.ndarray,
    *,
    gamma: float = 0,
    weights: np.ndarray | None = None,
    smoothing: float = 0,
) -> float:
    total = []
    for row, y in zip(LOGITS, targets, strict=True):
        p = np.exp(row) / np.exp(row).sum()
        terms = 0.0
        for k in range(len(row)):
            t = (1 - smoothing) * (k == y) + smoothing / len(row)
            w = 1 if weights is None else weights[k]
            terms -= w * t * (1 - p[k]) ** gamma * np.log(p[k])
        total.append(terms)
    return float(np.mean(total))


def test_plain_recipes_leave_the_loss_to_the_model() -> None:
    for name in ("study", "sample"):
        assert loss_of(load_recipe(name), kind="multilabel", counts=COUNTS) is None


@pytest.mark.parametrize("weighting", ["none", "inverse", "inverse-sqrt", "class-balanced"])
def test_multilabel_losses_against_the_formula(weighting: str) -> None:
    weights = label_weights(COUNTS, weighting)
    common = {"label_weighting": weighting, "label_smoothing": 0.1}
    assert of(recipe(loss="bce", **common), MANY) == pytest.approx(
        binary_oracle(MANY, weights=weights, smoothing=0.1), rel=1e-5
    )
    assert of(recipe(loss="focal", focal_gamma=1.5, **common), MANY) == pytest.approx(
        binary_oracle(MANY, up=1.5, down=1.5, weights=weights, smoothing=0.1), rel=1e-5
    )
    asymmetric = recipe(
        loss="asymmetric", positive_gamma=0.5, negative_gamma=3.0, negative_clip=0.1, **common
    )
    assert of(asymmetric, MANY) == pytest.approx(
        binary_oracle(MANY, up=0.5, down=3, clip=0.1, weights=weights, smoothing=0.1), rel=1e-5
    )


@pytest.mark.parametrize("weighting", ["none", "inverse", "inverse-sqrt", "class-balanced"])
def test_multiclass_losses_against_the_formula(weighting: str) -> None:
    weights = label_weights(COUNTS, weighting)
    common = {"label_weighting": weighting, "label_smoothing": 0.1}
    for changed, gamma in (
        ({"loss": "bce"}, 0.0),
        ({"loss": "focal", "focal_gamma": 2.5}, 2.5),
        ({"loss": "asymmetric", "positive_gamma": 1.5}, 1.5),
    ):
        assert of(recipe(**changed, **common), ONE) == pytest.approx(
            softmax_oracle(ONE, gamma=gamma, weights=weights, smoothing=0.1), rel=1e-5
        )


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)  # the first call loads torch's kernels
def test_without_focus_they_are_cross_entropy(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 3, generator=generator) * 20
    many = (torch.rand(5, 3, generator=generator) < 0.5).float()
    one = torch.randint(3, (5,), generator=generator)
    torch.testing.assert_close(
        binary_loss(logits, many), binary_cross_entropy_with_logits(logits, many)
    )
    torch.testing.assert_close(
        softmax_loss(logits, one, label_smoothing=0.1),
        cross_entropy(logits, one, label_smoothing=0.1),
    )
    focal = binary_loss(logits, many, positive_gamma=2.0, negative_gamma=2.0)
    assert focal <= binary_loss(logits, many) + 1e-6


def test_extreme_logits_have_finite_losses_and_gradients() -> None:
    logits = torch.tensor([[200.0, -200.0, 0.0]], requires_grad=True)
    for targets in ([[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]):
        for options in (
            {"positive_gamma": 2.0, "negative_gamma": 2.0},
            {"positive_gamma": 1.0, "negative_gamma": 4.0, "negative_clip": 0.05},
        ):
            loss = binary_loss(logits, torch.tensor(targets), **options)
            (gradient,) = torch.autograd.grad(loss, logits)
            assert torch.isfinite(loss)
            assert torch.isfinite(gradient).all()


@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=8),
    st.sampled_from(["none", "inverse", "inverse-sqrt", "class-balanced"]),
    st.floats(0, 0.9999),
)
def test_weights_grow_with_rarity_and_keep_the_size_of_the_loss(
    counts: list[int], weighting: str, beta: float
) -> None:
    n = np.maximum(counts, 1)
    weights = label_weights(np.array(counts), weighting, beta=beta)
    assert (weights * n).sum() == pytest.approx(n.sum())
    order = np.argsort(n)
    assert (np.diff(weights[order]) <= 1e-9).all()


def test_class_balanced_lies_between_none_and_inverse() -> None:
    near_none = label_weights(COUNTS[:3], "class-balanced", beta=0.0)
    np.testing.assert_allclose(near_none, 1)
    near_inverse = label_weights(COUNTS[:3], "class-balanced", beta=1 - 1e-9)
    np.testing.assert_allclose(near_inverse, label_weights(COUNTS[:3], "inverse"), rtol=1e-4)

"""Decision values as log-odds, and the shift of a prior: against what they were drawn from."""

from __future__ import annotations

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from goemo_eval.models.log_odds import USUAL_SLOPE, best_shift, platt


def test_platt_finds_the_log_odds_that_decision_values_came_from() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(-0.5, 0.4, (20000, 2))
    truth = rng.random(values.shape) < expit(values * [3.0, 8.0] + [0.5, 2.0])
    slope, offset = platt(values, truth)
    np.testing.assert_allclose(slope, [3, 8], rtol=0.1)
    np.testing.assert_allclose(offset, [0.5, 2], atol=0.25)
    # As plain logistic regression finds them: with so many rows the usual slope says nothing.
    plain = LogisticRegression(C=1e9, tol=1e-8).fit(values[:, :1], truth[:, 0])
    np.testing.assert_allclose(
        [slope[0], offset[0]], [plain.coef_[0, 0], plain.intercept_[0]], rtol=0.01
    )


def test_a_rare_label_keeps_near_the_usual_slope() -> None:
    values = np.array([[-0.9], [-1.0], [-0.8], [0.4]])
    slope, offset = platt(values, np.array([[False], [False], [False], [True]]))
    assert USUAL_SLOPE / 3 < slope[0] < USUAL_SLOPE * 3
    assert np.isfinite(offset).all()
    # What is worse than chance is not turned round.
    slope, _ = platt(np.tile([[-1.0], [1.0]], (50, 1)), np.tile([[True], [False]], (50, 1)))
    assert slope[0] >= 0.1


def test_the_shift_with_the_best_macro_f1_is_taken() -> None:
    rng = np.random.default_rng(1)
    share = np.array([0.8, 0.15, 0.05])
    classes = rng.choice(3, 4000, p=share)
    clues = rng.normal(0, 1, (4000, 3)) + 1.5 * (classes[:, None] == np.arange(3))
    log_share = np.log(share)
    logits = clues + log_share  # towards the large class
    best = best_shift(logits, classes, log_share)

    def macro(shift: float) -> float:
        guess = (logits + shift * log_share).argmax(axis=1)
        return float(f1_score(classes, guess, average="macro"))

    assert -1 <= best < 0
    assert macro(best) == max(macro(round(shift, 1)) for shift in np.linspace(-1, 1, 21))
    # Of equals the smallest: classes that are told apart in any case are not shifted.
    assert best_shift(100.0 * (classes[:, None] == np.arange(3)), classes, log_share) == 0

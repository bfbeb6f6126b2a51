"""Confusions against counting by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
from sklearn.metrics import confusion_matrix

from goemo_eval.report.confusions import confusions

LABELS = ("a", "b", "c", "d")


def test_of_one_label_per_text_it_is_the_confusion_matrix() -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 4, (2, 300))
    matrix = confusion_matrix(truth, guess)
    found = confusions(np.eye(4, dtype=bool)[truth], np.eye(4, dtype=bool)[guess], LABELS, most=99)
    assert len(found) == 12
    for c in found:
        a, b = LABELS.index(c.missed), LABELS.index(c.given)
        assert c.texts == matrix[a, b]
        assert c.of == matrix[a].sum() - matrix[a, a]
    assert [c.texts for c in found] == sorted((c.texts for c in found), reverse=True)


def test_of_several_labels_every_missed_one_meets_every_wrong_one() -> None:
    rng = np.random.default_rng(1)
    truth, guess = rng.random((2, 200, 4)) < 0.4
    expected: Counter[tuple[str, str]] = Counter()
    for t, g in zip(truth, guess, strict=True):
        has, given = ({LABELS[k] for k in row.nonzero()[0]} for row in (t, g))
        expected.update((a, b) for a in has - given for b in given - has)
    found = confusions(truth, guess, LABELS, most=99)
    assert {(c.missed, c.given): c.texts for c in found} == expected


def test_no_more_than_asked_and_none_of_nothing() -> None:
    truth = np.eye(4, dtype=bool)
    assert confusions(truth, truth, LABELS, most=5) == []
    assert len(confusions(truth, truth[::-1], LABELS, most=2)) == 2

"""The floor as a teacher says what it has not learned by heart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, log_softmax

from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.data.task import Task, task_of
from goemo_eval.engines.classifier import load_classifier
from goemo_eval.models.cross_fitting import unseen_logits
from goemo_eval.models.linear import fit_linear


def task(scheme: str) -> Task:
    dataset = load_dataset("sample")
    return task_of(dataset, get_scheme(scheme, dataset.labels, fallback=dataset.fallback))


def loss(logits: np.ndarray, task: Task, split: str) -> float:
    targets = task.targets[split]
    if targets.ndim == 1:
        return float(-log_softmax(logits, axis=1)[np.arange(len(targets)), targets].mean())
    p = expit(logits.astype(float))
    return float(-np.where(targets, np.log(p), np.log1p(-p)).mean())


@pytest.mark.parametrize("scheme", ["raw", "simplified"])
def test_it_is_as_sure_of_training_texts_as_of_new_ones(scheme: str, tmp_path: Path) -> None:
    own = task(scheme)
    unseen = unseen_logits(own)
    assert unseen.dtype == np.float32
    assert unseen.shape == (len(own.texts["train"]), len(own.scheme.labels))
    fit_linear(own, out=tmp_path / "floor")
    floor = load_classifier(tmp_path / "floor", "linear", threads=1)
    seen = loss(floor.logits(own.texts["train"]), own, "train")
    new = loss(floor.logits(own.texts["validation"]), own, "validation")
    cross_fitted = loss(unseen, own, "train")
    assert seen < 0.8 * new
    assert abs(cross_fitted - new) < 0.5 * (new - seen)
    np.testing.assert_array_equal(unseen_logits(own), unseen)


def test_a_text_has_no_say_in_its_own_logits() -> None:
    """Turn one text's labels: machines that saw them would follow; these have not."""
    own = task("raw")
    flipped = own.targets["train"].copy()
    unseen = unseen_logits(own)
    label = int(flipped.sum(axis=0).argmax())
    row = int(np.flatnonzero(flipped[:, label])[0])
    flipped[row, label] = False
    changed = dataclasses.replace(own, targets={**own.targets, "train": flipped})
    moved = np.abs(unseen_logits(changed) - unseen)[:, label]
    # It moves a little, as its part or the scale of all logits does, but not as one that was unlearned.
    assert moved[row] < 0.5

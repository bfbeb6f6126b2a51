"""The example's tickets: what they promise is measured here."""

from __future__ import annotations

import csv
import re
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from goemo_eval.data.dataset import Dataset
from goemo_eval.data.sources import load_dataset

DIRECTORY = Path(__file__).parents[2] / "examples" / "tickets"


@pytest.fixture(scope="module")
def tickets() -> Dataset:
    return load_dataset(DIRECTORY / "tickets.csv", separator=",", ids="id")


def test_the_script_writes_the_file(tmp_path: Path) -> None:
    runpy.run_path(str(DIRECTORY / "make_tickets.py"))["main"](tmp_path / "tickets.csv")
    assert (tmp_path / "tickets.csv").read_bytes() == (DIRECTORY / "tickets.csv").read_bytes()


def test_rows_and_labels(tickets: Dataset) -> None:
    labels = np.concatenate([split.labels for split in tickets.splits.values()])
    assert labels.shape == (600, 6)
    several, none = (labels.sum(axis=1) > 1).mean(), (~labels.any(axis=1)).mean()
    assert 0.15 < several < 0.25
    assert 0.08 < none < 0.15
    for split in tickets.splits.values():
        assert split.labels.sum(axis=0).min() >= 4
    assert set(tickets.notes.duplicates.values()) == {0}


def test_texts_vary() -> None:
    with (DIRECTORY / "tickets.csv").open(encoding="utf-8", newline="") as file:
        texts = [re.findall(r"[a-z0-9']+", row["text"].lower()) for row in csv.DictReader(file)]
    assert len({word for words in texts for word in words}) > 500
    for part in (slice(None, 8), slice(-10, None)):
        [(phrase, count)] = Counter(tuple(words[part]) for words in texts).most_common(1)
        assert count <= 12, phrase


def test_a_model_learns_them_but_not_by_heart(tickets: Dataset) -> None:
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    train, test = tickets.splits["train"], tickets.splits["test"]
    model = OneVsRestClassifier(LinearSVC()).fit(
        vectorizer.fit_transform(train.texts), train.labels.astype(int)
    )
    predicted = model.predict(vectorizer.transform(test.texts))
    assert 0.85 < f1_score(test.labels, predicted, average="macro", zero_division=0) < 1.0

"""The bundled sample: what it promises is measured here."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from goemo_eval.data.dataset import Split
from goemo_eval.data.sources import load_dataset

LEAST_POSITIVES = 8
NEAR_DUPLICATE = 0.8  # cosine of character n-grams; unrelated sentences lie below 0.5


def words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z0-9']+", text.lower()))


def largest_similarities(ours: list[str], others: list[str]) -> np.ndarray:
    """For each of our texts the largest cosine similarity of its character n-grams to others."""
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 4), sublinear_tf=True)
    vectorizer.fit(ours)
    a: csr_matrix = vectorizer.transform(ours)
    b: csr_matrix = vectorizer.transform(others)
    return np.asarray((a @ b.T).max(axis=1).todense()).ravel()


def test_size_and_labels(sample: dict[str, Split]) -> None:
    labels = np.concatenate([split.labels for split in sample.values()])
    assert len(labels) >= 1400
    assert (labels.sum(axis=1) > 1).mean() >= 0.15
    assert (labels.sum(axis=0) > 0).all()
    for name in ("validation", "test"):
        assert sample[name].labels.sum(axis=0).min() >= LEAST_POSITIVES


def test_no_near_duplicates_across_splits(sample: dict[str, Split]) -> None:
    names = list(sample)
    for i, name in enumerate(names):
        for other in names[i + 1 :]:
            nearest = largest_similarities(list(sample[name].texts), list(sample[other].texts))
            worst = int(nearest.argmax())
            assert nearest[worst] < NEAR_DUPLICATE, sample[name].texts[worst]


def test_ids_and_texts_are_unique(sample: dict[str, Split]) -> None:
    texts = Counter(words(text) for split in sample.values() for text in split.texts)
    assert texts.most_common(1)[0][1] == 1
    ids = [i for split in sample.values() for i in split.ids]
    assert len(set(ids)) == len(ids)


def test_no_template(sample: dict[str, Split]) -> None:
    """No opening or closing of four words is used often: sentences were not filled in."""
    texts = [words(text) for split in sample.values() for text in split.texts]
    for part in (slice(None, 4), slice(-4, None)):
        [(phrase, count)] = Counter(t[part] for t in texts if len(t) > 4).most_common(1)
        assert count <= 6, phrase


def test_none_of_it_is_from_goemotions(sample: dict[str, Split], goemotions_dir: Path) -> None:
    ours = [text for split in sample.values() for text in split.texts]
    splits = load_dataset(goemotions_dir).splits.values()
    theirs = [text for split in splits for text in split.texts]
    long_enough = [text for text in ours if len(words(text)) >= 5]
    nearest = largest_similarities(long_enough, theirs)
    worst = int(nearest.argmax())
    assert nearest[worst] < NEAR_DUPLICATE, long_enough[worst]
    assert not {words(t) for t in ours} & {words(t) for t in theirs}

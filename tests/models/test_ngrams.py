"""Features against scikit-learn's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from goemo_eval.data.dataset import Split
from goemo_eval.errors import DataError
from goemo_eval.models import ngrams
from goemo_eval.models.ngrams import WORD, NgramOptions, Vectorizer, learn_vocabulary

ALL = 10**9
HARD = (
    "",
    "   ",
    "a",
    "no no NO no",
    "İstanbul ẞtraße ﬁne",
    "😂😂 so-o-o good!!! [NAME]\u2028next\x00\ttab",
    "x" * 60,
    "\u4f60\u597d\uff0c\u4e16\u754c",
    "half a pair \ud83d",
)


def oracle(
    options: NgramOptions, train: Sequence[str], texts: Sequence[str]
) -> tuple[list[str], csr_matrix]:
    """Names and features as scikit-learn finds them."""
    blocks = []
    if options.words:
        blocks.append({"token_pattern": WORD, "ngram_range": (1, options.words)})
    if options.longest:
        blocks.append({"analyzer": "char_wb", "ngram_range": (options.shortest, options.longest)})
    names: list[str] = []
    found = []
    for block in blocks:
        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=options.least_texts, **block)
        vectorizer.fit(train)
        names += vectorizer.get_feature_names_out().tolist()
        found.append(vectorizer.transform(texts))
    return names, hstack(found).tocsr().sorted_indices()


def ours(vectorizer: Vectorizer, texts: Sequence[str], columns: int) -> csr_matrix:
    starts, ids, values = vectorizer.features(texts)
    return csr_matrix((values, ids, starts), shape=(len(texts), columns))


@pytest.mark.parametrize(
    "options",
    [
        NgramOptions(most_features=ALL),
        NgramOptions(words=3, shortest=1, longest=3, least_texts=1, most_features=ALL),
        NgramOptions(words=0, shortest=3, longest=6, least_texts=5, most_features=ALL),
        NgramOptions(words=1, longest=0, most_features=ALL),
    ],
    ids=str,
)
def test_features_are_scikit_learns(options: NgramOptions, sample: dict[str, Split]) -> None:
    train = (*sample["train"].texts[:400], *HARD)
    texts = (*sample["test"].texts[:200], *HARD)
    vocabulary = learn_vocabulary(train, options)
    names, expected = oracle(options, train, texts)
    assert [*vocabulary.words, *vocabulary.characters] == names
    found = ours(Vectorizer(vocabulary), texts, len(names))
    assert np.array_equal(found.indptr, expected.indptr)
    assert np.array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-14)


@settings(max_examples=60)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
@example(["aaaaa aaaa", "aaa"])
def test_any_text_has_scikit_learns_features(texts: list[str]) -> None:
    options = NgramOptions(least_texts=1, most_features=ALL)
    train = ["a aa aaa 0 00 !? \x85", *texts]
    names, expected = oracle(options, train, texts)
    vocabulary = learn_vocabulary(train, options)
    assert [*vocabulary.words, *vocabulary.characters] == names
    found = ours(Vectorizer(vocabulary), texts, len(names))
    assert np.array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-14)


def test_a_texts_features_do_not_depend_on_the_others(
    sample: dict[str, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = (*sample["test"].texts[:100], *HARD)
    vocabulary = learn_vocabulary(sample["train"].texts[:300], NgramOptions())
    together = Vectorizer(vocabulary).features(texts)
    monkeypatch.setattr(ngrams, "_STRETCH", 7)
    in_parts = Vectorizer(vocabulary).features(texts)
    alone = Vectorizer(vocabulary)
    for row, text in enumerate(texts):
        starts, ids, values = alone.features([text])
        own = slice(together.starts[row], together.starts[row + 1])
        assert starts.tolist() == [0, len(ids)]
        assert ids.tolist() == together.ids[own].tolist()
        assert values.tobytes() == together.values[own].tobytes()
    for left, right in zip(together, in_parts, strict=True):
        assert left.tobytes() == right.tobytes()


def test_words_are_looked_up_again_when_no_more_are_kept(
    sample: dict[str, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = sample["test"].texts[:100]
    vocabulary = learn_vocabulary(sample["train"].texts[:300], NgramOptions())
    expected = Vectorizer(vocabulary).features(texts)
    monkeypatch.setattr(ngrams, "_MOST_KEPT", 10)
    monkeypatch.setattr(ngrams, "_LONGEST_KEPT", 4)
    vectorizer = Vectorizer(vocabulary)
    for left, right in zip(vectorizer.features(texts), expected, strict=True):
        assert left.tobytes() == right.tobytes()
    assert len(vectorizer._kept) <= 10
    assert max(map(len, vectorizer._kept)) <= 4


def test_the_features_in_most_texts_are_kept_and_ties_go_by_the_alphabet() -> None:
    options = NgramOptions(words=1, longest=0, least_texts=1, most_features=3)
    vocabulary = learn_vocabulary(["b a common", "d c common", "common"], options)
    assert vocabulary.words == ("a", "b", "common")
    assert vocabulary.in_texts.tolist() == [1, 1, 3]
    # scikit-learn's smoothed form, by hand
    np.testing.assert_allclose(vocabulary.idf(), [np.log(4 / 2) + 1] * 2 + [np.log(4 / 4) + 1])


def test_many_repetitions_count_by_their_logarithm() -> None:
    options = NgramOptions(words=1, longest=0, least_texts=1)
    vectorizer = Vectorizer(learn_vocabulary(["a b", "a b"], options))
    values = vectorizer.features(["a " * 1000 + "b"]).values
    np.testing.assert_allclose(values[0] / values[1], 1 + np.log(1000))


def test_no_texts_and_texts_without_features() -> None:
    vectorizer = Vectorizer(learn_vocabulary(["one two", "one two"], NgramOptions()))
    assert [len(part) for part in vectorizer.features([])] == [1, 0, 0]
    assert vectorizer.features(["", "999"]).starts.tolist() == [0, 0, 0]


def test_what_cannot_be_learned_from_or_read_is_refused() -> None:
    with pytest.raises(DataError, match=r"no n-gram stands in 2 of the 1 training texts"):
        learn_vocabulary(["alone"], NgramOptions())
    vectorizer = Vectorizer(learn_vocabulary(["one two", "one two"], NgramOptions()))
    with pytest.raises(DataError, match="text 1 is float: expected str"):
        vectorizer.features(["one", float("nan")])  # type: ignore[list-item]

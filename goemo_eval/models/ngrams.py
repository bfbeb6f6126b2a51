"""Texts as TF-IDF features: words and pairs of words, and character n-grams within words.

The features are scikit-learn's, two `TfidfVectorizer` side by side (analyzers ``word`` and
``char_wb``, ``sublinear_tf``), to the last count. They are found anew here with numpy alone, since
a server should not need more, and since words repeat: a word's n-grams are looked up once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from goemo_eval.errors import DataError
from goemo_eval.frozen import Frozen

WORD = r"\w+|[^\w\s]"
"""What a word is: letters and digits, or one mark. Marks count: an emoji says as much as a word."""
_find_tokens = re.compile(WORD).findall
_STRETCH = 512  # texts whose features are found together: more would only take memory
_LONGEST_KEPT = 40  # characters; a word that is longer hardly comes again
_MOST_KEPT = 1 << 13  # words, about 3 MB
_COUNTS = 1 + np.log(np.arange(1, 256, dtype=np.float64))

Count = Annotated[int, Field(ge=1)]


class NgramOptions(Frozen):
    """Which n-grams are features."""

    words: Annotated[int, Field(ge=0, le=5)] = 2
    """Longest run of words; 0: no words."""
    shortest: Annotated[int, Field(ge=1, le=10)] = 2
    """Characters of the shortest character n-gram."""
    longest: Annotated[int, Field(ge=0, le=10)] = 5
    """Characters of the longest; 0: no character n-grams."""
    least_texts: Count = 2
    """Training texts in which a feature stands, at least."""
    most_features: Count = 1 << 16
    """Features that are kept: those in most texts, ties by the order of the alphabet."""


class Features(NamedTuple):
    """Sparse rows, one per text.

    Attributes
    ----------
    starts : ndarray of int64, shape (N + 1,)
        Row i is ``ids[starts[i]:starts[i + 1]]`` and as much of `values`.
    ids : ndarray of int32, shape (E,)
        Columns, ascending in each row.
    values : ndarray of float64, shape (E,)
    """

    starts: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int32]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The features of a fitted vectorizer.

    Attributes
    ----------
    options : NgramOptions
    words : tuple of str
        Runs of words, joined by a space, sorted: columns 0, 1, ...
    characters : tuple of str
        Character n-grams, sorted: the columns after them.
    texts : int
        Training texts.
    in_texts : ndarray of int32, shape (V,)
        How many of them hold each feature.
    """

    options: NgramOptions
    words: tuple[str, ...]
    characters: tuple[str, ...]
    texts: int
    in_texts: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.words) + len(self.characters)

    def idf(self) -> npt.NDArray[np.float64]:
        """Return the inverse document frequencies, smoothed as if one more text held every feature."""
        return np.log((1 + self.texts) / (1 + self.in_texts.astype(np.float64))) + 1


class Vectorizer:
    """Finds the features of texts; not to be used from two threads at once.

    Parameters
    ----------
    vocabulary : Vocabulary
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._options = vocabulary.options
        self._columns = len(vocabulary)
        self._word_columns = len(vocabulary.words)
        self._words = {word: i for i, word in enumerate(vocabulary.words)}
        self._characters = {
            ngram: i for i, ngram in enumerate(vocabulary.characters, start=self._word_columns)
        }
        self._idf = vocabulary.idf()
        self._kept: dict[str, npt.NDArray[np.int32]] = {}

    def features(self, texts: Sequence[str]) -> Features:
        """Return the features of texts; each block, words and characters, has length one.

        A text's values do not depend on the other texts, bit by bit.

        Raises
        ------
        DataError
            If a text is no str.
        """
        stretches = [
            self._weighted(*self._counted(texts[start : start + _STRETCH]))
            for start in range(0, len(texts), _STRETCH)
        ]
        sizes = [np.zeros(1, dtype=np.int64), *(s.starts[1:] - s.starts[:-1] for s in stretches)]
        if not stretches:
            return Features(sizes[0], np.empty(0, dtype=np.int32), np.empty(0))
        return Features(
            np.cumsum(np.concatenate(sizes)),
            np.concatenate([s.ids for s in stretches]),
            np.concatenate([s.values for s in stretches]),
        )

    def in_texts(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return how many texts hold each feature, shape (V,)."""
        found = np.zeros(self._columns, dtype=np.int64)
        for start in range(0, len(texts), _STRETCH):
            _, ids, _ = self._counted(texts[start : start + _STRETCH])
            found += np.bincount(ids, minlength=self._columns)
        return found

    def _counted(
        self, texts: Sequence[str]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return starts, ids and how often each stands in its text."""
        word_ids: list[int] = []
        pieces: list[npt.NDArray[np.int32]] = []
        words_of_text, pieces_of_text = [], []
        column, kept = self._words.get, self._kept.get
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"text {row} is {type(text).__name__}: expected str")
            lower = text.lower()
            before = len(word_ids), len(pieces)
            word_ids += [i for run in self._runs(lower) if (i := column(run)) is not None]
            if self._characters:
                for word in lower.split():
                    found = kept(word)
                    pieces.append(self._look_up(word) if found is None else found)
            words_of_text.append(len(word_ids) - before[0])
            pieces_of_text.append(len(pieces) - before[1])
        rows_of_pieces = np.repeat(np.arange(len(texts)), pieces_of_text)
        rows = np.concatenate(
            [
                np.repeat(np.arange(len(texts)), words_of_text),
                np.repeat(rows_of_pieces, [len(piece) for piece in pieces]),
            ]
        )
        ids = np.concatenate([np.array(word_ids, dtype=np.int32), *pieces])
        return _distinct(rows, ids, n_rows=len(texts), n_columns=self._columns)

    def _runs(self, text: str) -> Iterator[str]:
        return word_runs(text, self._options.words)

    def _look_up(self, word: str) -> npt.NDArray[np.int32]:
        column = self._characters.get
        ngrams = character_ngrams(word, self._options.shortest, self._options.longest)
        found = np.array([i for n in ngrams if (i := column(n)) is not None], dtype=np.int32)
        if len(word) <= _LONGEST_KEPT:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[word] = found
        return found

    def _weighted(
        self,
        starts: npt.NDArray[np.int64],
        ids: npt.NDArray[np.int32],
        counts: npt.NDArray[np.int64],
    ) -> Features:
        few = np.minimum(counts, len(_COUNTS)) - 1
        values = np.where(counts <= len(_COUNTS), _COUNTS[few], 1 + np.log(counts)) * self._idf[ids]
        rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        block = 2 * rows + (ids >= self._word_columns)
        # bincount adds one after the other, so that a text's length is the same in any company.
        length = np.sqrt(np.bincount(block, weights=values * values))
        return Features(starts, ids, values / length[block])


def _distinct(
    rows: npt.NDArray[Any], ids: npt.NDArray[Any], *, n_rows: int, n_columns: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return starts, ids and counts of the distinct pairs, in order."""
    keys = np.sort(rows * n_columns + ids)
    new = np.flatnonzero(np.diff(keys, prepend=-1))
    distinct = keys[new]
    starts = np.searchsorted(distinct, np.arange(n_rows + 1) * n_columns)
    counts = np.diff(new, append=len(keys))
    row_of = np.repeat(np.arange(n_rows), np.diff(starts))
    return starts, (distinct - row_of * n_columns).astype(np.int32), counts


def word_runs(text: str, longest: int) -> Iterator[str]:
    """Yield the runs of 1 to `longest` words of a text in lower case.

    Examples
    --------
    >>> list(word_runs("so good!", 2))
    ['so', 'good', '!', 'so good', 'good !']
    """
    if longest == 0:
        return iter(())
    words = _find_tokens(text)
    if longest == 2:
        return chain(words, map(" ".join, pairwise(words)))
    return (
        " ".join(words[at : at + n])
        for n in range(1, longest + 1)
        for at in range(len(words) - n + 1)
    )


def character_ngrams(word: str, shortest: int, longest: int) -> list[str]:
    """Return a word's character n-grams, a space at either end being part of it.

    A word that is shorter than n stands for itself once, as in scikit-learn's ``char_wb``.

    Examples
    --------
    >>> character_ngrams("lol", 3, 5)
    [' lo', 'lol', 'ol ', ' lol', 'lol ', ' lol ']
    >>> character_ngrams("a", 3, 5)
    [' a ']
    """
    padded = f" {word} "
    size = len(padded)
    found = [
        padded[at : at + n]
        for n in range(shortest, min(longest, size) + 1)
        for at in range(size - n + 1)
    ]
    return found or [padded]


def learn_vocabulary(texts: Sequence[str], options: NgramOptions) -> Vocabulary:
    """Learn which n-grams of training texts are features.

    Parameters
    ----------
    texts : sequence of str
    options : NgramOptions

    Returns
    -------
    Vocabulary

    Raises
    ------
    DataError
        If no n-gram stands in enough texts.
    """
    lower = [text.lower() for text in texts]
    runs = sorted(set(chain.from_iterable(word_runs(text, options.words) for text in lower)))
    words = set(chain.from_iterable(map(str.split, lower)))
    ngrams: list[str] = []
    if options.longest:
        ngrams = sorted(
            set(
                chain.from_iterable(
                    character_ngrams(word, options.shortest, options.longest) for word in words
                )
            )
        )
    every = Vocabulary(
        options, tuple(runs), tuple(ngrams), len(texts), np.zeros(len(runs) + len(ngrams), np.int32)
    )
    in_texts = Vectorizer(every).in_texts(texts)
    kept = np.flatnonzero(in_texts >= options.least_texts)
    if not len(kept):
        raise DataError(
            f"no n-gram stands in {options.least_texts} of the {len(texts)} training texts: the "
            "floor needs more texts, or least_texts = 1"
        )
    # A stable sort: of equals the first of the alphabet stay.
    order = np.argsort(-in_texts[kept], kind="stable")[: options.most_features]
    kept = np.sort(kept[order])
    return Vocabulary(
        options,
        tuple(runs[i] for i in kept[kept < len(runs)]),
        tuple(ngrams[i - len(runs)] for i in kept[kept >= len(runs)]),
        len(texts),
        in_texts[kept].astype(np.int32),
    )

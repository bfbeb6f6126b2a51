"""A bundle in memory: texts in, labels and probabilities out. Neither torch nor transformers, unless it is torch's.

A bundle is a directory that a server loads, a copy of the artifact that was measured: its files, how it
decides (`goemo_eval.deploy.description`), and a model card.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goemo_eval.errors import BundleError, DataError, EngineError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from goemo_eval.deploy.description import BundleInfo
    from goemo_eval.engines.artifact import ArtifactInfo
    from goemo_eval.engines.base import Predictor, Shape

_AT_ONCE = 32  # batches between two looks at an interrupt
_PREPARED = 1024  # texts, a whole number of batches
_SIDE_BY_SIDE = ("onnxruntime", "openvino", "torch")
"""Engines that several threads may call at once; others take them in turn."""


@dataclass(frozen=True)
class Prediction:
    """What is predicted of one text.

    Attributes
    ----------
    labels : tuple of str
        Those predicted, the most probable first; of a multi-label bundle there may be none.
    scores : dict of str to float
        Every label's probability, in the bundle's order.
    """

    labels: tuple[str, ...]
    scores: dict[str, float]

    def top(self, count: int | None) -> dict[str, float]:
        """Return the scores of the `count` most probable labels, or of all; the most probable first."""
        return dict(sorted(self.scores.items(), key=lambda item: -item[1])[:count])


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle in memory, ready to predict; several threads may use it at once.

    Attributes
    ----------
    info : BundleInfo
        What ``bundle.json`` says.
    predictor : Predictor
    """

    info: BundleInfo
    predictor: Predictor
    _turn: AbstractContextManager[Any] = field(default_factory=nullcontext, repr=False)

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return logits by the bundle's batch rule, so that the same texts give the bits that were scored.

        Parameters
        ----------
        texts : sequence of str, length N
            Any length; an empty text is one, and what lies behind the length limit is not read.

        Returns
        -------
        ndarray of float32, shape (N, K)

        Raises
        ------
        TypeError
            If `texts` is one text, or one of them is no str.
        DataError
            If a text cannot be written as UTF-8 (half a surrogate pair); its row is named.
        ScoreError
            If a logit is not finite.
        """
        import numpy as np

        from goemo_eval.engines.base import check_finite

        check_texts(texts)
        out = np.empty((len(texts), len(self.info.labels)), dtype=np.float32)
        # As they are scored and timed: a text alone is answered soonest by all threads.
        shape: Shape = "single" if len(texts) == 1 else "scored"
        # Where batches are of texts as they come, the next texts can wait to be prepared.
        as_given = self.info.batch_rule.order == "as-given"
        step = _PREPARED if as_given else max(1, len(texts))
        with self._turn:
            for first in range(0, len(texts), step):
                batches = self.predictor.prepare(texts[first : first + step], shape=shape)
                for start in range(0, len(batches), _AT_ONCE):
                    stretch = batches[start : start + _AT_ONCE]
                    for batch, found in zip(stretch, self.predictor.run(stretch), strict=True):
                        out[[first + row for row in batch.rows]] = found
        check_finite(out)
        return out

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return every label's probability.

        Parameters
        ----------
        texts : sequence of str, length N

        Returns
        -------
        ndarray of float64, shape (N, K)
            Of a multiclass bundle, rows that sum to 1.

        Raises
        ------
        TypeError, DataError, ScoreError
            As `logits` does.
        """
        return self._probabilities(self.logits(texts))

    def decide(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Return which labels logits of shape (N, K) predict: booleans of the same shape.

        A label is predicted where its probability is ``>=`` its threshold; of a multiclass bundle, the one
        with the largest logit (ties: the first).
        """
        import numpy as np

        if self.info.thresholds is not None:
            return np.asarray(self._probabilities(logits) >= np.array(self.info.thresholds))
        return np.asarray(np.arange(logits.shape[1]) == logits.argmax(axis=1)[:, None])

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict the labels of texts.

        Parameters
        ----------
        texts : sequence of str, length N

        Returns
        -------
        list of Prediction, length N

        Raises
        ------
        TypeError, DataError, ScoreError
            As `logits` does.
        """
        return self.predictions(self.logits(texts))

    def predictions(self, logits: npt.NDArray[np.float32]) -> list[Prediction]:
        """Return what logits of shape (N, K) say of each text."""
        import numpy as np

        probabilities, decided = self._probabilities(logits), self.decide(logits)
        labels = self.info.labels
        found = []
        order = np.argsort(-probabilities, axis=1, kind="stable").tolist()
        for best, row, yes in zip(order, probabilities.tolist(), decided.tolist(), strict=True):
            scores = dict(zip(labels, row, strict=True))
            found.append(Prediction(tuple(labels[k] for k in best if yes[k]), scores))
        return found

    def _probabilities(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        from goemo_eval.measure.thresholds import sigmoid, softmax

        return sigmoid(logits) if self.info.kind == "multilabel" else softmax(logits)


def check_texts(texts: Sequence[str], *, first_row: int = 0) -> None:
    """Refuse what is no text.

    Parameters
    ----------
    texts : sequence of str
    first_row : int, default 0
        Number of the first of them, for the message.

    Raises
    ------
    TypeError, DataError
        As `Bundle.logits` does.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be a sequence of str: got one str; pass [text]")
    for row, text in enumerate(texts, start=first_row):
        if not isinstance(text, str):
            raise TypeError(f"text {row} is {type(text).__name__}: expected str")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"text {row}: half a surrogate pair at character {error.start}, which no UTF-8 can hold: "
                "repair or drop the text"
            ) from None


def load_bundle(directory: str | Path, *, threads: int | None = None) -> Bundle:
    """Load a bundle; all of its files are verified first.

    Parameters
    ----------
    directory : str or Path
    threads : int, optional
        CPU threads of the forward pass, 1 or more; all available by default. torch has one such number
        for the whole process.

    Returns
    -------
    Bundle

    Raises
    ------
    BundleError
        If it is none, of another schema, or a file is missing, altered, or outside the directory; if its
        engine is not installed; if `threads` is below 1.

    Examples
    --------
    >>> from goemo_eval import load_bundle
    >>> bundle = load_bundle("bundle")  # doctest: +SKIP
    >>> bundle.predict(["I was charged twice"])[0].labels  # doctest: +SKIP
    ('billing',)
    """
    from goemo_eval.cpu import available_threads
    from goemo_eval.deploy.description import read_bundle
    from goemo_eval.engines.artifact import Artifact, read_info
    from goemo_eval.engines.registry import load

    if threads is not None and threads < 1:
        raise BundleError(f"threads must be 1 or more: got {threads}")
    path = Path(directory)
    info = read_bundle(path)
    try:
        described = read_info(path)
        _check_one_piece(path, info, described)
        predictor = load(Artifact(path, described), threads=threads or available_threads())
    except EngineError as error:
        raise BundleError(str(error)) from None
    except ModuleNotFoundError as error:
        raise BundleError(
            f"{path}: its engine {info.engine} needs the package {error.name}, which is not installed: install "
            "it, or export a cell of another engine"
        ) from None
    turn = nullcontext() if info.engine in _SIDE_BY_SIDE else threading.Lock()
    return Bundle(info, predictor, turn)


def _check_one_piece(path: Path, info: BundleInfo, described: ArtifactInfo) -> None:
    """Refuse a description that belongs to another artifact than the one beside it."""
    from goemo_eval.deploy.description import FILE
    from goemo_eval.engines.artifact import DESCRIPTION

    own = {
        "engine": info.engine,
        "precision": info.precision,
        "labels": info.labels,
        "tokens": info.tokens,
        "floor_weight": info.floor_weight,
    }
    theirs = {
        "engine": described.variant.engine,
        "precision": described.variant.precision,
        "labels": described.labels,
        "tokens": described.tokens,
        "floor_weight": described.floor_weight,
    }
    differing = [name for name, value in own.items() if theirs[name] != value]
    listed = {DESCRIPTION: info.artifact_sha256, **described.files}
    differing += [name for name, sha256 in listed.items() if info.files.get(name) != sha256]
    if differing:
        raise BundleError(
            f"{path}: {FILE} and {DESCRIPTION} do not belong together (they differ in {differing[0]}): export "
            "the cell again"
        )

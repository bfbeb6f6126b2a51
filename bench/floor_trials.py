"""What is tried of the floor's options: features, machines, and one change of the defaults at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.data.task import Task
from goemo_eval.models.linear import LinearOptions, Machine, MachineFit, as_matrix, evidence
from goemo_eval.models.ngrams import WORD, Vectorizer, learn_vocabulary

SEED = 0
Truth = npt.NDArray[np.bool_]
Matrices = tuple[Any, Any]
"""Features of training and validation, in CSR form."""


@dataclass(frozen=True)
class Trial:
    """One change of the defaults."""

    name: str
    options: LinearOptions = field(default_factory=LinearOptions)
    machine: MachineFit | None = None
    features: Callable[[Task, LinearOptions], Matrices] | None = None
    seed: int = SEED


def own_features(task: Task, options: LinearOptions) -> Matrices:
    """Return the library's features."""
    vocabulary = learn_vocabulary(task.texts["train"], options.ngrams)
    vectorizer = Vectorizer(vocabulary)
    train, validation = (
        as_matrix(vectorizer.features(task.texts[split]), columns=len(vocabulary))
        for split in ("train", "validation")
    )
    return train, validation


def _side_by_side(task: Task, pair: Callable[[], list[Any]]) -> Matrices:
    from scipy.sparse import hstack

    fitted = [(v, v.fit_transform(task.texts["train"])) for v in pair()]
    validation = [v.transform(task.texts["validation"]) for v, _ in fitted]
    return hstack([train for _, train in fitted]).tocsr(), hstack(validation).tocsr()


def usual_words(task: Task, options: LinearOptions) -> Matrices:
    """Return features with scikit-learn's own notion of a word: two letters or more, no marks."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = options.least_texts
    return _side_by_side(
        task,
        lambda: [
            TfidfVectorizer(sublinear_tf=True, min_df=least, ngram_range=(1, 2)),
            TfidfVectorizer(
                sublinear_tf=True, min_df=least, ngram_range=(2, 5), analyzer="char_wb"
            ),
        ],
    )


def hashed(bits: int) -> Callable[[Task, LinearOptions], Matrices]:
    """Return features in ``2**bits`` columns, words and characters half each, by hash."""

    def features(task: Task, _: LinearOptions) -> Matrices:
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
        from sklearn.pipeline import make_pipeline

        def block(**rest: Any) -> Any:
            counted = HashingVectorizer(
                n_features=2 ** (bits - 1), alternate_sign=False, norm=None, **rest
            )
            return make_pipeline(counted, TfidfTransformer(sublinear_tf=True))

        return _side_by_side(
            task,
            lambda: [
                block(ngram_range=(1, 2), token_pattern=WORD),
                block(ngram_range=(2, 5), analyzer="char_wb"),
            ],
        )

    return features


def logistic(cost: float, *, weighted: bool = False) -> MachineFit:
    """Return logistic regression in place of the support vector machine, features as they are."""

    def fit(rows: Any, truth: Truth, _: LinearOptions, seed: int) -> Machine:
        from sklearn.linear_model import LogisticRegression

        solver = LogisticRegression(
            C=cost,
            solver="liblinear",
            dual=True,
            tol=0.01,
            random_state=seed,
            class_weight="balanced" if weighted else None,
            max_iter=2000,
        )
        solver.fit(rows, truth)
        return Machine(solver.coef_[0], float(solver.intercept_[0]), converged=True)

    return fit


def weighted(exponent: float) -> MachineFit:
    """Return a support vector machine whose positives weigh (negatives over positives) to a power."""

    def fit(rows: Any, truth: Truth, options: LinearOptions, seed: int) -> Machine:
        from scipy.sparse import csr_matrix
        from sklearn.svm import LinearSVC

        scale = evidence(rows, truth, options.evidence)
        own = csr_matrix((rows.data * scale[rows.indices], rows.indices, rows.indptr), rows.shape)
        weight = {True: ((~truth).sum() / truth.sum()) ** exponent, False: 1.0}
        solver = LinearSVC(
            C=options.cost,
            dual=True,
            tol=0.01,
            max_iter=2000,
            random_state=seed,
            class_weight=weight,
        )
        solver.fit(own, truth)
        return Machine(solver.coef_[0] * scale, float(solver.intercept_[0]), converged=True)

    return fit


def trials() -> list[Trial]:
    """Return what is tried."""

    def changed(name: str, **options: Any) -> Trial:
        return Trial(name, LinearOptions(**options))

    return [
        Trial("defaults"),
        Trial("defaults, seed 1", seed=1),
        Trial("defaults, seed 2", seed=2),
        changed("single words only", words=1, longest=0),
        changed("words and pairs, no characters", longest=0),
        changed("characters only", words=0),
        changed("single words and characters", words=1),
        changed("runs of up to 3 words", words=3),
        Trial("words of two letters or more, no marks", features=usual_words),
        changed("characters 2-4", longest=4),
        changed("characters 3-5", shortest=3),
        changed("characters 1-5", shortest=1),
        changed("characters 2-6", longest=6),
        changed("features in 5 texts or more", least_texts=5),
        *(
            changed(f"{size:,} features at most", most_features=size)
            for size in (4096, 8192, 16384, 32768, 131072)
        ),
        Trial("hashed to 65,536 columns", features=hashed(16)),
        Trial("hashed to 262,144 columns", features=hashed(18)),
        *(changed(f"C {cost:g}", cost=cost) for cost in (0.03, 0.05, 0.2, 0.4)),
        *(changed(f"evidence {power:g}", evidence=power) for power in (0, 0.25, 0.75, 1)),
        Trial("positives weigh more, power 0.25", machine=weighted(0.25)),
        Trial("positives weigh more, power 0.5", machine=weighted(0.5)),
        Trial("logistic, C 1", machine=logistic(1.0)),
        Trial("logistic, C 4", machine=logistic(4.0)),
        Trial("logistic, C 1, balanced", machine=logistic(1.0, weighted=True)),
    ]

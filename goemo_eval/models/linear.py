"""The floor: TF-IDF features and one linear support vector machine per label.

What no encoder should lose to. Three steps beyond the textbook, each measured in ``reports/floor``:

- A feature is scaled, per label, by how much it tells of the label (the log of its share among
  positives over its share among negatives, to the power `evidence`), as in Wang and Manning, "Baselines
  and Bigrams: Simple, Good Sentiment and Topic Classification", ACL 2012. The scale becomes part of
  the weight: it costs nothing later.
- Decision values become log-odds by Platt's scaling, per label, fitted to training texts that the
  machine did not see: half of them at a time. Thresholds, calibration and softmax so mean what they
  mean of an encoder.
- Under a multiclass scheme the bias is moved along the classes' log shares, as far as Macro-F1 on the
  same unseen halves rises.

Nothing is fitted on validation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from goemo_eval.data.stratify import split_rows
from goemo_eval.data.task import Task
from goemo_eval.errors import CheckpointError
from goemo_eval.models.checkpoint import Checkpoint, write_manifest
from goemo_eval.models.linear_files import LinearModel, write_linear
from goemo_eval.models.log_odds import Decisions, Labels, best_shift, platt
from goemo_eval.models.manifest import Manifest
from goemo_eval.models.ngrams import Features, NgramOptions, Vectorizer, learn_vocabulary
from goemo_eval.progress import progress

ENCODER = "tfidf"
_TOLERANCE = 0.01  # of the solver; ten times finer changes no score and takes longer
_MOST_PASSES = 2000


class LinearOptions(NgramOptions):
    """Every value of a fit but the seed."""

    name: str = ENCODER
    cost: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """C of the support vector machines."""
    evidence: Annotated[float, Field(ge=0, le=2)] = 0.5
    """Exponent of a feature's evidence for a label; 0: features are not scaled."""

    @property
    def ngrams(self) -> NgramOptions:
        """Those of them that say what the features are."""
        return NgramOptions.model_validate(self.model_dump(include={*NgramOptions.model_fields}))

    def training_facts(self) -> dict[str, Any]:
        """Return what the weights depend on, for the key that a checkpoint is kept under."""
        return self.model_dump()


class Linear(NamedTuple):
    """Weights over features, shape (V, K), and bias, shape (K,)."""

    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]


class Machine(NamedTuple):
    """One label's decision values: weights over features, shape (V,), and bias."""

    weights: npt.NDArray[np.float64]
    bias: float
    converged: bool


MachineFit = Callable[[Any, npt.NDArray[np.bool_], "LinearOptions", int], Machine]
"""``(rows, truth, options, seed) -> Machine``, of a label that varies."""


class Fit(NamedTuple):
    """What a fit found.

    Attributes
    ----------
    linear : Linear
        Of logits.
    unseen : ndarray of float64, shape (N, K)
        The training rows' decision values, by machines that have not seen them.
    slope, offset : ndarray of float64, shape (K,)
        Decision values times slope plus offset are log-odds.
    prior_shift : float or None
        Of a multiclass scheme, the multiple of the classes' log shares that was added to the logits.
    notes : tuple of str
        What a user should be told, in a line each.
    """

    linear: Linear
    unseen: Decisions
    slope: Decisions
    offset: Decisions
    prior_shift: float | None
    notes: tuple[str, ...]


def fit_linear(
    task: Task, *, out: Path, options: LinearOptions | None = None, seed: int = 0
) -> Checkpoint:
    """Fit the floor on a task's training split and write it as a checkpoint.

    Parameters
    ----------
    task : Task
        Of any scheme; validation and test are not read.
    out : Path
        Directory; empty, or not there yet.
    options : LinearOptions, optional
    seed : int, default 0
        Of the order in which the solver sees rows, and of the halves.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        If `out` holds something.
    DataError
        If no n-gram stands in enough texts.
    """
    options = options or LinearOptions()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out}: exists already and is not empty: choose another directory")
    texts, scheme = task.texts["train"], task.scheme
    vocabulary = learn_vocabulary(texts, options.ngrams)
    rows = as_matrix(Vectorizer(vocabulary).features(texts), columns=len(vocabulary))
    found = fit_rows(
        rows,
        columns_of(task.targets["train"], len(scheme.labels)),
        halves=halves_of(task, seed=seed),
        multiclass=scheme.kind == "multiclass",
        options=options,
        seed=seed,
    )
    out.mkdir(parents=True, exist_ok=True)
    weights, bias = (part.astype(np.float32) for part in found.linear)
    write_linear(out, LinearModel(vocabulary, weights, None, bias))
    return write_manifest(
        out,
        Manifest(
            model="linear",
            encoder=ENCODER,
            scheme=scheme.name,
            kind=scheme.kind,
            labels=list(scheme.labels),
            dominance=scheme.dominance,
            max_length=0,
            weights="pretrained",
            recipe=options.model_dump(),
            seed=seed,
            train_sha256=task.sha256["train"],
            prior_shift=found.prior_shift,
            notes=list(found.notes),
        ),
    )


def as_matrix(features: Features, *, columns: int) -> Any:
    """Return features as a scipy matrix in CSR form, shape (N, columns)."""
    from scipy.sparse import csr_matrix

    shape = (len(features.starts) - 1, columns)
    return csr_matrix((features.values, features.ids, features.starts), shape=shape)


def columns_of(targets: npt.NDArray[Any], n_labels: int) -> Labels:
    """Return a column of booleans per label, of multilabel or multiclass targets."""
    if targets.ndim == 2:
        return np.asarray(targets, dtype=bool)
    return np.asarray(targets[:, None] == np.arange(n_labels))


def halves_of(task: Task, *, seed: int) -> list[npt.NDArray[np.int64]]:
    """Return the training rows in two halves, each with its share of every label.

    Rows of the same text are in one half, or unseen rows would be seen ones.
    """
    columns = columns_of(task.targets["train"], len(task.scheme.labels))
    halves = split_rows(task.texts["train"], columns, shares=(0.5, 0.5), seed=seed)
    return [half for half in halves if len(half)]


def fit_rows(
    rows: Any,
    columns: Labels,
    *,
    halves: Sequence[npt.NDArray[np.int64]],
    multiclass: bool,
    options: LinearOptions,
    seed: int,
    machine: MachineFit | None = None,
) -> Fit:
    """Fit logits to rows of features.

    Parameters
    ----------
    rows : scipy.sparse.csr_matrix of float64, shape (N, V)
    columns : ndarray of bool, shape (N, K)
    halves : sequence of ndarray of int64
        Parts of the rows: each is decided by machines that were fitted on the others.
    multiclass : bool
    options : LinearOptions
    seed : int
    machine : callable, optional
        `support_vector_machine` by default.

    Returns
    -------
    Fit
    """
    machine = machine or support_vector_machine
    stopped: set[int] = set()

    def machines(own: Any, truth: Labels) -> Linear:
        found = [
            machine(own, column, options, seed) if column.any() and not column.all() else _one(own)
            for column in _told(truth.T, bar)
        ]
        stopped.update(k for k, each in enumerate(found) if not each.converged)
        # A label that no row has, or every row, has no weights: its offset says it all.
        return Linear(
            np.stack([each.weights for each in found], axis=1),
            np.array([each.bias for each in found]),
        )

    with progress(desc="fitting the floor", total=(1 + len(halves)) * columns.shape[1]) as bar:
        whole = machines(rows, columns)
        unseen = np.zeros(columns.shape)
        for half in halves:
            others = np.setdiff1d(np.arange(len(columns)), half)
            linear = machines(rows[others], columns[others])
            unseen[half] = rows[half] @ linear.weights + linear.bias
    slope, offset = platt(unseen, columns)
    weights, bias = whole.weights * slope, whole.bias * slope + offset
    shift = None
    if multiclass:
        log_share = np.log(np.maximum(columns.sum(axis=0), 1) / len(columns))
        shift = best_shift(unseen * slope + offset, columns.argmax(axis=1), log_share)
        bias = bias + shift * log_share
    note = f"{len(stopped)} of {columns.shape[1]} labels: the solver stopped after {_MOST_PASSES} passes"
    return Fit(Linear(weights, bias), unseen, slope, offset, shift, (note,) if stopped else ())


def _one(rows: Any) -> Machine:
    return Machine(np.zeros(rows.shape[1]), 0.0, converged=True)


def _told(columns: Labels, bar: Any) -> Iterator[npt.NDArray[np.bool_]]:
    for column in columns:
        yield column
        bar.update()


def support_vector_machine(
    rows: Any, truth: npt.NDArray[np.bool_], options: LinearOptions, seed: int
) -> Machine:
    """Fit one label's linear support vector machine, with features scaled by their evidence.

    Parameters
    ----------
    rows : scipy.sparse.csr_matrix of float64, shape (N, V)
    truth : ndarray of bool, shape (N,)
        Not all equal.
    options : LinearOptions
    seed : int

    Returns
    -------
    Machine
    """
    from scipy.sparse import csr_matrix
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    scale = evidence(rows, truth, options.evidence)
    scaled = rows.data * scale[rows.indices]
    own = csr_matrix((scaled, rows.indices, rows.indptr), shape=rows.shape)
    solver = LinearSVC(
        C=options.cost, dual=True, tol=_TOLERANCE, max_iter=_MOST_PASSES, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # becomes a note of the checkpoint
        solver.fit(own, truth)
    converged = bool(np.max(solver.n_iter_) < _MOST_PASSES)
    return Machine(solver.coef_[0] * scale, float(solver.intercept_[0]), converged)


def evidence(rows: Any, truth: npt.NDArray[np.bool_], exponent: float) -> npt.NDArray[np.float64]:
    """Return a scale per feature: how much it tells of a label, with the rows' mean squared length kept.

    Parameters
    ----------
    rows : scipy.sparse.csr_matrix of float64, shape (N, V)
    truth : ndarray of bool, shape (N,)
    exponent : float
        0: all scales are one.

    Returns
    -------
    ndarray of float64, shape (V,)
    """
    if exponent == 0:
        return np.ones(rows.shape[1])
    of_positive = np.repeat(truth, np.diff(rows.indptr))
    mass = [
        np.bincount(rows.indices, weights=rows.data * chosen, minlength=rows.shape[1]) + 1
        for chosen in (of_positive, ~of_positive)
    ]
    log_ratio = np.log(mass[0] / mass[0].sum()) - np.log(mass[1] / mass[1].sum())
    scale = np.abs(log_ratio) ** exponent
    squares = np.bincount(rows.indices, weights=rows.data**2, minlength=rows.shape[1])
    length = np.sqrt((squares * scale**2).sum() / max(squares.sum(), 1e-300))
    return scale / length if length > 0 else np.ones_like(scale)

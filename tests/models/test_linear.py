"""The floor: what it fits, under any scheme and labels, and what it keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

from goemo_eval.data.dataset import make_dataset, make_split
from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.sources import load_dataset
from goemo_eval.data.task import Task, task_of
from goemo_eval.errors import CheckpointError, DataError
from goemo_eval.models import linear
from goemo_eval.models.checkpoint import read_checkpoint
from goemo_eval.models.linear import (
    LinearOptions,
    as_matrix,
    columns_of,
    evidence,
    fit_linear,
    fit_rows,
    halves_of,
)
from goemo_eval.models.linear_files import LinearModel, quantized, read_linear, write_linear
from goemo_eval.models.ngrams import Vectorizer

TICKETS = {
    "billing": "charged twice on my invoice, please refund the card",
    "bug": "the app crashes when I press save and shows an error",
    "praise": "thank you, this works great and looks lovely",
}


@pytest.fixture(scope="module")
def task() -> Callable[[str], Task]:
    dataset = load_dataset("sample")

    def of(scheme: str) -> Task:
        return task_of(dataset, get_scheme(scheme, dataset.labels, fallback=dataset.fallback))

    return of


def task_with(
    targets: Sequence[Sequence[str]], labels: Sequence[str], scheme: str = "raw", repeat: int = 6
) -> Task:
    """A task of made-up tickets: each row's text says its labels, in its own way."""
    splits = {}
    for name, times in (("train", repeat), ("validation", 2), ("test", 1)):
        rows = [row for _ in range(times) for row in targets]
        texts = [
            f"{name} ticket {i % 7}: " + " and ".join(TICKETS[label] for label in row)
            for i, row in enumerate(rows)
        ]
        columns = np.array([[label in row for label in labels] for row in rows], dtype=bool)
        splits[name] = make_split(name, texts, columns, label_names=labels)
    dataset = make_dataset(splits, labels, name="tickets", source="csv")
    return task_of(dataset, get_scheme(scheme, labels))


def logits(path: Path, texts: Sequence[str], n_labels: int) -> npt.NDArray[np.float64]:
    """A checkpoint's logits, by its files and a plain matrix product."""
    model = read_linear(path, n_labels=n_labels, error=CheckpointError)
    features = Vectorizer(model.vocabulary).features(texts)
    rows = as_matrix(features, columns=len(model.vocabulary))
    return np.asarray(rows @ model.weights.astype(np.float64) + model.bias)


@pytest.mark.parametrize("scheme", ["raw", "ekman", "sentiment", "simplified"])
def test_it_learns_the_sample_under_every_scheme(
    scheme: str, task: Callable[[str], Task], tmp_path: Path
) -> None:
    own = task(scheme)
    checkpoint = fit_linear(own, out=tmp_path / "floor")
    found = logits(checkpoint.path, own.texts["test"], len(own.scheme.labels))
    columns = columns_of(own.targets["test"], len(own.scheme.labels))
    shares = columns_of(own.targets["train"], len(own.scheme.labels)).mean(axis=0)
    if own.scheme.kind == "multilabel":
        assert checkpoint.prior_shift is None
        logits_of_shares = np.log(shares / (1 - shares))
        # What is said of each text is likelier than the labels' shares.
        assert _loss(found, columns) < 0.97 * _loss(
            np.tile(logits_of_shares, (len(found), 1)), columns
        )
        guess = found >= logits_of_shares
    else:
        assert checkpoint.prior_shift is not None
        guess = columns_of(found.argmax(axis=1), columns.shape[1])
        assert (
            guess[columns].mean() > shares.max() + 0.05
        )  # more often right than the largest class
    most_frequent = np.zeros_like(columns)
    most_frequent[:, shares.argmax()] = True
    macro = {"average": "macro", "zero_division": 0}
    assert f1_score(columns, guess, **macro) > 1.5 * f1_score(columns, most_frequent, **macro)


def _loss(logits: npt.NDArray[Any], truth: npt.NDArray[np.bool_]) -> float:
    return float((np.logaddexp(0, logits) - truth * logits).mean())


def test_the_checkpoint_says_what_it_is(task: Callable[[str], Task], tmp_path: Path) -> None:
    own = task("simplified")
    options = LinearOptions(cost=0.2, most_features=3000)
    made = fit_linear(own, out=tmp_path / "floor", options=options, seed=5)
    read = read_checkpoint(made.path, manifest="required")
    assert read == made
    assert (read.model, read.encoder, read.scheme, read.kind) == (
        "linear",
        "tfidf",
        "simplified",
        "multiclass",
    )
    assert read.labels == own.scheme.labels
    assert read.dominance == own.scheme.dominance
    assert (read.max_length, read.weights, read.base_sha256) == (0, "pretrained", None)
    assert (read.seed, read.train_sha256, read.notes) == (5, own.sha256["train"], ())
    assert LinearOptions.model_validate(read.recipe) == options
    assert {file.name for file in made.path.iterdir()} == {
        "goemo.json",
        "model.safetensors",
        "vocabulary.json",
    }
    with pytest.raises(CheckpointError, match="exists already and is not empty"):
        fit_linear(own, out=made.path)
    content = bytearray((made.path / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (made.path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model.safetensors: altered since"):
        read_checkpoint(made.path)


def test_the_same_seed_gives_the_same_files(task: Callable[[str], Task], tmp_path: Path) -> None:
    own = task("ekman")
    first, again, other = (
        fit_linear(own, out=tmp_path / name, seed=seed)
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert first.content_sha256 == again.content_sha256
    assert first.content_sha256 != other.content_sha256
    # Another seed is another order of the rows, not another model.
    texts = own.texts["test"]
    pair = [logits(path, texts, len(own.scheme.labels)) for path in (first.path, other.path)]
    assert np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1] > 0.98


def test_validation_and_test_are_not_read(task: Callable[[str], Task], tmp_path: Path) -> None:
    own = task("simplified")
    blind = Task(
        own.scheme,
        {"train": own.texts["train"]},
        {"train": own.targets["train"]},
        {"train": own.sha256["train"]},
        {"train": own.ids["train"]},
    )
    seen, unseen = (
        fit_linear(each, out=tmp_path / name) for each, name in ((own, "a"), (blind, "b"))
    )
    assert seen.content_sha256 == unseen.content_sha256


def test_one_label_and_labels_that_do_not_vary(tmp_path: Path) -> None:
    rows = [["billing"], [], ["billing"], ["bug"], []]
    one = task_with([row if row != ["bug"] else [] for row in rows], ["billing"])
    checkpoint = fit_linear(one, out=tmp_path / "one")
    found = logits(checkpoint.path, one.texts["test"], 1)
    assert ((found[:, 0] > 0) == one.targets["test"][:, 0]).all()

    # praise never comes, and billing always: their logits are constant and say so
    some = task_with([["billing", *row] for row in ([], ["bug"], [])], ["billing", "bug", "praise"])
    checkpoint = fit_linear(some, out=tmp_path / "some")
    found = logits(checkpoint.path, some.texts["test"], 3)
    assert ((found[:, 1] > 0) == some.targets["test"][:, 1]).all()
    rows_of_train = len(some.texts["train"])
    assert np.ptp(found[:, 0]) == 0
    assert np.ptp(found[:, 2]) == 0
    smoothed = np.log(
        rows_of_train + 1
    )  # Platt's target of n rows without a positive is 1 / (n + 2)
    np.testing.assert_allclose(found[0, [0, 2]], [smoothed, -smoothed], rtol=1e-3)


@pytest.mark.parametrize("rows", [[["billing"]], [["billing"], ["bug"]]], ids=["one", "two"])
def test_multiclass_with_classes_that_never_come(rows: list[list[str]], tmp_path: Path) -> None:
    own = task_with(rows, ["billing", "bug", "praise"], "simplified")
    checkpoint = fit_linear(own, out=tmp_path / "floor")
    found = logits(checkpoint.path, own.texts["test"], 3)
    assert np.isfinite(found).all()
    assert found.argmax(axis=1).tolist() == own.targets["test"].tolist()


def test_rows_without_labels_are_learned_from(tmp_path: Path) -> None:
    own = task_with([["bug"], [], ["billing"], []], ["billing", "bug"])
    checkpoint = fit_linear(own, out=tmp_path / "floor")
    found = logits(checkpoint.path, own.texts["test"], 2) > 0
    assert found.tolist() == own.targets["test"].tolist()


def test_too_few_texts_for_any_feature_are_refused(tmp_path: Path) -> None:
    own = task_with([["bug"]], ["billing", "bug"], repeat=1)
    with pytest.raises(DataError, match="no n-gram stands in 2 of the 1 training texts"):
        fit_linear(own, out=tmp_path / "floor")
    assert not (tmp_path / "floor").exists()


def test_without_evidence_it_is_scikit_learns_machine(task: Callable[[str], Task]) -> None:
    own = task("ekman")
    rows, columns = rows_of(own)
    found = fit_rows(
        rows,
        columns,
        halves=halves_of(own, seed=0),
        multiclass=False,
        options=LinearOptions(evidence=0),
        seed=3,
    )
    for k in (0, 3):
        plain = LinearSVC(C=0.1, dual=True, tol=0.01, random_state=3).fit(rows, columns[:, k])
        weights, bias = found.linear.weights[:, k], found.linear.bias[k]
        np.testing.assert_allclose(weights, plain.coef_[0] * found.slope[k], rtol=1e-12)
        expected = plain.intercept_[0] * found.slope[k] + found.offset[k]
        np.testing.assert_allclose(bias, expected, rtol=1e-12)


def test_unseen_rows_are_decided_by_machines_that_did_not_see_them(
    task: Callable[[str], Task],
) -> None:
    own = task("ekman")
    rows, columns = rows_of(own)
    halves = halves_of(own, seed=0)
    found = fit_rows(
        rows, columns, halves=halves, multiclass=False, options=LinearOptions(evidence=0), seed=0
    )
    assert np.array_equal(np.sort(np.concatenate(halves)), np.arange(len(columns)))
    half, other = halves
    plain = LinearSVC(C=0.1, dual=True, tol=0.01, random_state=0).fit(
        rows[other], columns[other, 2]
    )
    np.testing.assert_allclose(
        found.unseen[half, 2], plain.decision_function(rows[half]), rtol=1e-9
    )


def test_halves_share_no_text_and_every_label() -> None:
    own = task_with([["bug"], ["billing"], []], ["billing", "bug"], repeat=20)
    texts = np.array(own.texts["train"])
    first, second = halves_of(own, seed=0)
    assert not set(texts[first]) & set(texts[second])
    for half in (first, second):
        assert own.targets["train"][half].any(axis=0).all()


def rows_of(task: Task) -> tuple[csr_matrix, npt.NDArray[np.bool_]]:
    vocabulary = linear.learn_vocabulary(task.texts["train"], LinearOptions().ngrams)
    rows = as_matrix(Vectorizer(vocabulary).features(task.texts["train"]), columns=len(vocabulary))
    return rows, columns_of(task.targets["train"], len(task.scheme.labels))


def test_evidence_by_hand() -> None:
    rows = csr_matrix(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 2.0]]))
    truth = np.array([True, False])
    positive, negative = np.array([2, 2, 1]) / 5, np.array([1, 2, 3]) / 6
    scale = np.sqrt(np.abs(np.log(positive / negative)))
    squares = np.array([1, 2, 4])
    scale /= np.sqrt((squares * scale**2).sum() / squares.sum())
    np.testing.assert_allclose(evidence(rows, truth, 0.5), scale, rtol=1e-12)
    # Nothing tells more than another: no scale.
    even = csr_matrix(np.ones((2, 2)))
    assert evidence(even, truth, 0.5).tolist() == [1, 1]


def test_a_solver_that_stops_early_is_noted(
    task: Callable[[str], Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "_MOST_PASSES", 2)
    monkeypatch.setattr(linear, "_TOLERANCE", 1e-9)
    checkpoint = fit_linear(task("sentiment"), out=tmp_path / "floor")
    assert checkpoint.notes == ("4 of 4 labels: the solver stopped after 2 passes",)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A small model's two files."""
    vocabulary = linear.learn_vocabulary(["so good", "so bad"], LinearOptions(least_texts=1).ngrams)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(len(vocabulary), 3)).astype(np.float32)
    write_linear(tmp_path, LinearModel(vocabulary, weights, None, np.ones(3, dtype=np.float32)))
    return tmp_path


def test_files_hold_what_was_written(written: Path) -> None:
    model = read_linear(written, n_labels=3, error=CheckpointError)
    assert model.vocabulary.words == ("bad", "good", "so", "so bad", "so good")
    assert (model.vocabulary.texts, model.vocabulary.in_texts[2]) == (2, 2)
    small = quantized(model)
    assert small.weights.dtype == np.int8
    assert small.scales is not None
    half_a_step = small.scales / 2 + 1e-7
    assert (np.abs(small.weights * small.scales - model.weights) <= half_a_step).all()
    assert (np.abs(small.weights).max(axis=0) == 127).all()
    write_linear(written, small)
    again = read_linear(written, n_labels=3, error=CheckpointError)
    assert np.array_equal(again.weights, small.weights)
    assert np.array_equal(again.scales, small.scales)  # type: ignore[arg-type]


def test_half_a_surrogate_pair_survives_the_files(tmp_path: Path) -> None:
    vocabulary = linear.learn_vocabulary(["so \ud83d"] * 2, LinearOptions().ngrams)
    weights = np.zeros((len(vocabulary), 1), dtype=np.float32)
    write_linear(tmp_path, LinearModel(vocabulary, weights, None, np.zeros(1, dtype=np.float32)))
    model = read_linear(tmp_path, n_labels=1, error=CheckpointError)
    assert model.vocabulary.words == vocabulary.words
    assert model.vocabulary.characters == vocabulary.characters


def edit_vocabulary(**changed: Any) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        file = path / "vocabulary.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changed))

    return edit


def edit_tensor(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        file = path / "model.safetensors"
        tensors = load_file(file)
        tensors[name] = np.ascontiguousarray(change(tensors.get(name)))
        save_file(tensors, file)

    return edit


def not_finite(values: Any) -> Any:
    return np.full_like(values, np.inf)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (edit_vocabulary(words=["so", "so"]), "words: a feature stands twice"),
        (edit_vocabulary(words=["so"]), "features, but the weights have"),
        (edit_vocabulary(characters=[1, 2]), "characters: expected a list of str"),
        (edit_vocabulary(more=1), "expected an object of characters, options, texts, words"),
        (edit_vocabulary(texts=0), "texts: expected a number of training texts"),
        (edit_vocabulary(texts=1), "more texts with one than texts"),
        (edit_vocabulary(options={"words": 99}), "options: Input should be less than"),
        (lambda path: (path / "vocabulary.json").unlink(), "vocabulary.json: cannot read"),
        (lambda path: (path / "vocabulary.json").write_text("["), "vocabulary.json: not JSON"),
        (
            lambda path: (path / "model.safetensors").unlink(),
            "model.safetensors: not a safetensors",
        ),
        (
            lambda path: (path / "model.safetensors").write_bytes(b"pickle"),
            "model.safetensors: not a safetensors",
        ),
        (
            edit_tensor("weights", lambda w: w[:, :2]),
            r"weights: expected shape \(\d+, 3\), got float32",
        ),
        (
            edit_tensor("weights", lambda w: w.astype(np.float64)),
            "weights: expected .* got float64",
        ),
        (
            edit_tensor("weights", lambda w: w.astype(np.int8)),
            r"scales: expected shape \(3,\), got none",
        ),
        (edit_tensor("weights", not_finite), "weights: not finite"),
        (edit_tensor("bias", not_finite), "bias: not finite"),
        (edit_tensor("in_texts", lambda n: n.astype(np.int64)), "no in_texts of int32"),
        (edit_tensor("in_texts", lambda n: n - 9), "no features, or more texts"),
    ],
)
def test_damaged_files_are_refused(
    damage: Callable[[Path], None], said: str, written: Path
) -> None:
    damage(written)
    with pytest.raises(CheckpointError, match=said) as refused:
        read_linear(written, n_labels=3, error=CheckpointError)
    assert "\n" not in str(refused.value)

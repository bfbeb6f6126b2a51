from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.data.dataset import Dataset, Split, make_dataset, make_split, rows_sha256, subset
from goemo_eval.data.goemotions import EMOTIONS
from goemo_eval.data.schemes import get_scheme
from goemo_eval.data.task import task_of
from goemo_eval.errors import DataError

LABELS = ("billing", "bug", "login")


def split_of(name: str, rows: list[tuple[str, list[int]]], **options: Any) -> Split:
    labels = np.zeros((len(rows), len(LABELS)), dtype=bool)
    for row, (_, columns) in enumerate(rows):
        labels[row, columns] = True
    return make_split(name, [text for text, _ in rows], labels, label_names=LABELS, **options)


def splits_of(**rows: list[tuple[str, list[int]]]) -> dict[str, Split]:
    base: dict[str, list[tuple[str, list[int]]]] = {
        "train": [("a", [0]), ("b", [1]), ("c", [2]), ("d", [0, 1])],
        "validation": [("e", [0]), ("f", [])],
        "test": [("g", [1]), ("h", [2])],
    }
    return {name: split_of(name, own) for name, own in (base | rows).items()}


def dataset_of(splits: dict[str, Split], **options: Any) -> Dataset:
    return make_dataset(splits, LABELS, name="tickets", source="csv", **options)


# --- identity


def test_the_hash_is_of_names_texts_and_labels() -> None:
    split = split_of("test", [('say "é"\n', [0, 2]), ("", [])])
    lines = [{"labels": list(LABELS)}, ['say "é"\n', [0, 2]], ["", []]]
    content = "".join(
        json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines
    )
    assert split.sha256 == hashlib.sha256(content.encode()).hexdigest()


def test_the_hash_of_goemotions_labels_is_of_the_published_form() -> None:
    labels = np.zeros((2, 28), dtype=bool)
    labels[0, [3, 10]] = labels[1, 27] = True
    split = make_split("test", ["a b", "c"], labels, ["id1", "id2"], label_names=EMOTIONS)
    assert split.sha256 == hashlib.sha256(b"a b\t3,10\tid1\nc\t27\tid2\n").hexdigest()


rows_strategy = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
        st.lists(st.integers(0, 2), unique=True, max_size=3).map(sorted),
    ),
    max_size=4,
)


@given(rows_strategy, rows_strategy)
def test_other_rows_have_another_hash(
    rows: list[tuple[str, list[int]]], others: list[tuple[str, list[int]]]
) -> None:
    assert (rows == others) == (split_of("test", rows).sha256 == split_of("test", others).sha256)


def test_what_is_part_of_the_hash() -> None:
    labels = np.eye(3, dtype=bool)
    votes = np.eye(3, dtype=np.int64)
    texts, ids = ["a", "b", "c"], ["1", "2", "3"]
    hashes = [
        rows_sha256(texts, labels, ids, label_names=LABELS),
        rows_sha256(texts, labels, ids, label_names=("billing", "login", "bug")),
        rows_sha256(texts, labels, ids, label_names=LABELS, votes=votes),
        rows_sha256(texts, labels, ids, label_names=LABELS, votes=votes * 2),
        rows_sha256(texts, labels[::-1], ids, label_names=LABELS),
        rows_sha256(texts[::-1], labels, ids, label_names=LABELS),
    ]
    assert len(set(hashes)) == len(hashes)
    assert rows_sha256(texts, labels, ["x", "y", "z"], label_names=LABELS) == hashes[0]


def test_a_subset_is_the_same_for_a_seed() -> None:
    split = split_of("train", [(f"text {i}", [i % 3]) for i in range(40)])
    some = subset(split, 10, seed=3)
    assert len(some) == 10
    rows = [split.texts.index(text) for text in some.texts]
    assert rows == sorted(rows)
    assert some.ids == tuple(str(row + 1) for row in rows)
    np.testing.assert_array_equal(some.labels, split.labels[rows])
    assert subset(split, 10, seed=3).sha256 == some.sha256
    hashes = {
        split.sha256,
        some.sha256,
        subset(split, 10, seed=4).sha256,
        subset(split, 11, seed=3).sha256,
    }
    assert len(hashes) == 4
    for wrong in (41, 0, -1):
        with pytest.raises(DataError, match=f"has 40 rows: cannot take {wrong} of them"):
            subset(split, wrong, seed=0)


def test_a_subset_keeps_its_votes() -> None:
    split = split_of("train", [("a", [0]), ("b", [1])], votes=np.array([[3, 0, 0], [0, 2, 1]]))
    some = subset(split, 1, seed=0)
    assert some.votes is not None
    assert some.votes.sum() == {"a": 3, "b": 3}[some.texts[0]]
    assert some.votes[0].argmax() == some.labels[0].argmax()


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.ones((2, 2), dtype=bool), {}, r"must be boolean, of shape \(2, 3\) \(texts, labels\)"),
        (np.ones((2, 3)), {}, "must be boolean.*got float64"),
        (np.ones((2, 3), dtype=bool), {"ids": ["1"]}, "has 2 texts and 1 ids"),
        (
            np.ones((2, 3), dtype=bool),
            {"votes": np.ones((2, 2))},
            r"votes must have shape \(2, 3\)",
        ),
    ],
)
def test_malformed_rows(labels: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_split("test", ["a", "b"], labels, label_names=LABELS, **options)


def test_half_a_surrogate_pair_has_no_hash() -> None:
    with pytest.raises(DataError, match=r"row 2: 'b.ud800' holds half a surrogate pair"):
        split_of("test", [("a", [0]), ("b\ud800", [1])])


# --- what is counted, what is refused


def test_notes() -> None:
    splits = splits_of(
        train=[("a", [0]), ("a", [1]), (" ", [0]), ("b", [])],
        validation=[("a", [0]), ("a", [0]), ("e", [])],
        test=[("a", [0]), ("e", [1]), ("g", [1])],
    )
    notes = dataset_of(splits, assumed=["so it was read"]).notes
    assert notes.empty == {"train": 1, "validation": 0, "test": 0}
    assert notes.unlabelled == {"train": 1, "validation": 1, "test": 0}
    assert notes.duplicates == {"train": 1, "validation": 1, "test": 0}
    assert notes.shared == {"validation in train": 2, "test in train": 1, "test in validation": 2}
    assert notes.absent == ("login",)
    assert notes.lines() == (
        "train: 1 row without any text",
        "train: 1 row without a label",
        "validation: 1 row without a label",
        "train: 1 row with the text of an earlier row",
        "validation: 1 row with the text of an earlier row",
        "validation: 2 rows whose text stands in train, too",
        "test: 1 row whose text stands in train, too",
        "test: 2 rows whose text stands in validation, too",
        "labels without a row in train: login",
        "so it was read",
    )


def test_nothing_to_note() -> None:
    splits = splits_of(validation=[("e", [0]), ("f", [1])])
    assert dataset_of(splits).notes.lines() == ()


def test_drop_shared() -> None:
    splits = splits_of(validation=[("a", [0]), ("f", [1])], test=[("b", [1]), ("h", [2])])
    dropped = dataset_of(splits, drop_shared=True)
    assert dropped.splits["train"].texts == ("c", "d")
    assert dropped.splits["train"].ids == ("3", "4")
    assert dropped.notes.dropped == 2
    assert "train: 2 rows left out, shared with validation or test" in dropped.notes.lines()
    kept = dataset_of(splits)
    assert kept.splits["train"] is splits["train"]
    untouched = splits_of()
    assert dataset_of(untouched, drop_shared=True).splits["train"] is untouched["train"]


def test_single_label_is_what_every_row_says() -> None:
    one = {"train": [("a", [0]), ("b", [1])], "validation": [("c", [2])], "test": [("d", [0])]}
    assert dataset_of(splits_of(**one)).single_label
    assert not dataset_of(splits_of(**one | {"test": [("d", [])]})).single_label
    assert not dataset_of(splits_of(**one | {"test": [("d", [0, 1])]})).single_label


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ({"validation": []}, {}, "the validation split has no rows"),
        ({"train": [(" ", [0])]}, {}, "every text of the train split is empty"),
        ({"test": [("f", [0]), ("e", [1])]}, {}, "same texts as the validation split"),
        ({"train": [("g", [0]), ("h", [0])]}, {}, "same texts as the train split"),
        ({}, {"fallback": "neutral"}, "fallback 'neutral' is none of the labels: they are billing"),
        ({"train": [("e", [0])]}, {"drop_shared": True}, "nothing is left to train on"),
    ],
)
def test_what_no_data_set_may_be(rows: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset_of(splits_of(**rows), **options)


def test_three_splits_and_no_other() -> None:
    splits = splits_of()
    del splits["validation"]
    with pytest.raises(DataError, match=r"has the splits train, validation, test: got \['train'"):
        dataset_of(splits)


def test_frozen() -> None:
    dataset = dataset_of(splits_of())
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"  # type: ignore[misc]
    assert repr(dataset) == "Dataset(tickets, csv, 4/2/2 rows, 3 labels)"
    assert hash(dataset) != hash(dataset_of(splits_of()))  # by identity: arrays are not compared


# --- under a scheme


def test_task() -> None:
    dataset = dataset_of(splits_of())
    task = task_of(dataset, get_scheme("raw", LABELS))
    assert task.texts == {
        "train": ("a", "b", "c", "d"),
        "validation": ("e", "f"),
        "test": ("g", "h"),
    }
    assert task.ids["test"] == ("1", "2")
    assert task.sha256 == {name: split.sha256 for name, split in dataset.splits.items()}
    for name, split in dataset.splits.items():
        np.testing.assert_array_equal(task.targets[name], split.labels)


def test_only_keeps_rows_with_one_label() -> None:
    dataset = dataset_of(splits_of(validation=[("e", [0]), ("f", [0, 2])]))
    task = task_of(dataset, get_scheme("simplified", LABELS, dominance="only"))
    assert task.texts == {"train": ("a", "b", "c"), "validation": ("e",), "test": ("g", "h")}
    assert task.ids["train"] == ("1", "2", "3")
    assert task.targets["train"].tolist() == [0, 1, 2]
    assert task.sha256["train"] == dataset.splits["train"].sha256  # of the whole split


def test_every_split_is_settled_by_trains_counts() -> None:
    rows = {
        "train": [("a", [1]), ("b", [1]), ("c", [0])],
        "validation": [("d", [0]), ("e", [0]), ("f", [0, 1])],
        "test": [("g", [0, 1])],
    }
    task = task_of(dataset_of(splits_of(**rows)), get_scheme("simplified", LABELS))
    assert task.targets["validation"].tolist() == [0, 0, 1]
    assert task.targets["test"].tolist() == [1]


@pytest.mark.parametrize(
    ("rows", "scheme", "message"),
    [
        ({}, ("raw", ("a", "b", "c")), "is for 3 labels that are not those of data set 'tickets'"),
        ({}, ("simplified", LABELS), "validation split of 'tickets': row 2 has no label"),
        (
            {"validation": [("e", [0, 1])]},
            ("simplified", LABELS, "only"),
            "validation split of 'tickets': rule 'only' keeps no row",
        ),
        (
            {"validation": [("e", [0])]},
            ("simplified", LABELS, "votes"),
            "train split of 'tickets': dominance rule 'votes' needs votes, which these data lack",
        ),
    ],
)
def test_schemes_that_do_not_fit(rows: Any, scheme: tuple[Any, ...], message: str) -> None:
    name, labels, *rule = scheme
    made = get_scheme(name, labels, dominance=rule[0] if rule else "frequent")
    with pytest.raises(DataError, match=message) as caught:
        task_of(dataset_of(splits_of(**rows)), made)
    assert len(str(caught.value).splitlines()) == 1

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from goemo_eval.data.dominance import DOMINANCE_RULES
from goemo_eval.data.goemotions import EMOTIONS
from goemo_eval.data.schemes import get_scheme
from goemo_eval.errors import DataError

ADMIRATION, ANGER, JOY, NEUTRAL = map(EMOTIONS.index, ("admiration", "anger", "joy", "neutral"))


def rows(*labels: list[int]) -> np.ndarray:
    out = np.zeros((len(labels), 28), dtype=bool)
    for i, ids in enumerate(labels):
        out[i, ids] = True
    return out


label_rows = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.just(28))).map(
    lambda a: a | (~a.any(axis=1, keepdims=True) & np.eye(1, 28, 5, dtype=bool))
)


def test_an_unknown_rule() -> None:
    with pytest.raises(DataError, match="unknown dominance rule 'most'"):
        get_scheme("simplified", dominance="most")


@given(label_rows)
def test_raw_is_the_labels(labels: np.ndarray) -> None:
    np.testing.assert_array_equal(get_scheme("raw").targets(labels), labels)


# TRAIN counts: admiration 1, anger 2, joy 3, neutral 4.
TRAIN = rows([ADMIRATION], [ANGER], [ANGER], *[[JOY]] * 3, *[[NEUTRAL]] * 4)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("frequent", [JOY, ANGER, NEUTRAL, JOY]),
        ("rare", [ADMIRATION, ANGER, NEUTRAL, ANGER]),
        ("first", [ADMIRATION, ANGER, NEUTRAL, ANGER]),
    ],
)
def test_rules_pick_and_neutral_gives_way(rule: str, expected: list[int]) -> None:
    labels = rows([ADMIRATION, JOY], [ANGER, NEUTRAL], [NEUTRAL], [ANGER, JOY, NEUTRAL])
    targets = get_scheme("simplified", dominance=rule).targets(labels, train_labels=TRAIN)
    assert targets.tolist() == expected


def test_votes_decide_and_ties_fall_to_the_frequent() -> None:
    labels = rows([ADMIRATION, JOY], [ADMIRATION, JOY], [ANGER, NEUTRAL])
    votes = np.zeros((3, 28), dtype=np.int64)
    votes[0, [ADMIRATION, JOY]] = 3, 2
    votes[1, [ADMIRATION, JOY]] = 2, 2
    votes[2, [ANGER, NEUTRAL]] = 1, 3  # neutral gives way even when it has the votes
    scheme = get_scheme("simplified", dominance="votes")
    assert scheme.targets(labels, train_labels=TRAIN, votes=votes).tolist() == [
        ADMIRATION,
        JOY,
        ANGER,
    ]


def test_only_drops_several() -> None:
    labels = rows([JOY], [JOY, ANGER], [NEUTRAL])
    scheme = get_scheme("simplified", dominance="only")
    assert scheme.keeps(labels).tolist() == [True, False, True]
    assert scheme.targets(labels[scheme.keeps(labels)]).tolist() == [JOY, NEUTRAL]
    with pytest.raises(DataError, match=r"row 2 has several labels"):
        scheme.targets(labels)


@given(label_rows, st.sampled_from([r for r in DOMINANCE_RULES if r != "only"]))
def test_dominant_label_is_one_of_the_texts_own(labels: np.ndarray, rule: str) -> None:
    votes = np.ones(labels.shape, dtype=np.int64)
    targets = get_scheme("simplified", dominance=rule).targets(
        labels, train_labels=TRAIN, votes=votes
    )
    assert labels[np.arange(len(labels)), targets].all()
    emotional = labels[:, :NEUTRAL].any(axis=1)
    assert not (targets[emotional] == NEUTRAL).any()


@pytest.mark.parametrize("rule", ["votes", "frequent", "rare"])
def test_a_rule_without_its_counts_says_so(rule: str) -> None:
    with pytest.raises(DataError, match=rf"dominance rule '{rule}' needs"):
        get_scheme("simplified", dominance=rule).targets(rows([JOY]))


def test_malformed_labels() -> None:
    with pytest.raises(DataError, match="row 2 has no label, as 1 of 2 rows: scheme 'simplified'"):
        get_scheme("simplified", dominance="first").targets(rows([JOY], []))
    with pytest.raises(DataError, match=r"boolean array of shape \(N, 28\)"):
        get_scheme("raw").targets(np.ones((2, 27), dtype=bool))


@pytest.mark.parametrize("name", ["ekman", "sentiment"])
def test_groups_cover_every_emotion_once(name: str) -> None:
    scheme = get_scheme(name)
    assert sorted(i for group in scheme.groups for i in group) == list(range(28))
    labels = rows([JOY, ANGER])
    got = {
        label for label, hit in zip(scheme.labels, scheme.targets(labels)[0], strict=True) if hit
    }
    assert got == {"ekman": {"joy", "anger"}, "sentiment": {"positive", "negative"}}[name]


LABELS = ("billing", "bug", "login", "other")


def hot(*labels: list[int], of: int = 4) -> np.ndarray:
    out = np.zeros((len(labels), of), dtype=bool)
    for row, columns in enumerate(labels):
        out[row, columns] = True
    return out


@pytest.mark.parametrize("count", [1, 6, 1_000])
def test_raw_for_any_labels_and_rows_without_one(count: int) -> None:
    names = [f"label {number}" for number in range(count)]
    labels = np.random.default_rng(0).random((50, count)) < 0.5 / count
    assert not labels.any(axis=1).all()
    scheme = get_scheme("raw", names)
    np.testing.assert_array_equal(scheme.targets(labels), labels)
    assert scheme.labels == tuple(names)
    assert scheme.keeps(labels).all()


@pytest.mark.parametrize(("fallback", "expected"), [("other", [0, 1, 3]), (None, [3, 3, 3])])
def test_the_data_sets_own_fallback_gives_way(fallback: str | None, expected: list[int]) -> None:
    train = hot([0], [1], [1], [3], [3], [3])
    scheme = get_scheme("simplified", LABELS, fallback=fallback)
    targets = scheme.targets(hot([0, 3], [0, 1, 3], [3]), train_labels=train)
    assert targets.tolist() == expected


def test_single_label_needs_no_rule() -> None:
    scheme = get_scheme("simplified", LABELS, dominance="votes", single_label=True)
    assert scheme.dominance is None
    assert scheme.targets(hot([2], [0])).tolist() == [2, 0]
    with pytest.raises(DataError, match="row 1 has several labels"):
        scheme.targets(hot([0, 2]))


GROUPS = {"desk": {"money": ["billing"], "product": ["bug", "login"]}}


def test_groupings_of_the_users() -> None:
    scheme = get_scheme("desk", LABELS, groups=GROUPS)
    targets = scheme.targets(hot([0, 1], [2], [3], []))
    assert targets.tolist() == [[True, True], [False, True], [False, False], [False, False]]


@pytest.mark.parametrize(
    ("name", "labels", "options", "message"),
    [
        ("raw", (), {}, "0 labels: there may be 1 to 10,000"),
        ("raw", ("a", "a"), {}, "label 'a' is there twice"),
        ("raw", ("a", " b"), {}, "label 2 is ' b': a name has no white space around it"),
        ("raw", ("a", ""), {}, "label 2 is ''"),
        ("raw", ("a", "\x1b[31m"), {}, r"label 2 is '\\x1b\[31m'"),
        ("raw", "billing", {}, "must be a list of texts: got 'billing'"),
        ("raw", [f"l{i}" for i in range(10_001)], {}, "10,001 labels"),
        ("simplified", LABELS, {"fallback": "neutral"}, "fallback 'neutral' is no label"),
        ("simplified", LABELS, {"dominance": "most"}, "unknown dominance rule 'most'"),
    ],
)
def test_what_is_refused(name: str, labels: object, options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        get_scheme(name, labels, **options)
    assert len(str(caught.value).splitlines()) == 1


def test_facts_are_json_and_tell_schemes_apart() -> None:
    made = [
        get_scheme("raw"),
        get_scheme("raw", LABELS),
        get_scheme("simplified", LABELS),
        get_scheme("simplified", LABELS, dominance="rare"),
        get_scheme("simplified", LABELS, fallback="other"),
        get_scheme("simplified", LABELS, single_label=True),
        get_scheme("desk", LABELS, groups=GROUPS),
        get_scheme("desk", LABELS, groups={"desk": {"money": ["bug"], "product": ["billing"]}}),
    ]
    facts = [json.dumps(scheme.facts(), sort_keys=True) for scheme in made]
    assert len(set(facts)) == len(made)
    assert made[4].facts() == {
        "name": "simplified",
        "kind": "multiclass",
        "labels": list(LABELS),
        "groups": [[label] for label in LABELS],
        "dominance": "frequent",
        "fallback": "other",
    }
    # what changes no target is no part of them
    assert get_scheme("raw", LABELS, dominance="rare", fallback="other") == get_scheme(
        "raw", LABELS
    )

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from goemo_eval.data.labels import EMOTIONS, NEUTRAL
from goemo_eval.data.schemes import DOMINANCE_RULES, get_scheme, scheme_names
from goemo_eval.data.sources import load_split
from goemo_eval.errors import DataError

ADMIRATION, ANGER, JOY = (
    EMOTIONS.index("admiration"),
    EMOTIONS.index("anger"),
    EMOTIONS.index("joy"),
)


def rows(*labels: list[int]) -> np.ndarray:
    out = np.zeros((len(labels), 28), dtype=bool)
    for i, ids in enumerate(labels):
        out[i, ids] = True
    return out


label_rows = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.just(28))).map(
    lambda a: a | (~a.any(axis=1, keepdims=True) & np.eye(1, 28, 5, dtype=bool))
)


def test_registry() -> None:
    assert scheme_names() == ("raw", "simplified", "ekman", "sentiment")
    with pytest.raises(DataError, match=r"unknown scheme 'row': known are ekman, raw"):
        get_scheme("row")
    with pytest.raises(DataError, match="unknown dominance rule 'most'"):
        get_scheme("simplified", "most")


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
    targets = get_scheme("simplified", rule).targets(labels, train_labels=TRAIN)
    assert targets.tolist() == expected


def test_votes_decide_and_ties_fall_to_the_frequent() -> None:
    labels = rows([ADMIRATION, JOY], [ADMIRATION, JOY], [ANGER, NEUTRAL])
    votes = np.zeros((3, 28), dtype=np.int64)
    votes[0, [ADMIRATION, JOY]] = 3, 2
    votes[1, [ADMIRATION, JOY]] = 2, 2
    votes[2, [ANGER, NEUTRAL]] = 1, 3  # neutral gives way even when it has the votes
    scheme = get_scheme("simplified", "votes")
    assert scheme.targets(labels, train_labels=TRAIN, votes=votes).tolist() == [
        ADMIRATION,
        JOY,
        ANGER,
    ]


def test_only_drops_several() -> None:
    labels = rows([JOY], [JOY, ANGER], [NEUTRAL])
    scheme = get_scheme("simplified", "only")
    assert scheme.keeps(labels).tolist() == [True, False, True]
    assert scheme.targets(labels[scheme.keeps(labels)]).tolist() == [JOY, NEUTRAL]
    with pytest.raises(DataError, match=r"row 1 has several labels"):
        scheme.targets(labels)


@given(label_rows, st.sampled_from([r for r in DOMINANCE_RULES if r != "only"]))
def test_dominant_label_is_one_of_the_texts_own(labels: np.ndarray, rule: str) -> None:
    votes = np.ones(labels.shape, dtype=np.int64)
    targets = get_scheme("simplified", rule).targets(labels, train_labels=TRAIN, votes=votes)
    assert labels[np.arange(len(labels)), targets].all()
    emotional = labels[:, :NEUTRAL].any(axis=1)
    assert not (targets[emotional] == NEUTRAL).any()


@pytest.mark.parametrize("rule", ["votes", "frequent", "rare"])
def test_a_rule_without_its_counts_says_so(rule: str) -> None:
    with pytest.raises(DataError, match=rf"dominance rule '{rule}' needs"):
        get_scheme("simplified", rule).targets(rows([JOY]))


def test_malformed_labels() -> None:
    with pytest.raises(DataError, match="row 1 has no label"):
        get_scheme("raw").targets(rows([JOY], []))
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


def test_share_of_texts_with_several_labels(goemotions_dir: Path) -> None:
    test = load_split(goemotions_dir, "test")
    assert round(float((test.labels.sum(axis=1) > 1).mean()), 3) == 0.154

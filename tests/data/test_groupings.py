from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from goemo_eval.data import groupings
from goemo_eval.data.goemotions import EMOTIONS
from goemo_eval.data.groupings import grouping_of, published_fallback, scheme_names
from goemo_eval.data.schemes import get_scheme
from goemo_eval.errors import DataError

LABELS = ("billing", "bug", "login", "other")
GROUPS = {"desk": {"money": ["billing"], "product": ["bug", "login"]}}


def test_names() -> None:
    assert scheme_names() == ("raw", "simplified", "ekman", "sentiment")
    assert scheme_names(LABELS, groups=GROUPS) == ("raw", "simplified", "desk")
    with pytest.raises(DataError, match=r"unknown scheme 'row': known are ekman, raw"):
        grouping_of("row", EMOTIONS, groups={})


def test_classes() -> None:
    assert grouping_of("raw", LABELS, groups={}) == (
        "multilabel",
        {label: [label] for label in LABELS},
    )
    assert grouping_of("simplified", LABELS, groups={})[0] == "multiclass"
    assert grouping_of("desk", LABELS, groups=GROUPS) == ("multilabel", GROUPS["desk"])


def test_a_grouping_of_the_users_goes_before_a_published_one() -> None:
    own = {"ekman": {"good": ["joy"]}}
    assert grouping_of("ekman", EMOTIONS, groups=own) == ("multilabel", own["ekman"])
    assert len(grouping_of("ekman", EMOTIONS, groups={})[1]) == 7


def test_fallbacks_that_are_known() -> None:
    assert published_fallback(EMOTIONS) == "neutral"
    assert published_fallback(list(grouping_of("ekman", EMOTIONS, groups={})[1])) == "neutral"
    assert published_fallback(["joy", "neutral"]) is None


@pytest.mark.parametrize(
    ("name", "labels", "groups", "message"),
    [
        ("ekman", LABELS, {}, "groups GoEmotions' 28 labels, and these data have billing, bug"),
        ("desk", LABELS, {}, "unknown scheme 'desk': known are raw, simplified"),
        ("raw", LABELS, {"raw": {"a": ["bug"]}}, "'raw' is built in"),
        ("desk", LABELS, {"desk": {"a": ["bugs"]}}, "class 'a': 'bugs' is no label"),
        ("desk", LABELS, {"desk": {"a": "bug"}}, "must be a list of labels: got 'bug'"),
        ("desk", LABELS, {"desk": {"a": []}}, "must be a list of labels"),
        ("desk", LABELS, {"desk": {"a": [3]}}, "3 is no label"),
        ("desk", LABELS, {"desk": {"a": ["bug", "bug"]}}, "a label is there twice"),
        ("desk", LABELS, {"desk": {}}, "must map each class to its labels"),
        ("desk", LABELS, {"desk": ["bug"]}, "must map each class to its labels"),
        ("desk", LABELS, {"desk": {"a\n": ["bug"]}}, r"label 1 is 'a\\n'"),
        ("My-Desk", LABELS, {"My-Desk": {"a": ["bug"]}}, "small letters, digits and _"),
        ("simplified", ("one",), {}, "picks one class of several, and there is one"),
    ],
)
def test_what_is_refused(
    name: str, labels: tuple[str, ...], groups: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        grouping_of(name, labels, groups=groups)
    assert len(str(caught.value).splitlines()) == 1


TONES = {"kind": "multiclass", "groups": {"bad": ["bug", "login"], "rest": ["billing", "other"]}}
WRONG = {"kind": "softmax", "groups": {"bad": ["bug"]}}
HALF = {"kind": "multiclass", "groups": {"bad": ["bug"], "rest": ["billing", "other"]}}
TWICE = {"kind": "multiclass", "groups": {"bad": list(LABELS), "rest": ["billing"]}}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Schemes of this module, as an installed package would bring them."""
    names = ("TONES", "WRONG", "HALF", "TWICE", "GONE", "LABELS")
    points = {
        name.lower(): EntryPoint(name.lower(), f"{__name__}:{name}", groupings.ENTRY_POINTS)
        for name in names
    }
    monkeypatch.setattr(groupings, "_entry_points", lambda: points)
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())


def _this_module() -> ModuleType:
    module = ModuleType(__name__)
    module.__dict__.update(globals())
    return module


@pytest.mark.usefixtures("installed")
def test_schemes_of_other_packages() -> None:
    assert "tones" in scheme_names(LABELS)
    assert grouping_of("tones", LABELS, groups={}) == ("multiclass", TONES["groups"])
    scheme = get_scheme("tones", LABELS, fallback="other")
    assert (scheme.kind, scheme.labels, scheme.dominance) == (
        "multiclass",
        ("bad", "rest"),
        "frequent",
    )
    labels = np.array([[0, 1, 0, 0], [1, 0, 0, 1]], dtype=bool)  # bug; billing and other
    assert scheme.targets(labels, train_labels=labels).tolist() == [0, 1]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", "kind must be multilabel or multiclass: got 'softmax'"),
        ("half", "'half' has no class for login"),
        ("twice", "label 'billing' is in 'bad' and in 'rest'"),
        ("gone", "cannot be loaded"),
        ("labels", "must be a mapping with 'groups'"),
    ],
)
def test_other_packages_mistakes(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        grouping_of(name, LABELS, groups={})

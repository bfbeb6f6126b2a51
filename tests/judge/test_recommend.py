"""The choice against a brute-force reading of its definition."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goemo_eval.errors import RecordError
from goemo_eval.judge.recommend import Change, Limits, recommend
from goemo_eval.measure.latency import summarize_times
from goemo_eval.records.schema import Cell, Record
from goemo_eval.report.advice import advice, told

Make = Callable[..., Record]


def cell_record(
    make: Make,
    name: str,
    *,
    f1: float,
    ms: float | None,
    mb: float,
    rss: int | None = None,
    **fields: Any,
) -> Record:
    record = make(
        cell=Cell(encoder=name, scheme="raw", engine="torch", precision="fp32"),
        latency={"real": summarize_times([ms / 1e3] * 3, batch_size=32, threads=2)} if ms else {},
        size_bytes=int(mb * 1e6),
        peak_rss_bytes=rss,
        **fields,
    )
    assert record.scores
    test = record.scores.test.model_copy(update={"macro_f1": f1})
    return record.model_copy(update={"scores": record.scores.model_copy(update={"test": test})})


@pytest.fixture
def four(make_record: Make) -> list[Record]:
    return [
        cell_record(make_record, "best", f1=0.50, ms=100, mb=100),
        cell_record(make_record, "near", f1=0.495, ms=40, mb=60),
        cell_record(make_record, "small", f1=0.47, ms=50, mb=10),
        cell_record(make_record, "worse", f1=0.40, ms=60, mb=70),
    ]


def chosen(records: list[Record], **options: Any) -> str | None:
    loss = {"max_loss": options.pop("max_loss")} if "max_loss" in options else {}
    (found,) = recommend(records, limits=Limits(**options), **loss)
    return found.chosen and found.chosen.split("-")[0]


def test_the_cheapest_within_the_loss(four: list[Record]) -> None:
    assert chosen(four) == "near"
    assert chosen(four, max_loss=0.005) == "near"  # the loss itself is allowed
    assert chosen(four, max_loss=0.004) == "best"
    assert chosen(four, max_mb=20) == "small"
    assert chosen(four, max_p95_ms=45) == "near"
    assert chosen(four, min_macro_f1=0.5) == "best"
    assert chosen(four, max_p95_ms=30) is None


def test_the_front(four: list[Record]) -> None:
    (found,) = recommend(four)
    assert {o.cell.split("-")[0] for o in found.options if o.on_front} == {"best", "near", "small"}


def test_changes_say_what_flips_the_answer(four: list[Record]) -> None:
    (found,) = recommend(four, limits=Limits(max_mb=65))
    said = {(c.what, c.tighter): (c.at, c.cell and c.cell.split("-")[0]) for c in found.changes}
    assert said == {
        ("max_p95_ms", True): (pytest.approx(40), None),
        ("max_mb", True): (60, "small"),
        ("min_macro_f1", True): (0.495, None),
    }
    (found,) = recommend(four, max_loss=0.004)
    assert ("max_loss", False) in {(c.what, c.tighter) for c in found.changes}


def test_nothing_fits(four: list[Record]) -> None:
    (found,) = recommend(four, limits=Limits(max_mb=20, min_macro_f1=0.48))
    assert found.chosen is None
    said = {c.what: (c.at, c.cell and c.cell.split("-")[0]) for c in found.relaxations}
    assert said == {"max_mb": (60, "near"), "min_macro_f1": (0.47, "small")}
    (found,) = recommend(four, limits=Limits(max_mb=5, max_p95_ms=5))
    assert found.relaxations == ()
    assert "no single one" in " ".join(advice(found))


@pytest.fixture(scope="module")
def made(make_record: Make) -> Record:
    return make_record()


@given(
    cells=st.lists(
        st.tuples(*(st.integers(1, 6) for _ in range(3))), min_size=1, max_size=7, unique=True
    ),
    limits=st.tuples(*(st.none() | st.integers(0, 6) for _ in range(3))),
    loss=st.integers(0, 6),
)
@settings(deadline=None)
def test_against_brute_force(
    made: Record,
    cells: list[tuple[int, int, int]],
    limits: tuple[int | None, int | None, int | None],
    loss: int,
) -> None:
    def make(**fields: Any) -> Record:
        return made.model_copy(update=fields)

    records = [
        cell_record(make, f"c{i}", f1=f / 10, ms=ms, mb=mb) for i, (f, ms, mb) in enumerate(cells)
    ]
    most_ms, most_mb, least_f = limits
    asked = Limits(max_p95_ms=most_ms, max_mb=most_mb, min_macro_f1=least_f and least_f / 10)
    (found,) = recommend(records, limits=asked, max_loss=loss / 10)

    def pick(
        most_ms: float | None, most_mb: float | None, least_f: float | None, loss: float
    ) -> str | None:
        fit = [
            (ms, mb, f"c{i}-raw-torch-fp32", f)
            for i, (f, ms, mb) in enumerate(cells)
            if (most_ms is None or ms <= most_ms)
            and (most_mb is None or mb <= most_mb)
            and (least_f is None or f >= least_f - 1e-6)
        ]
        near = [c for c in fit if c[3] >= max(d[3] for d in fit) - loss - 1e-6]
        return min(near)[2] if near else None

    assert found.chosen == pick(most_ms, most_mb, least_f or None, loss)
    for option in found.options:
        i = int(option.cell[1 : option.cell.index("-")])
        f, ms, mb = cells[i]
        dominated = any(
            a >= f and b <= ms and c <= mb and (a, b, c) != (f, ms, mb) for a, b, c in cells
        )
        assert option.on_front != dominated
    # every change is true, and nothing nearer would have changed the answer
    for change in found.changes:
        at = change.at * (10 if change.what in ("max_loss", "min_macro_f1") else 1)
        step = 0.5 if change.what == "min_macro_f1" else -0.5
        value = at + step if change.tighter else at
        asked_again = {
            "max_p95_ms": (value, most_mb, least_f, loss),
            "max_mb": (most_ms, value, least_f, loss),
            "min_macro_f1": (most_ms, most_mb, value, loss),
            "max_loss": (most_ms, most_mb, least_f, value),
        }[change.what]
        assert pick(*asked_again) == change.cell  # type: ignore[arg-type]
        assert change.cell != found.chosen


def test_schemes_are_answered_apart(make_record: Make, four: list[Record]) -> None:
    found = recommend([*four, make_record()])
    assert [f.scheme for f in found] == ["raw", "simplified"]
    assert [f.scheme for f in recommend([*four, make_record()], scheme="raw")] == ["raw"]


def test_unscored_and_untimed_cells_are_not_judged(make_record: Make, four: list[Record]) -> None:
    unscored = make_record(scored=False, cell=four[0].cell.model_copy(update={"encoder": "albert"}))
    untimed = cell_record(make_record, "untimed", f1=0.9, ms=None, mb=1)
    (found,) = recommend([*four, unscored, untimed])
    assert found.not_judged == {
        "albert-raw-torch-fp32": "no pretrained weights",
        "untimed-raw-torch-fp32": "not timed",
    }
    assert found.best == "best-raw-torch-fp32"


@pytest.mark.parametrize("what", [{"threads": 4}, {"cpu_model": "b"}, {"versions": {"torch": "2"}}])
def test_latency_is_not_ranked_across_machines(
    make_record: Make, four: list[Record], what: dict[str, Any]
) -> None:
    other = four[1].environment.model_copy(update=what)
    records = [r if r is not four[1] else r.model_copy(update={"environment": other}) for r in four]
    (found,) = recommend(records, max_loss=0.04)
    assert found.ranked_by == "size_mb"
    assert found.chosen == "small-raw-torch-fp32"
    assert "max_p95_ms" not in {c.what for c in found.changes}
    with pytest.raises(RecordError, match="different machines"):
        recommend(records, limits=Limits(max_p95_ms=1))


def test_seeds_are_no_rivals(make_record: Make) -> None:
    def at(seed: int, f1: float, name: str = "minilm", precision: str = "fp32") -> Record:
        record = cell_record(make_record, name, f1=f1, ms=10, mb=10)
        return record.model_copy(
            update={"cell": record.cell.model_copy(update={"seed": seed, "precision": precision})}
        )

    seeds = [at(1, 0.44), at(2, 0.47), at(3, 0.46)]
    (found,) = recommend(seeds)
    assert [o.cell for o in found.options] == ["minilm-raw-torch-fp32-s1"]
    assert found.seeds
    assert found.seeds.seeds == (1, 2, 3)
    said = " ".join(advice(found))
    assert "Its seed is one of 3: over seeds 1, 2, 3 its test Macro-F1 is 0.457 on average" in said
    int8 = at(1, 0.45, precision="int8")
    (found,) = recommend([*seeds, int8], max_loss=0)
    assert found.chosen == int8.cell.id
    assert "one of the 3 seeds of minilm-raw-torch-fp32, whose" in " ".join(advice(found))
    (found,) = recommend([*seeds, at(1, 0.9, "albert")])
    assert found.seeds is None
    assert "seed" not in " ".join(advice(found))


def test_what_cannot_be_asked(make_record: Make, four: list[Record]) -> None:
    other = four[0].model_copy(update={"labels": ("x", "y", "z")})
    for records, options, message in (
        ([make_record(scored=False)], {}, "no cell was scored"),
        (four, {"scheme": "ekman"}, "--scheme ekman: no such scheme in the records: they have raw"),
        (four, {"max_loss": 1.5}, "--max-loss must lie in"),
        (four, {"limits": Limits(max_mb=-1)}, "--max-mb must lie in"),
        ([other, *four[1:]], {}, "different test splits or labels"),
    ):
        with pytest.raises(RecordError, match=message):
            recommend(records, **options)  # type: ignore[arg-type]


def test_rounded_values_in_sentences_stay_true() -> None:
    for what, tighter, at in itertools.product(
        ("max_mb", "min_macro_f1"), (True, False), np.linspace(0.1, 0.9, 37).tolist()
    ):
        text = told(Change(what=what, at=at, tighter=tighter, cell="x"))
        value = float(next(w.strip(":") for w in text.split() if w[0].isdigit()))
        upwards = tighter == (what == "min_macro_f1")
        assert value >= at - 1e-6 if upwards else value <= at + 1e-6

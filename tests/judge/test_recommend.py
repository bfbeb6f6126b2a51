"""The choice against a brute-force reading of its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.errors import RecordError
from goemo_eval.judge.recommend import recommend
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.scenarios import Latency, Throughput, percentiles
from goemo_eval.records.schema import Cell, Memory, Record

Make = Callable[..., Record]
QUIET = Load(load_start=0.1, load_end=0.2)
BUSY = Load(load_start=9.0, load_end=9.0, reason="other processes took 50% of the processors")


def times(ms: float, *, batch_size: int = 32, load: Load = QUIET) -> Latency:
    """Three equal times of one batch."""
    seconds = [ms / 1e3] * 3
    return Latency(
        batch_size=batch_size,
        threads=2,
        texts_sha256="c" * 64,
        batches=1,
        times_s=tuple(seconds),
        load=load,
        **percentiles(seconds),
    )


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
    memory = Memory(peak_rss_bytes=rss, start_s=1.0, texts=500) if rss else None
    base: dict[str, Any] = {
        "cell": Cell(encoder=name, scheme="raw", engine="torch", precision="fp32"),
        "latency": {"real": times(ms)} if ms else {},
        "size_bytes": int(mb * 1e6),
        "memory": memory,
    }
    record = make(**base | fields)
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
    (found,) = recommend(records, **options)
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
    (found,) = recommend(four, max_mb=65)
    said = {(c.what, c.tighter): (c.at, c.cell and c.cell.split("-")[0]) for c in found.changes}
    assert said == {
        ("max_p95_ms", True): (pytest.approx(40), None),
        ("max_mb", True): (60, "small"),
        ("min_macro_f1", True): (0.495, None),
    }
    (found,) = recommend(four, max_loss=0.004)
    assert ("max_loss", False) in {(c.what, c.tighter) for c in found.changes}


def test_nothing_fits(four: list[Record]) -> None:
    (found,) = recommend(four, max_mb=20, min_macro_f1=0.48)
    assert found.chosen is None
    said = {c.what: (c.at, c.cell and c.cell.split("-")[0]) for c in found.relaxations}
    assert said == {"max_mb": (60, "near"), "min_macro_f1": (0.47, "small")}
    (found,) = recommend(four, max_mb=5, max_p95_ms=5)
    assert found.relaxations == ()


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
    (found,) = recommend(
        records,
        max_p95_ms=most_ms,
        max_mb=most_mb,
        min_macro_f1=least_f and least_f / 10,
        max_loss=loss / 10,
    )

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
def test_times_are_not_ranked_across_machines(
    make_record: Make, four: list[Record], what: dict[str, Any]
) -> None:
    other = four[1].environment.model_copy(update=what)
    records = [r if r is not four[1] else r.model_copy(update={"environment": other}) for r in four]
    (found,) = recommend(records, max_loss=0.04)
    assert found.ranked_by == "size_mb"
    assert found.times_unused_because
    assert "differ" in found.times_unused_because
    assert found.chosen == "small-raw-torch-fp32"
    assert {o.p95_ms for o in found.options} == {None}
    assert "max_p95_ms" not in {c.what for c in found.changes}
    with pytest.raises(RecordError, match=r"--max-p95-ms cannot be judged: .*differ"):
        recommend(records, max_p95_ms=1)


def test_unstable_times_support_no_ranking(make_record: Make, four: list[Record]) -> None:
    busy = cell_record(
        make_record, "near", f1=0.495, ms=40, mb=60, latency={"real": times(40, load=BUSY)}
    )
    records = [four[0], busy, *four[2:]]
    (found,) = recommend(records, max_loss=0.04)
    assert (found.ranked_by, found.chosen) == ("size_mb", "small-raw-torch-fp32")
    assert found.times_unused_because == (
        f"real: times are unstable (near-raw-torch-fp32: {BUSY.reason})"
    )
    with pytest.raises(RecordError, match=r"times are unstable .*pass records of one quiet run"):
        recommend(records, max_p95_ms=1)
    # a slow moment of another scenario takes nothing from this one
    both = [
        r.model_copy(update={"latency": r.latency | {"single": times(5, load=BUSY)}}) for r in four
    ]
    assert recommend(both)[0].ranked_by == "p95_ms"


def test_no_times_at_all(four: list[Record]) -> None:
    records = [r.model_copy(update={"latency": {}}) for r in four]
    (found,) = recommend(records)
    assert (found.ranked_by, found.times_unused_because) == (
        "size_mb",
        "no cell was timed under real",
    )
    assert not found.not_judged


def test_scenarios_are_answered_apart(make_record: Make) -> None:
    def cell(name: str, *, batch: float, single: float, per_s: float) -> Record:
        latency = {"real": times(batch), "single": times(single, batch_size=1)}
        offline = Throughput(texts=500, threads=2, passes_s=(500 / per_s,) * 2, load=QUIET)
        return cell_record(
            make_record, name, f1=0.5, ms=batch, mb=10, latency=latency, offline=offline
        )

    records = [
        cell("a", batch=10, single=9, per_s=100),
        cell("b", batch=20, single=3, per_s=200),
        cell("c", batch=30, single=5, per_s=400),
    ]
    chosen = {}
    for way in ("batch", "single", "offline"):
        (found,) = recommend(records, scenario=way)
        assert found.chosen
        chosen[way] = (found.chosen[0], found.ranked_by)
        assert found.scenario == way
    assert chosen == {
        "batch": ("a", "p95_ms"),
        "single": ("b", "p95_ms"),
        "offline": ("c", "ms_per_text"),
    }
    assert recommend(records, scenario="single", max_p95_ms=4)[0].chosen == "b-raw-torch-fp32"
    (offline,) = recommend(records, scenario="offline")
    assert [o.ms_per_text for o in offline.options] == pytest.approx([2.5, 5, 10])
    assert {o.p95_ms for o in offline.options} == {None}
    with pytest.raises(RecordError, match="--max-p95-ms: texts that come all at once have no p95"):
        recommend(records, scenario="offline", max_p95_ms=4)
    with pytest.raises(
        RecordError, match="--scenario must be one of batch, single, offline: got 'x'"
    ):
        recommend(records, scenario="x")


def test_memory_counts_on_the_front_where_all_tell_theirs(make_record: Make) -> None:
    lean = cell_record(make_record, "lean", f1=0.5, ms=20, mb=20, rss=100_000_000)
    fast = cell_record(make_record, "fast", f1=0.5, ms=10, mb=10, rss=900_000_000)
    (found,) = recommend([lean, fast])
    assert {o.cell for o in found.options if o.on_front} == {lean.cell.id, fast.cell.id}
    assert found.option(lean.cell.id).peak_rss_mb == 100
    assert found.option(lean.cell.id).start_s == 1.0
    (found,) = recommend([lean, fast.model_copy(update={"memory": None})])
    assert {o.cell for o in found.options if o.on_front} == {fast.cell.id}


def at(
    make: Make,
    seed: int,
    f1: float,
    *,
    precision: str = "fp32",
    name: str = "minilm",
    ms: float = 10,
) -> Record:
    record = cell_record(make, name, f1=f1, ms=ms, mb=10)
    cell = record.cell.model_copy(update={"seed": seed, "precision": precision})
    return record.model_copy(update={"cell": cell})


def test_a_cell_is_judged_by_its_mean_over_seeds(make_record: Make) -> None:
    seeds = [at(make_record, s, f1) for s, f1 in ((1, 0.44), (2, 0.47), (3, 0.46))]
    (found,) = recommend(seeds)
    (option,) = found.options
    assert option.cell == "minilm-raw-torch-fp32-s1"  # the shown seed is what is timed
    assert option.macro_f1 == pytest.approx((0.44 + 0.47 + 0.46) / 3)
    assert (option.own_macro_f1, option.seeds, option.seeds_of) == (0.44, (1, 2, 3), None)
    assert found.seeds
    assert found.seeds.seeds == (1, 2, 3)
    # another encoder's single seed is weighed against the mean, not against the shown seed
    rival = at(make_record, 1, 0.45, name="albert", ms=20)
    (found,) = recommend([*seeds, rival], max_loss=0)
    assert found.best == "minilm-raw-torch-fp32-s1"


def test_one_seed_of_int8_is_held_against_the_same_seed(make_record: Make) -> None:
    """At its lucky seed alone INT8 would look better than the mean of FP32."""
    seeds = [at(make_record, s, f1) for s, f1 in ((1, 0.48), (2, 0.44), (3, 0.43))]
    int8 = at(make_record, 1, 0.475, precision="int8", ms=20)
    (found,) = recommend([*seeds, int8], max_loss=0)
    assert found.best == "minilm-raw-torch-fp32-s1"
    option = found.option(int8.cell.id)
    assert option.macro_f1 == pytest.approx(0.45 - 0.005)
    assert (option.own_macro_f1, option.seeds) == (0.475, (1, 2, 3))
    assert option.seeds_of == "minilm-raw-torch-fp32-s1"
    (found,) = recommend([*seeds, int8], max_loss=0.005, min_macro_f1=0.445)
    assert found.chosen == "minilm-raw-torch-fp32-s1"
    fast = at(make_record, 1, 0.475, precision="int8", ms=5)
    (found,) = recommend([*seeds, fast], max_loss=0.005)
    assert found.chosen == int8.cell.id
    assert found.seeds
    assert found.seeds.cell.precision == "fp32"
    # without a seed in common there is nothing to estimate by
    apart = at(make_record, 9, 0.475, precision="int8")
    (found,) = recommend([*seeds, apart])
    assert found.option(apart.cell.id).macro_f1 == 0.475


def test_one_seed_each_has_no_mean(make_record: Make) -> None:
    (found,) = recommend([at(make_record, 2, 0.44), at(make_record, 2, 0.43, precision="int8")])
    assert found.seeds is None
    assert {(o.seeds, o.seeds_of) for o in found.options} == {((2,), None)}


def test_what_cannot_be_asked(make_record: Make, four: list[Record]) -> None:
    other = four[0].model_copy(update={"labels": ("x", "y", "z")})
    for records, options, message in (
        ([make_record(scored=False)], {}, "no cell was scored"),
        ([], {}, "no cell was scored"),
        (four, {"scheme": "ekman"}, "--scheme ekman: no such scheme in the records: they have raw"),
        (four, {"scheme": "\x1b"}, r"--scheme \\x1b: no such"),
        (four, {"max_loss": 1.5}, r"--max-loss must lie in \[0, 1\]: got 1.5"),
        (four, {"max_loss": float("nan")}, r"--max-loss must lie in \[0, 1\]: got nan"),
        (
            four,
            {"max_p95_ms": float("nan")},
            "--max-p95-ms must be a number of at least 0: got nan",
        ),
        (
            four,
            {"max_p95_ms": float("inf")},
            "--max-p95-ms must be a number of at least 0: got inf",
        ),
        (four, {"max_p95_ms": "5"}, "--max-p95-ms must be a number of at least 0: got '5'"),
        (four, {"max_mb": -1}, "--max-mb must be a number of at least 0: got -1"),
        (four, {"max_mb": True}, "--max-mb must be a number of at least 0: got True"),
        (four, {"min_macro_f1": 2}, r"--min-macro-f1 must lie in \[0, 1\]: got 2"),
        ([other, *four[1:]], {}, "scheme raw: cells cannot be compared: label order differs"),
        ([four[0], four[0]], {}, "two records of cell best-raw-torch-fp32"),
    ):
        with pytest.raises(RecordError, match=message):
            recommend(records, **options)  # type: ignore[arg-type]

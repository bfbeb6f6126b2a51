"""The choice of what is worth measuring: rules on made-up probes, and what holds for any probe."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_eval.errors import EngineError
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.probe import Probe, Probed
from goemo_eval.measure.shortlist import MARGIN, UNSTABLE_MARGIN, Shortlist, choose

Times = Mapping[tuple[str, str], tuple[float, float]]

VNNI: Times = {
    ("torch", "fp32"): (16.6, 5.9),
    ("torch", "int8"): (7.5, 4.4),
    ("onnxruntime", "fp32"): (18.0, 4.8),
    ("onnxruntime", "int8"): (8.9, 3.1),
    ("openvino", "fp32"): (11.8, 5.0),
    ("openvino", "int8"): (4.2, 3.9),
}
AVX2: Times = {
    ("torch", "fp32"): (28.7, 20.0),
    ("torch", "int8"): (19.3, 18.0),
    ("onnxruntime", "fp32"): (23.9, 7.0),
    ("onnxruntime", "int8"): (14.5, 5.0),
    ("openvino", "fp32"): (20.7, 9.0),
    ("openvino", "int8"): (22.6, 9.5),
}


def probe(
    times: Times,
    *,
    reason: str = "",
    refused: Mapping[str, str] | None = None,
    isa_flags: tuple[str, ...] = ("avx2", "avx512_vnni"),
    isa_limit: str | None = None,
) -> Probe:
    return Probe(
        cpu_model="a cpu",
        isa_flags=isa_flags,
        isa_limit=isa_limit,
        threads=2,
        cells=tuple(
            Probed(engine=engine, precision=precision, batch_s=(batch,) * 3, single_s=(single,) * 3)
            for (engine, precision), (batch, single) in times.items()
        ),
        refused=dict(refused or {}),
        load=Load(load_start=0.1, load_end=0.1, reason=reason),
    )


def names(found: Shortlist) -> list[str]:
    return [each.name for each in found.chosen]


def test_with_dot_products_each_shape_has_its_engine_and_one_fp32_stands_beside_them() -> None:
    found = choose(probe(VNNI))
    assert {each.name: each.because for each in found.chosen} == {
        "openvino INT8": "quickest over batches",
        "onnxruntime INT8": "quickest for one text",
        "openvino FP32": "the FP32 that openvino INT8 is held against",
    }
    assert {each.name: each.because for each in found.left_out} == {
        "torch INT8": "1.8 times as long as openvino INT8 over batches and 1.4 times as long as "
        "onnxruntime INT8 for one text",
        "torch FP32": "4.0 times as long as openvino INT8 over batches and 1.9 times as long as "
        "onnxruntime INT8 for one text",
        "onnxruntime FP32": "4.3 times as long as openvino INT8 over batches and 1.5 times as long as "
        "onnxruntime INT8 for one text",
    }
    assert found.dot_products == ("avx512_vnni",)
    assert found.asked == "auto"


def test_without_them_one_engine_leads_in_both() -> None:
    found = choose(probe(AVX2, isa_flags=("avx2",)))
    assert names(found) == ["onnxruntime INT8", "onnxruntime FP32"]
    assert found.chosen[0].because == "quickest over batches, quickest for one text"
    assert found.left_out[0].because == (
        "1.3 times as long as onnxruntime INT8 over batches and 3.6 times as long for one text"
    )
    assert found.dot_products == ()


def test_a_limit_forbids_the_dot_products_that_the_cpu_has() -> None:
    found = choose(probe(AVX2, isa_limit="avx2"))
    assert found.dot_products == ()
    assert "onnxruntime has no switch that would limit it to avx2" in found.told
    others = {pair: times for pair, times in AVX2.items() if pair[0] != "onnxruntime"}
    assert choose(probe(others, isa_limit="avx2")).doubts == ()


def test_where_int8_gains_nothing_the_quickest_is_kept_since_it_is_the_smallest() -> None:
    found = choose(probe({("openvino", p): AVX2["openvino", p] for p in ("fp32", "int8")}))
    assert names(found) == ["openvino FP32", "openvino INT8"]
    slower = {("openvino", "fp32"): (1.0, 1.0), ("openvino", "int8"): (3.0, 3.0)}
    found = choose(probe(slower))
    assert found.chosen[1].because == "the quickest INT8 over batches, and the smallest on disk"


def test_bf16_is_held_against_its_own_engines_fp32_as_int8_is() -> None:
    times = {("torch", "bf16"): (2.0, 2.0), ("torch", "fp32"): (9.0, 9.0), **VNNI}
    found = choose(probe({**times, ("torch", "fp32"): (16.6, 5.9)}))
    assert "torch FP32" in names(found)
    assert found.chosen[0].name == "torch BF16"
    assert "openvino INT8" in names(found)  # the quickest INT8: the smallest


def test_what_comes_near_is_kept_and_on_a_busy_machine_what_comes_less_near() -> None:
    times = {**VNNI, ("torch", "int8"): (4.2 * (1 + MARGIN) - 0.01, 9.0)}
    near = next(each for each in choose(probe(times)).chosen if each.name == "torch INT8")
    assert near.because == "within 15% of openvino INT8 over batches"
    times = {**VNNI, ("torch", "int8"): (4.2 * (1 + UNSTABLE_MARGIN) - 0.01, 9.0)}
    assert "torch INT8" not in names(choose(probe(times)))
    busy = choose(probe(times, reason="other processes took 60% of the processors"))
    assert "torch INT8" in names(busy)
    assert busy.margin == UNSTABLE_MARGIN
    assert "60% of the processors" in busy.told
    assert "delete probes/ in the store" in busy.doubts[0]
    assert choose(probe(times)).doubts == ()


def test_what_could_not_run_is_told_and_of_nothing_nothing_is_chosen() -> None:
    refused = {"openvino": "engine openvino needs openvino: pip install it"}
    found = choose(probe({("torch", "fp32"): (1.0, 1.0)}, refused=refused))
    assert found.refused == refused
    assert names(found) == ["torch FP32"]
    with pytest.raises(EngineError, match="no engine could be timed here: engine openvino needs"):
        choose(probe({}, refused=refused))


seconds = st.floats(1e-4, 10.0)
cells = st.tuples(
    st.sampled_from(["torch", "onnxruntime", "openvino", "own"]),
    st.sampled_from(["fp32", "int8", "bf16"]),
)
probes = st.dictionaries(cells, st.tuples(seconds, seconds), min_size=1)


@given(probes)
def test_every_cell_is_chosen_or_left_out_with_a_reason(times: Times) -> None:
    found = choose(probe(times))
    both = [(each.engine, each.precision) for each in (*found.chosen, *found.left_out)]
    assert sorted(both) == sorted(times)
    assert all(each.because for each in (*found.chosen, *found.left_out))


@given(probes)
def test_nothing_that_is_left_out_comes_near_the_quickest(times: Times) -> None:
    found = choose(probe(times))
    for shape in (0, 1):
        best = min(each[shape] for each in times.values())
        for each in found.left_out:
            assert times[each.engine, each.precision][shape] > best * (1 + MARGIN) * (1 - 1e-9)


@given(probes)
def test_int8_and_fp32_are_kept_if_there_are_any_and_of_one_engine_where_they_can(
    times: Times,
) -> None:
    chosen = set(choose(probe(times)).pairs)
    for precision in ("int8", "fp32"):
        probed = any(each == precision for _, each in times)
        assert probed == any(each == precision for _, each in chosen)
    twins = {(engine, "fp32") for engine, precision in chosen if precision != "fp32"}
    assert twins & chosen or not twins & times.keys()


@given(probes, st.floats(0.1, 10.0))
def test_a_machine_that_is_as_many_times_slower_in_all_chooses_the_same(
    times: Times, factor: float
) -> None:
    near = {MARGIN, 0.0}  # of these, rounding decides
    ratios = {
        one[i] / other[i] - 1 for one in times.values() for other in times.values() for i in (0, 1)
    }
    if any(abs(ratio - edge) < 1e-6 and ratio != 0 for ratio in ratios for edge in near):
        return
    scaled = {pair: (a * factor, b * factor) for pair, (a, b) in times.items()}
    assert set(choose(probe(scaled)).pairs) == set(choose(probe(times)).pairs)


@given(probes)
def test_an_unstable_probe_keeps_no_less(times: Times) -> None:
    stable, unstable = choose(probe(times)), choose(probe(times, reason="busy"))
    assert set(stable.pairs) <= set(unstable.pairs)


@given(probes)
def test_the_order_in_which_cells_were_probed_decides_nothing(times: Times) -> None:
    backwards = dict(reversed(list(times.items())))
    assert choose(probe(backwards)) == choose(probe(times))

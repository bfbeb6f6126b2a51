"""The study's claims, on its own tables and on records."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from goemo_eval.measure.machine_load import Load
from goemo_eval.records.schema import Cell, Record
from goemo_eval.records.view import View
from goemo_eval.report.markdown import to_markdown
from goemo_eval.report.study.claims import MEASURES, Claim, claims_blocks, judge, load_claims
from goemo_eval.report.study.published import load_study
from goemo_eval.report.study.rows import Int8, Row, record_rows, study_rows


def on_the_study(claim_id: str) -> tuple[bool | None, str]:
    (claim,) = (c for c in load_claims() if c.id == claim_id)
    return judge(claim, study_rows(load_study()))


def test_every_claim_names_a_measure_and_says_whose_words_it_is() -> None:
    claims = load_claims()
    assert {c.measure for c in claims} == MEASURES.keys()
    assert all((c.quote is None) != (c.check is None) for c in claims)
    assert len({c.id for c in claims}) == len(claims)


def test_int8_is_not_two_to_three_times_as_fast_in_the_study_s_own_table() -> None:
    holds, numbers = on_the_study("INT8's speed")
    assert holds is False
    assert numbers == "0 of 8: 1.025 (mobilebert raw) to 1.366 (albert raw)"


def test_raw_validation_equals_raw_test_in_every_row() -> None:
    holds, numbers = on_the_study("two splits, two scores")
    assert holds is False
    assert numbers.startswith("0 of 4: 0.000")


# Worked out by hand from the study's tables.
@pytest.mark.parametrize(
    ("claim", "holds", "number"),
    [
        ("simplified beats raw", True, "4 of 4"),
        ("by how much", True, "+0.163 (distilbert) to +0.283 (albert)"),
        ("best on validation", True, "mobilebert simplified 0.464"),
        ("best on test", True, "mobilebert simplified 0.474"),
        ("MobileBERT's latency", True, "mobilebert 212.5"),
        ("MiniLM is fastest", True, "minilm 71.0"),
        ("MiniLM is less accurate", True, "minilm 0.155"),
        ("ALBERT is accurate", False, "raw: distilbert 0.288, mobilebert 0.282, albert 0.180"),
        ("ALBERT is slower", True, "albert 919.1"),
        ("INT8's size", None, "no size in bytes is given"),
        ("INT8's price", False, "0 of 8: -0.002 (distilbert raw) to +0.441"),
        ("misses", None, "no scores per label are given"),
        ("rank swaps", True, "1 (simplified)"),
        ("one number in two tables", False, "7 of 8: 0.000 (albert raw) to 0.004"),
        ("latency without labels", False, "0.85 (minilm) to 1.35 (albert)"),
        ("seconds without labels", False, "0 of 4: 3.62 (minilm) to 6.14 (albert)"),
        ("batches make a split", False, "0 of 8: 3.03 (distilbert simplified) to 14.37"),
    ],
)
def test_on_its_own_tables(claim: str, holds: bool | None, number: str) -> None:
    found, numbers = on_the_study(claim)
    assert found is holds, numbers
    assert number in numbers


def test_rules() -> None:
    rows = [Row("a", "raw", test=0.1), Row("b", "raw", test=0.2), Row("c", "raw", test=0.3)]

    def holds(rule: str, **fields: object) -> bool | None:
        claim = {"id": "x", "check": "y", "measure": "test_by_scheme", "rule": rule} | fields
        return judge(Claim.model_validate(claim), rows).holds

    assert holds("every", low=0.1, high=0.3)
    assert holds("every", low=0.11) is False
    assert holds("every", low=0.11, tolerance=0.01)
    assert holds("some", low=0.3)
    assert holds("some", low=0.31) is False
    assert holds("median", low=0.2, high=0.2)
    assert holds("highest", who="c")
    assert holds("highest", who="b") is False
    assert holds("lowest", who="a")
    assert holds("middle", who="b")
    assert holds("middle", who="a") is False
    assert holds("upper half", who="b")
    assert holds("upper half", who="a") is False
    assert holds("highest", who="nobody") is None


def test_measures_of_int8() -> None:
    int8 = (Int8("a openvino raw", 2.5, None, 4.0), Int8("a raw", None, 0.01, None))
    rows = [Row("a", "raw", int8=int8)]
    found = {
        m: list(MEASURES[m].of(rows)) for m in ("int8_speedup", "int8_drop", "int8_size_ratio")
    }
    assert [(m, v.who, v.value) for m, (v,) in found.items()] == [
        ("int8_speedup", "a openvino raw", 2.5),
        ("int8_drop", "a raw", 0.01),
        ("int8_size_ratio", "a openvino raw", 4.0),
    ]


def stated(records: list[Record]) -> dict[str, list[str]]:
    """Verdict in its own tables, verdict in this run, and its numbers, by statement."""
    text = to_markdown(claims_blocks(View(records), load_study())).replace("\\", "")
    lines = text.split("Every statement in this run", 1)[1].splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells if len(row) == 4}


def test_a_ranking_needs_everyone(make_record: Callable[..., Record]) -> None:
    said = stated([make_record(), make_record("int8")])
    fastest = next(v for k, v in said.items() if k.startswith("“MiniLM is fastest”"))
    assert fastest == [
        "holds",
        "— cannot be judged",
        "no number of albert, distilbert, mobilebert",
    ]
    speed = next(v for k, v in said.items() if "of the latency" in k)
    assert speed == ["**does not hold**", "holds", "2.000 (minilm torch simplified)"]


def test_cells_that_the_study_does_not_know_are_left_out(
    make_record: Callable[..., Record],
) -> None:
    cell = Cell(encoder="mine", scheme="simplified", engine="torch", precision="fp32")
    blocks = claims_blocks(View([make_record(cell=cell)]), load_study())
    assert "mine" not in to_markdown(blocks)


def test_unstable_times_judge_no_claim(
    full: list[Record], busy: Load, timed_beside: Callable[..., Record]
) -> None:
    quiet = record_rows(View(full))
    assert all(row.latency_ms and row.seconds for row in quiet)
    loaded = [timed_beside(r, busy) for r in full]
    for row in record_rows(View(loaded)):
        assert row.latency_ms is row.seconds is row.seconds_over_batches is None
        assert all(int8.speedup is None for int8 in row.int8)
        assert row.test is not None


def test_claims_see_one_value_per_encoder_and_scheme(seeded: list[Record]) -> None:
    found = record_rows(View(seeded))
    assert [(row.encoder, row.scheme) for row in found] == [
        ("minilm", "raw"),
        ("minilm", "simplified"),
    ]
    for row in found:
        f1s = [
            r.scores.test.macro_f1
            for r in seeded
            if r.scores
            and (r.cell.scheme, r.cell.engine, r.cell.precision) == (row.scheme, "torch", "fp32")
        ]
        assert row.test == pytest.approx(sum(f1s) / 3)
        assert len(row.int8) == 2  # one per engine, of one seed

"""The first screen: what is deployed, what it loses and gains, and why to believe it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.statistics import paired_bootstrap
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Memory, Record
from goemo_eval.report.document import Answer, Answers
from goemo_eval.report.findings import find
from goemo_eval.report.sections.answers import answers

Make = Callable[..., Record]
TERMS = [
    "Scores",
    "Loses to the best",
    "Gains over the floor",
    "How fast",
    "How large",
    "Believe it because",
    "Would change it",
]


def boxes(records: list[Record]) -> dict[str, Answer]:
    (block,) = (b for b in answers(find(records)) if isinstance(b, Answers))
    return {box.scheme: box for box in block.boxes}


def box(records: list[Record]) -> tuple[str, dict[str, str]]:
    (one,) = boxes(records).values()
    return one.headline, dict(one.facts)


def test_a_box_per_scheme_with_every_term(full: list[Record]) -> None:
    found = boxes(full)
    assert [*found] == ["raw", "simplified"]
    for scheme, one in found.items():
        assert one.headline.startswith(f"deploy **minilm-{scheme}-")
        assert [term for term, _ in one.facts] == TERMS
        assert all(said for _, said in one.facts)


def test_the_floor_that_is_not_beaten_beyond_chance_is_deployed(erring: Make) -> None:
    floor, encoder = erring("tfidf", wrong=0.22, draw=1), erring("minilm", wrong=0.20, draw=2)
    gain = paired(floor, encoder)
    assert gain.point > 0.011  # more than recommend lets a cheaper cell lose
    assert gain.low < 0
    headline, facts = box([floor, encoder])
    assert headline == (
        "deploy **tfidf-simplified-linear-fp32**; minilm-simplified-torch-fp32 is not worth its cost"
    )
    assert "not beyond chance" in facts["Gains over the floor"]
    assert f"gains {gain.point:+.3f}" in facts["Gains over the floor"]


def test_a_gain_beyond_chance_is_stated_with_its_interval(erring: Make) -> None:
    floor, encoder = erring("tfidf", wrong=0.35, draw=1), erring("minilm", wrong=0.10, draw=2)
    headline, facts = box([floor, encoder])
    assert headline == "deploy **minilm-simplified-torch-fp32**"
    gain = facts["Gains over the floor"]
    assert gain.startswith(f"{paired(floor, encoder).point:+.3f} (+")
    assert gain.endswith(" over tfidf-simplified-linear-fp32")


def test_a_floor_that_is_within_reach_of_the_best_is_the_answer(erring: Make) -> None:
    quick = {"latency": {}, "size_bytes": 5}
    floor = erring("tfidf", wrong=0.20, draw=1, **quick)
    headline, facts = box([floor, erring("minilm", wrong=0.20, draw=1, latency={})])
    assert headline == "deploy **tfidf-simplified-linear-fp32**"
    assert facts["Gains over the floor"].startswith("it is the floor")


def test_without_a_floor_nothing_is_known_of_it(erring: Make) -> None:
    _, facts = box([erring("minilm", wrong=0.2, draw=1)])
    assert facts["Gains over the floor"] == "unknown: no cell of tfidf was scored"
    assert facts["Loses to the best"] == "nothing: no cell scores higher"


def test_it_says_why_to_believe_it(
    full: list[Record], busy: Load, timed_beside: Callable[..., Record]
) -> None:
    facts = dict(boxes(full)["raw"].facts)
    assert facts["Believe it because"].startswith("400 test texts that nothing was fitted on; one ")
    assert "120 stable times; a cpu, 2 threads" in facts["Believe it because"]
    loaded = [timed_beside(r, busy) for r in full]
    facts = dict(boxes(loaded)["raw"].facts)
    assert "120 unstable times" in facts["Believe it because"]
    assert "†" in facts["How fast"]
    assert facts["Would change it"].startswith(
        "times that may be compared: cheapest means smallest"
    )


def test_memory_and_start_are_of_the_cell_itself(make_record: Make) -> None:
    memory = Memory(peak_rss_bytes=181_000_000, start_s=0.94, texts=500)
    _, facts = box([make_record(memory=memory, size_bytes=23_600_000)])
    assert (
        facts["How large"] == "23.6 MB on disk, 181 MB of memory at most, first answer after 0.9 s"
    )


def test_seeds_are_told_with_their_mean(seeded: list[Record]) -> None:
    said = {scheme: dict(one.facts)["Scores"] for scheme, one in boxes(seeded).items()}
    assert all("on average over 3 seeds" in text for text in said.values())


def test_what_would_change_the_answer_names_other_cells_only(full: list[Record]) -> None:
    for one in boxes(full).values():
        said = dict(one.facts)["Would change it"]
        assert "no cell" not in said
        assert "`--max-" in said


def test_a_refusal_is_told_in_one_line(make_record: Make) -> None:
    found = find([make_record(scored=False)])
    assert found.refusal
    said = answers(found)
    assert not any(isinstance(block, Answers) for block in said)
    assert str(said[0]).startswith("No recommendation: no cell was scored")


def paired(baseline: Record, candidate: Record):  # type: ignore[no-untyped-def]
    assert baseline.decisions
    assert candidate.decisions
    truth, before = unpack_decisions(baseline.decisions)
    return paired_bootstrap(truth, before, unpack_decisions(candidate.decisions)[1])


@pytest.mark.parametrize("reason", ["x" * 500, "<b>bold</b>"])
def test_reasons_are_short_and_harmless(make_record: Make, reason: str) -> None:
    record = make_record(scored=False, unscored_reason=reason)
    text = "\n".join(b for b in answers(find([record])) if isinstance(b, str))
    assert len(text) < 500
    assert "<b>" not in text

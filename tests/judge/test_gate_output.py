from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from markdown_it import MarkdownIt

from goemo_eval.judge.gate import gate
from goemo_eval.judge.gate_output import (
    as_annotations,
    as_latencies,
    as_markdown,
    as_scores,
    as_text,
)
from goemo_eval.judge.verdict import Verdict
from goemo_eval.measure.machine_load import Load
from goemo_eval.records.schema import Record

Make = Callable[..., Record]


@pytest.fixture
def verdict(make_record: Make) -> Verdict:
    """A pass at fp32, a regression at int8, and a cell without a baseline."""
    seed = make_record().cell.model_copy(update={"seed": 1})
    new = make_record().model_copy(update={"cell": seed})
    return gate(
        [make_record(), make_record("int8")],
        [make_record(), make_record("int8", wrong=0.5), new],
        max_label_drop=0.05,
        n_resamples=200,
    )


def test_text(verdict: Verdict) -> None:
    lines = as_text(verdict).splitlines()
    assert "detectable" in lines[0]
    assert lines[2].endswith("PASS")
    assert lines[3].endswith("REGRESSION")
    assert "minilm-simplified-torch-fp32-s1: no baseline, not judged" in lines
    assert lines[-1] == (
        "regression: 1 pass, 1 regression; budget 0.01 Macro-F1, alpha 0.05 for 2 comparisons together, "
        "superiority"
    )


def test_markdown(verdict: Verdict) -> None:
    html = MarkdownIt("commonmark").enable("table").render(as_markdown(verdict))
    assert html.startswith("<h2>Macro-F1 gate: ❌ regression</h2>")
    assert html.count("<tr>") == 3
    assert html.count("<li>") == 3
    assert "95% confidence each; <em>at least</em> for 2 comparisons together" in html


def test_annotations(verdict: Verdict) -> None:
    (line,) = as_annotations(verdict).splitlines()
    assert line.startswith("::error title=minilm-simplified-torch-int8%3A regression::the drop is")
    assert "(95%25 sure for 2 comparisons together)" in line
    (cell, _) = verdict.cells
    assert as_annotations(verdict.model_copy(update={"cells": (cell,)})) == ""
    odd = cell.model_copy(update={"status": "inconclusive", "reason": "a\nb"})
    assert as_annotations(verdict.model_copy(update={"cells": (odd,)})) == (
        "::warning title=minilm-simplified-torch-fp32%3A inconclusive::a%0Ab\n"
    )


def test_benchmark_action(verdict: Verdict, make_record: Make) -> None:
    scores = json.loads(as_scores(verdict))
    assert [s["name"] for s in scores] == [f"{c.cell} test Macro-F1" for c in verdict.cells]
    assert scores[1]["value"] == verdict.cells[1].candidate
    assert {"name", "unit", "value", "extra"} == set(scores[0])
    (latency,) = json.loads(as_latencies([make_record()]))
    assert latency["name"] == "minilm-simplified-torch-fp32 real"
    assert (latency["unit"], latency["value"]) == ("ms per batch", pytest.approx(200.0))
    assert latency["range"] == "80.000"


def test_times_of_a_busy_machine_say_so(make_record: Make, make_latency: Make) -> None:
    busy = Load(load_start=None, load_end=None, reason="others took 40%")
    record = make_record(latency={"real": make_latency([0.1, 0.2], load=busy)})
    (latency,) = json.loads(as_latencies([record]))
    assert latency["extra"].endswith("a cpu; unstable: others took 40%")


@pytest.fixture
def drifted(make_record: Make) -> Verdict:
    """Little lost since the baseline, much since the anchor."""
    return gate(
        [make_record(wrong=0.48)],
        [make_record(wrong=0.5)],
        anchor=[make_record(wrong=0.2)],
        max_drop=0.05,
        max_drift=0.1,
        n_resamples=200,
    )


def test_the_anchor_has_a_table_of_its_own(drifted: Verdict) -> None:
    text = as_text(drifted)
    assert "\nAgainst the anchor, with a budget of 0.1:\n" in text
    assert (
        "minilm-simplified-torch-fp32 against the anchor: regression: the drop is at least" in text
    )
    assert "regression: 1 pass, 1 regression; budget 0.05" in text
    html = MarkdownIt("commonmark").enable("table").render(as_markdown(drifted))
    assert html.count("<table>") == 2
    (line,) = as_annotations(drifted).splitlines()
    assert "title=minilm-simplified-torch-fp32 against the anchor%3A regression" in line
    assert len(json.loads(as_scores(drifted))) == 1  # one candidate, one value


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"judged": 0}, "no run of the gate was counted on this test split before"),
        (
            {"judged": 37},
            "at alpha 0.05 a run, up to 1.9 false alarms were to be expected by now (chance of any: up to 100%)",
        ),
        (
            {"judged": 3, "alpha_per_cell": True},
            "a run and cell, up to 0.2 false alarms a cell were to be expected by now (chance of any: up to 20%)",
        ),
        ({"judged": 3, "horizon": 200}, "run 4 of the 200 that alpha is planned for"),
        (
            {"judged": 200, "horizon": 200},
            "the horizon is used up: this is run 201 on this test split, and alpha was planned for 200",
        ),
    ],
)
def test_how_often_the_test_split_has_judged(
    make_record: Make, options: dict[str, Any], said: str
) -> None:
    verdict = gate([make_record()], [make_record()], n_resamples=100, **options)
    assert said in as_text(verdict)
    assert said in as_markdown(verdict)


def test_nothing_is_said_where_nothing_was_counted(verdict: Verdict) -> None:
    assert "test split" not in as_text(verdict)


def test_what_alpha_is_shared_by(make_record: Make) -> None:
    pair = [make_record(), make_record("int8")]

    def conclusion(**options: Any) -> str:
        return as_text(gate(pair, pair, n_resamples=100, **options)).splitlines()[-1]

    assert "alpha 0.05 for 2 comparisons and 200 runs together" in conclusion(horizon=200)
    assert "alpha 0.05 per cell, superiority" in conclusion(alpha_per_cell=True)
    assert "alpha 0.05 per cell for 200 runs together" in conclusion(
        alpha_per_cell=True, horizon=200
    )

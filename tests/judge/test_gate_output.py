from __future__ import annotations

import json
from collections.abc import Callable

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
        "regression: 1 pass, 1 regression; budget 0.01 Macro-F1, alpha 0.05, superiority"
    )


def test_markdown(verdict: Verdict) -> None:
    html = MarkdownIt("commonmark").enable("table").render(as_markdown(verdict))
    assert html.startswith("<h2>Macro-F1 gate: ❌ regression</h2>")
    assert html.count("<tr>") == 3
    assert html.count("<li>") == 3
    assert "95% confidence each" in html


def test_annotations(verdict: Verdict) -> None:
    (line,) = as_annotations(verdict).splitlines()
    assert line.startswith("::error title=minilm-simplified-torch-int8%3A regression::the drop is")
    assert "(95%25 sure)" in line
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

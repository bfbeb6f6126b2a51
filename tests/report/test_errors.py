"""The stated rules for low labels and for what they lose by, and the texts that are quoted."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.measure.metrics import LabelScore, score_predictions
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.findings import find
from goemo_eval.report.markdown import to_markdown
from goemo_eval.report.sections.errors import LOW_F1, errors_section, kind_of, low_labels


def label_score(fp: int, fn: int) -> LabelScore:
    tp = 1
    return LabelScore(
        label="x",
        precision=tp / (tp + fp),
        recall=tp / (tp + fn),
        f1=2 * tp / (2 * tp + fp + fn),
        support=tp + fn,
        tp=tp,
        fp=fp,
        fn=fn,
    )


@pytest.mark.parametrize(
    ("fp", "fn", "kind"),
    [
        (10, 16, "FN-heavy"),
        (10, 15, "balanced"),
        (16, 10, "FP-heavy"),
        (15, 10, "balanced"),
        (0, 0, "balanced"),
        (0, 1, "FN-heavy"),
    ],
)
def test_kind(fp: int, fn: int, kind: str) -> None:
    assert kind_of(label_score(fp, fn)) == kind


def test_low_labels_are_sorted_and_below_the_limit() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((300, 6)) < np.linspace(0.02, 0.5, 6)
    guess = truth ^ (rng.random(truth.shape) < 0.2)
    scores = score_predictions(truth, guess, labels=list("abcdef"))
    low = low_labels(scores)
    assert [s.f1 for s in low] == sorted(s.f1 for s in scores.per_label if s.f1 < LOW_F1)
    assert 0 < len(low) < 6


def test_shares_are_counted_over_the_cells_of_the_table(
    make_record: Callable[..., Record],
) -> None:
    bad = make_record(wrong=0.9)
    text = to_markdown(errors_section(View([bad]), [], []))
    assert bad.scores is not None
    low = low_labels(bad.scores.test)
    fn_heavy = sum(kind_of(s) == "FN-heavy" for s in low)
    assert f"{len(low)} labels have a test F1 below 0.4: {fn_heavy / len(low):.0%} FN-heavy" in text
    for score in low[:3]:
        assert f"{score.label} {score.f1:.2f} ({score.support})" in text
    assert "two models at least" in text  # agree against a label


def test_without_scores_it_says_so(make_record: Callable[..., Record]) -> None:
    assert errors_section(View([make_record(scored=False)]), [], []) == ["No cell was scored."]


def test_texts_are_quoted_on_request_only(full: list[Record]) -> None:
    found = find(full)
    texts = {"raw": [f"the {i}th *text*" for i in range(400)]}
    quoted = to_markdown(errors_section(found.view, found.noise, [], texts))
    assert "th \\*text\\*" in quoted
    assert "th \\*text" not in to_markdown(errors_section(found.view, found.noise, []))
    record = next(r for r in full if r.cell.id == "albert-raw-torch-fp32")
    assert record.decisions
    truth, guess = unpack_decisions(record.decisions)
    example = re.search(
        r"albert-raw-torch-fp32 on its worst labels.*?(\w+) missed: the (\d+)th .*? \(has (.*?); given",
        quoted,
        re.DOTALL,
    )
    assert example
    label, i = record.labels.index(example[1]), int(example[2])
    assert truth[i, label]
    assert not guess[i, label]
    assert example[3] == ", ".join(record.labels[k] for k in truth[i].nonzero()[0])
    (raw,) = (n for n in found.noise if n.scheme == "raw")
    likely = quoted.split("Likely label errors under raw:")[1]
    assert re.findall(r"the (\d+)th", likely) == [str(s.row) for s in raw.suspects[:10]]
    with pytest.raises(RecordError, match="400 texts were scored, but 3 came"):
        errors_section(found.view, found.noise, [], {"raw": ["x"] * 3})

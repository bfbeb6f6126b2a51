"""Likely label errors and rankings against counting by hand."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
import pytest
from sklearn.metrics import f1_score

from goemo_eval.records.decisions import pack_decisions, unpack_decisions
from goemo_eval.records.schema import Record
from goemo_eval.records.view import View
from goemo_eval.report.markdown import to_markdown
from goemo_eval.report.sections.errors import errors_section
from goemo_eval.report.suspects import LEAST_TRUST, SHARES, label_errors

Make = Callable[..., Record]


def decisions(record: Record) -> tuple[np.ndarray, np.ndarray]:
    assert record.decisions
    return unpack_decisions(record.decisions)


@pytest.mark.parametrize("scheme", ["raw", "simplified"])
def test_suspects_are_the_texts_that_all_decide_against_the_label(
    full: list[Record], scheme: str
) -> None:
    records = [r for r in full if r.cell.scheme == scheme]
    found = label_errors(View(full), scheme)
    assert found
    assert (found.judges, found.texts) == (3, 400)
    truth = decisions(records[0])[0]
    guesses = [decisions(r)[1] for r in records]
    labels = records[0].labels
    expected = {}
    for i in range(len(truth)):
        for k, label in enumerate(labels):
            rows = [j for j in range(len(truth)) if all(g[j, k] for g in guesses)]
            if i in rows and not truth[i, k]:
                right = sum(truth[j, k] for j in rows) / len(rows)
                if right >= LEAST_TRUST:
                    expected.setdefault(i, []).append((label, right))
    assert {s.row: s.given for s in found.suspects} == {
        i: tuple(label for label, _ in given) for i, given in expected.items()
    }
    for suspect in found.suspects:
        assert suspect.trust == pytest.approx(max(t for _, t in expected[suspect.row]))
        assert suspect.has == tuple(labels[k] for k in truth[suspect.row].nonzero()[0])
    trusts = [s.trust for s in found.suspects]
    assert trusts == sorted(trusts, reverse=True)


def test_the_ranking_without_them(full: list[Record]) -> None:
    found = label_errors(View(full), "raw")
    assert found
    records = View(full).of_scheme("raw").scored
    assert [r.share for r in found.rankings] == [0.0, *SHARES]
    for ranking in found.rankings:
        left_out = [s.row for s in found.suspects[: ceil(ranking.share * len(found.suspects))]]
        assert ranking.texts == len(left_out)
        scores = {}
        for record in records:
            truth, guess = (np.delete(a, left_out, axis=0) for a in decisions(record))
            scores[record.cell.id] = f1_score(truth, guess, average="macro", zero_division=0)
        assert ranking.macro_f1 == pytest.approx(max(scores.values()))
        assert scores[ranking.best.cell.id] == pytest.approx(max(scores.values()))


def test_a_ranking_that_noise_decides_is_said_to_be_one(erring: Make) -> None:
    """One cell is best on all texts, the other as soon as some wrong labels are left out."""
    truth = np.repeat([0, 1, 2], 100)
    albert, minilm = truth.copy(), truth.copy()
    albert[:60] = minilm[:60] = 1  # labelled 0, and both say 1
    albert[60:82] = 2
    minilm[100:138] = 2

    def record(encoder: str, guess: np.ndarray) -> Record:
        packed = pack_decisions(truth, guess, 3)
        return erring(encoder, wrong=0.1, draw=1).model_copy(update={"decisions": packed})

    view = View([record("albert", albert), record("minilm", minilm)])
    found = label_errors(view, "simplified")
    assert found
    assert [s.row for s in found.suspects] == list(range(60))
    best = [r.best.cell.encoder for r in found.rankings]
    assert (best[0], best[-1]) == ("albert", "minilm")
    assert found.decided_by_noise
    assert (found.rankings[-1].texts, found.rankings[-1].swapped, found.pairs) == (12, 1, 1)
    text = to_markdown(errors_section(view, [found], []))
    assert "**Noise in the labels decides which cell is best**: without the likeliest" in text
    assert "minilm-simplified-torch-fp32" in text


def test_one_model_cannot_agree_with_others(make_record: Make, seeded: list[Record]) -> None:
    assert label_errors(View([make_record(), make_record("int8")]), "simplified") is None
    found = label_errors(View(seeded), "raw")
    assert found
    assert found.judges == 3  # seeds


def test_texts_of_another_split_take_no_part(erring: Make) -> None:
    records = [erring("albert", wrong=0.1, draw=1), erring("minilm", wrong=0.1, draw=2, rows=400)]
    assert label_errors(View(records), "simplified") is None

"""What a test split can detect: against the gate itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.judge.gate import gate
from goemo_eval.judge.power import CONVERTED, TRAINED_ANEW, forecast
from goemo_eval.judge.power_output import as_text
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.records.decisions import pack_decisions
from goemo_eval.records.schema import Record, SplitScores

Make = Callable[..., Record]


def with_decisions(record: Record, truth: np.ndarray, guess: np.ndarray, seed: int = 0) -> Record:
    labels = tuple(f"label{k}" for k in range(truth.shape[1]))
    scores = score_predictions(truth, guess, labels=labels)
    return record.model_copy(
        update={
            "cell": record.cell.model_copy(update={"scheme": "raw", "seed": seed}),
            "kind": "multilabel",
            "labels": labels,
            "scores": SplitScores(validation=scores, test=scores),
            "decisions": pack_decisions(truth, guess, len(labels)),
        }
    )


def models(
    rng: np.random.Generator, count: int, *, own: float = 0.6, n: int = 1500, weaker: float = 0.0
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Truth, and models of one quality; the last of them may be weaker."""
    truth = rng.random((n, 6)) < np.geomspace(0.03, 0.3, 6)
    hard = np.sqrt(1 - own**2) * rng.normal(size=truth.shape)
    strengths = [2.5] * (count - 1) + [2.5 - weaker]
    return truth, [s * truth + hard + own * rng.normal(size=truth.shape) > 1.5 for s in strengths]


def test_the_gate_sees_what_was_forecast_to_be_seen(make_record: Make) -> None:
    """A loss as large as the forecast's is called in about 80 of 100 cases, from the baseline alone."""
    rng = np.random.default_rng(0)
    truth, (first, second) = models(rng, 2)
    changed = (first != second).sum() / first.sum()
    (cell,) = forecast(
        [with_decisions(make_record(), truth, first)], changed=float(changed), max_drop=0.0
    ).cells
    # The weaker model that loses as much, found on many texts.
    losses = {}
    for weaker in np.arange(0.05, 0.5, 0.05):
        truth, (a, b) = models(np.random.default_rng(1), 2, n=100_000, weaker=weaker)
        names = [str(k) for k in range(6)]
        scores = [score_predictions(truth, g, labels=names).macro_f1 for g in (a, b)]
        losses[weaker] = scores[0] - scores[1]
    weaker = min(losses, key=lambda w: abs(losses[w] - cell.detectable_drop))
    assert losses[weaker] == pytest.approx(cell.detectable_drop, rel=0.15)
    called = 0
    for _ in range(60):
        truth, (a, b) = models(rng, 2, weaker=weaker)
        pair = [with_decisions(make_record(), truth, g) for g in (a, b)]
        called += gate(pair[:1], pair[1:], max_drop=0.0, n_resamples=200).status == "regression"
    assert 0.62 < called / 60 < 0.95


def test_seeds_and_precisions_of_the_baseline_are_measured(make_record: Make) -> None:
    truth, guesses = models(np.random.default_rng(2), 4)
    records = [with_decisions(make_record(), truth, g, seed=i) for i, g in enumerate(guesses[:3])]
    assumed = forecast(records[:1])
    assert [cell.change for cell in assumed.cells] == ["converted", "trained anew"]
    assert [cell.changed for cell in assumed.cells] == pytest.approx([CONVERTED, TRAINED_ANEW])
    assert not any(cell.measured for cell in assumed.cells)
    _, anew = forecast(records).cells
    assert anew.measured
    flips = [(a != b).sum() for i, a in enumerate(guesses[:3]) for b in guesses[i + 1 : 3]]
    assert anew.flips == pytest.approx(np.mean(flips))
    (converted, _) = assumed.cells
    int8 = with_decisions(make_record("int8"), truth, guesses[3])
    measured = next(c for c in forecast([records[0], int8]).cells if c.change == "converted")
    assert measured.measured
    assert measured.flips == (guesses[0] != guesses[3]).sum()
    assert measured.standard_error > converted.standard_error


def test_what_makes_a_drop_harder_to_see(make_record: Make) -> None:
    truth, (guess,) = models(np.random.default_rng(3), 1)
    fp32 = with_decisions(make_record(), truth, guess)
    onnx = fp32.model_copy(update={"cell": fp32.cell.model_copy(update={"engine": "onnxruntime"})})

    def seen(records: list[Record], **options: Any) -> float:
        return forecast(records, changed=0.1, **options).cells[0].detectable_drop

    alone = seen([fp32])
    assert alone < seen([fp32, onnx]) < seen([fp32, onnx], horizon=100)
    assert seen([fp32, onnx], alpha_per_cell=True) == alone
    assert seen([fp32], power=0.9) > alone
    assert seen([fp32], max_drop=0.02) == pytest.approx(alone + 0.01)
    (few,) = forecast([fp32], changed=0.1).cells
    (many,) = forecast([fp32], changed=0.4).cells
    assert many.standard_error == pytest.approx(2 * few.standard_error)


def test_how_many_texts_a_smaller_drop_takes(make_record: Make) -> None:
    truth, (guess,) = models(np.random.default_rng(4), 1)
    record = with_decisions(make_record(), truth, guess)
    (cell,) = forecast([record], changed=0.2).cells
    (same,) = forecast([record], changed=0.2, drop=cell.detectable_drop).cells
    assert same.texts_needed == pytest.approx(1500, abs=1)
    half = 0.01 + (cell.detectable_drop - 0.01) / 2
    (smaller,) = forecast([record], changed=0.2, drop=half).cells
    assert smaller.texts_needed == pytest.approx(6000, abs=2)


def test_labels_that_are_out_of_sight(make_record: Make) -> None:
    truth, (guess,) = models(np.random.default_rng(5), 1, n=400)
    guess[:, 0] = False  # never found: no loss of it can be seen
    found = forecast([with_decisions(make_record(), truth, guess)])
    for cell in found.cells:
        assert cell.labels[0].detectable_drop is None
        seen = [label.detectable_drop for label in cell.labels if label.detectable_drop]
        assert all(drop >= 0.05 for drop in seen)  # a label may lose its budget
    text = as_text(found, per_label=True)
    assert "Labels out of sight" in text
    assert "label0" in text


def test_words(make_record: Make) -> None:
    truth, (guess,) = models(np.random.default_rng(6), 1)
    found = forecast([with_decisions(make_record(), truth, guess)])
    text = as_text(found)
    assert (
        "would call it a regression in 80 of 100 cases, at alpha 0.05. Smaller drops mostly pass"
        in text
    )
    assert "1,500 texts cannot tell them from chance" in text
    assert "trained anew: another seed, or another recipe of the same quality" in text
    assert "5 in 100 (assumed)" in text
    assert "label5" not in text
    assert "for 200 runs together" in as_text(
        forecast([with_decisions(make_record(), truth, guess)], horizon=200)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": float("nan")}, "alpha must lie between 0 and 0.5: got nan"),
        ({"power": 1.0}, "power must be at least 0.5 and below 1: got 1.0"),
        ({"power": 0.4}, "power must be at least 0.5"),
        ({"changed": 0.0}, "changed must be above 0 and at most 2: got 0.0"),
        ({"horizon": 0}, "horizon must be a whole number from 1 to 1,000,000: got 0"),
        ({"max_drop": 2.0}, r"max_drop must lie in \[0, 1\]: got 2.0"),
        ({"drop": float("inf")}, "drop must be above 0 and at most 1: got inf"),
        ({"drop": 0.01}, "drop must exceed max_drop, which may be lost: got 0.01 and 0.01"),
    ],
)
def test_mistakes(make_record: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        forecast([make_record()], **options)


def test_nothing_to_forecast_from(make_record: Make) -> None:
    with pytest.raises(RecordError, match="no scored cell"):
        forecast([make_record(scored=False)])
    with pytest.raises(RecordError, match="nothing tells how a change would vary"):
        forecast([make_record(wrong=0.0)])

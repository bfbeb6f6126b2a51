from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from goemo_eval.errors import RecordError
from goemo_eval.judge.gate import gate
from goemo_eval.judge.verdict import Verdict
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.records.decisions import pack_decisions, unpack_decisions
from goemo_eval.records.files import dump_records, read_records
from goemo_eval.records.schema import Data, Record, SplitData, SplitScores

Make = Callable[..., Record]
QUICK: dict[str, Any] = {"n_resamples": 200}


def judged(old: Record, new: Record, **options: Any) -> Verdict:
    return gate([old], [new], **QUICK | options)


def with_decisions(record: Record, truth: np.ndarray, guess: np.ndarray, **fields: Any) -> Record:
    """The record as it would be had it decided so."""
    labels = fields.get("labels", record.labels)
    scores = score_predictions(truth, guess, labels=labels)
    return record.model_copy(
        update={
            "scores": SplitScores(validation=scores, test=scores),
            "decisions": pack_decisions(truth, guess, len(labels)),
        }
        | fields
    )


def test_point_values_are_scikit_learns(make_record: Make) -> None:
    old, new = make_record(wrong=0.2), make_record(wrong=0.3)
    (cell,) = judged(old, new).cells
    expected = [
        f1_score(*unpack_decisions(r.decisions), average="macro", zero_division=0)  # type: ignore[arg-type]
        for r in (old, new)
    ]
    assert (cell.baseline, cell.candidate) == pytest.approx(tuple(expected), abs=1e-12)
    assert cell.drop == pytest.approx(expected[0] - expected[1], abs=1e-12)
    assert cell.least_drop is not None
    assert cell.most_drop is not None
    assert cell.least_drop < cell.drop < cell.most_drop


def test_three_answers(make_record: Make) -> None:
    old, new = make_record(wrong=0.2), make_record(wrong=0.25)
    (cell,) = judged(old, new).cells
    least, drop, most = cell.least_drop, cell.drop, cell.most_drop
    assert least is not None and drop is not None and most is not None  # noqa: PT018
    assert 0.03 < drop < 0.07

    def statuses(budget: float) -> tuple[str, str]:
        modes = ("superiority", "noninferiority")
        return tuple(judged(old, new, max_drop=budget, mode=mode).status for mode in modes)  # type: ignore[return-value]

    assert statuses(least - 1e-6) == ("regression", "regression")
    assert statuses((least + drop) / 2) == ("inconclusive", "inconclusive")
    assert statuses(drop) == ("pass", "inconclusive")  # a drop that equals the budget keeps it
    assert statuses((drop + most) / 2) == ("pass", "inconclusive")
    assert statuses(most + 1e-6) == ("pass", "pass")
    assert judged(new, old, max_drop=0.0).status == "pass"


def test_reasons_in_words(make_record: Make) -> None:
    old, new = make_record(wrong=0.2), make_record(wrong=0.25)
    found = [judged(old, new, max_drop=budget).cells[0].reason for budget in (0, 0.04, 0.055, 0.5)]
    expected = [
        r"is at least 0.0\d+ \(95% sure\), above the budget of 0",
        "may be anything from",
        "no loss beyond the budget of 0.055 is proven; the drop may still be up to",
        "is at most",
    ]
    for reason, words in zip(found, expected, strict=True):
        assert re.search(words, reason), reason


@given(
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.floats(0, 0.3),
    st.sampled_from(["superiority", "noninferiority"]),
)
@settings(deadline=None, max_examples=30)
def test_never_passes_a_larger_drop(
    make_record: Make, a: float, b: float, budget: float, mode: str
) -> None:
    old, new = make_record(wrong=a), make_record(wrong=b)
    verdict = judged(old, new, max_drop=budget, mode=mode)
    drop = old.scores.test.macro_f1 - new.scores.test.macro_f1  # type: ignore[union-attr]
    if drop > budget + 1e-9:
        assert verdict.status in ("regression", "inconclusive")
    else:
        assert verdict.status != "regression"


def test_detectable_drop_is_what_the_gate_detects(make_record: Make) -> None:
    old = make_record(wrong=0.2)
    (cell,) = judged(old, make_record(wrong=0.22), max_drop=0.01).cells
    assert cell.detectable_drop is not None
    assert 0.01 < cell.detectable_drop < 0.06
    (same,) = judged(old, old).cells
    assert (same.status, same.detectable_drop, same.flips) == ("pass", None, 0)


def test_one_bad_cell_of_many_fails(make_record: Make) -> None:
    old = [make_record(), make_record("int8")]
    new = [make_record(), make_record("int8", wrong=0.5)]
    verdict = gate(old, new, **QUICK)
    assert verdict.status == "regression"
    assert [cell.passed for cell in verdict.cells] == [True, False]


def test_a_loss_says_more_than_a_missing_cell(make_record: Make) -> None:
    old = [make_record(), make_record("int8")]
    assert gate(old, [make_record(wrong=0.5)], **QUICK).status == "regression"
    verdict = gate(old, [make_record()], **QUICK)
    assert verdict.status == "not-comparable"
    assert "missing from the candidate" in verdict.cells[1].reason


def other_test_split(record: Record) -> Record:
    splits = record.data.splits | {"test": SplitData(sha256="c" * 64, rows=500)}
    return record.model_copy(
        update={"data": Data(name="tsv", source="tsv", revision=None, splits=splits)}
    )


def other_truth(record: Record) -> Record:
    truth, guess = unpack_decisions(record.decisions)  # type: ignore[arg-type]
    truth[[0, 1]] = truth[[1, 0]] if (truth[0] != truth[1]).any() else np.roll(truth[[0, 1]], 1, 1)
    return with_decisions(record, truth, guess)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_test_split, "test split sha256 differs"),
        (lambda r: r.model_copy(update={"labels": r.labels[::-1]}), "label order differs"),
        (lambda r: r.model_copy(update={"dominance": "rare"}), "dominance rule differs"),
        (
            lambda r: r.model_copy(update={"scores": None, "unscored_reason": "no weights"}),
            "not scored in the candidate: no weights",
        ),
        (lambda r: r.model_copy(update={"decisions": None}), "candidate keeps no decisions"),
        (other_truth, "truth of the test split differs"),
    ],
)
def test_not_comparable(
    make_record: Make, change: Callable[[Record], Record], message: str
) -> None:
    verdict = judged(make_record(), change(make_record()))
    assert verdict.status == "not-comparable"
    assert message in verdict.cells[0].reason
    assert verdict.cells[0].differing


def reworked(record: Record, **scores: Any) -> Record:
    assert record.scores is not None
    test = record.scores.test.model_copy(update=scores)
    return record.model_copy(update={"scores": record.scores.model_copy(update={"test": test})})


def cut_short(record: Record) -> Record:
    assert record.decisions is not None
    shorter = record.decisions.predictions[:-8]
    return record.model_copy(
        update={"decisions": record.decisions.model_copy(update={"predictions": shorter})}
    )


def fewer_rows(record: Record) -> Record:
    truth, guess = unpack_decisions(record.decisions)  # type: ignore[arg-type]
    return record.model_copy(update={"decisions": pack_decisions(truth[:-1], guess[:-1], 3)})


def permuted_labels(record: Record) -> Record:
    truth, guess = unpack_decisions(record.decisions)  # type: ignore[arg-type]
    return record.model_copy(
        update={"decisions": pack_decisions(truth, np.roll(guess, 1, axis=1), 3)}
    )


@pytest.mark.parametrize("side", ["baseline", "candidate"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: reworked(r, macro_f1=0.9), "macro_f1 0.9 .* does not follow from its decisions"),
        (lambda r: reworked(r, per_label=r.scores.test.per_label[:2]), "per_label with 2 labels"),
        (
            lambda r: reworked(r, per_label=r.scores.test.per_label[::-1]),
            "per_label.joy.label neutral",
        ),
        (cut_short, "decisions.predictions"),
        (fewer_rows, "does not follow from its decisions"),
        (permuted_labels, "does not follow from its decisions"),
    ],
)
def test_scores_that_nothing_supports(
    make_record: Make, change: Callable[[Record], Record], message: str, side: str
) -> None:
    pair = [make_record(), make_record()]
    pair[side == "candidate"] = change(make_record())
    with pytest.raises(RecordError, match=f"minilm-simplified-torch-fp32.*{message}"):
        judged(*pair)


def test_a_candidate_with_permuted_labels_never_passes(make_record: Make) -> None:
    """Whether it hides the permutation or scores itself by it."""
    old = make_record()
    truth, guess = unpack_decisions(old.decisions)  # type: ignore[arg-type]
    for permutation in ([1, 2, 0], [1, 0, 2]):
        honest = with_decisions(old, truth, guess[:, permutation])
        assert judged(old, honest).status == "regression"
        both = with_decisions(old, truth[:, permutation], guess[:, permutation])
        assert judged(old, both).status == "not-comparable"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(0, 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def with_one_value_replaced(content: Any, data: st.DataObject) -> Any:
    where = content
    while True:
        keys = list(where) if isinstance(where, dict) else range(len(where))
        key = data.draw(st.sampled_from(list(keys)))
        inside = where[key]
        if not isinstance(inside, dict | list) or not inside or data.draw(st.booleans()):
            where[key] = data.draw(json_values)
            return content
        where = inside


def never_passes(baseline: Record, candidate: Path) -> None:
    """A message of one line, or an honest verdict."""
    try:
        status = gate([baseline], read_records(candidate), n_resamples=100).status
    except RecordError as error:
        assert "\n" not in str(error)
    else:
        assert status in ("regression", "not-comparable")


@given(data=st.data())
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_lost_score_never_passes_however_its_file_is_damaged(
    make_record: Make, tmp_path: Path, data: st.DataObject
) -> None:
    content = json.loads(dump_records([make_record(wrong=0.5)]))
    path = tmp_path / "candidate.json"
    path.write_text(json.dumps(with_one_value_replaced(content, data)))
    never_passes(make_record(wrong=0.2), path)


@given(where=st.floats(0, 1, exclude_max=True), byte=st.binary(min_size=0, max_size=1))
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nor_by_one_byte_or_cut_short(
    make_record: Make, tmp_path: Path, where: float, byte: bytes
) -> None:
    content = dump_records([make_record(wrong=0.5)]).encode()
    position = int(where * len(content))
    path = tmp_path / "candidate.json"
    rest = content[position + 1 :] if byte else b""
    path.write_bytes(content[:position] + byte + rest)
    never_passes(make_record(wrong=0.2), path)


def test_several_classes_for_one_text(make_record: Make) -> None:
    old = make_record()
    truth, guess = unpack_decisions(old.decisions)  # type: ignore[arg-type]
    guess[0] = True
    with pytest.raises(RecordError, match="do not name one class per text"):
        judged(old, with_decisions(old, truth, guess))


def test_labels_one_by_one(make_record: Make) -> None:
    """A label that collapsed is found though the mean over all of them hardly moved."""
    rng = np.random.default_rng(0)
    labels = tuple(f"label{k}" for k in range(28))
    truth = rng.random((2000, 28)) < 0.05
    guess = truth ^ (rng.random(truth.shape) < 0.01)
    worse = guess.copy()
    worse[:, 7] &= rng.random(2000) < 0.5
    fields = {"labels": labels, "kind": "multilabel"}
    old = with_decisions(make_record(), truth, guess, **fields)
    new = with_decisions(make_record(), truth, worse, **fields)
    assert judged(old, new, max_drop=0.05).status == "pass"
    options = {"max_drop": 0.05, "max_label_drop": 0.05, "n_resamples": 2000}
    verdict = judged(old, new, **options)
    assert verdict.status == "regression"
    assert [v.label for v in verdict.cells[0].labels if v.status == "regression"] == ["label7"]
    assert "label label7 lost" in verdict.cells[0].reason
    assert judged(old, old, **options).status == "pass"


def test_nothing_to_compare(make_record: Make) -> None:
    with pytest.raises(RecordError, match="no scored cell"):
        gate([make_record(scored=False)], [make_record()])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_drop": -0.1}, r"max_drop must lie in \[0, 1\]: got -0.1"),
        ({"max_drop": float("nan")}, "max_drop must lie in"),
        ({"alpha": 0.5}, "alpha must lie between 0 and 0.5: got 0.5"),
        ({"mode": "both"}, "mode must be superiority or noninferiority: got both"),
        ({"max_label_drop": 2.0}, "max_label_drop must lie in"),
        ({"max_slowdown": 0.0}, "max_slowdown must be above 0: got 0.0"),
        ({"max_drift": float("inf")}, r"max_drift must lie in \[0, 1\]: got inf"),
        ({"horizon": 0}, "horizon must be a whole number from 1 to 1,000,000: got 0"),
        ({"horizon": 2.5}, "horizon must be a whole number"),
        ({"judged": -1}, "judged must be at least 0: got -1"),
    ],
)
def test_options_out_of_range(make_record: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        gate([make_record()], [make_record()], **options)


def test_new_cells_are_named_not_judged(make_record: Make) -> None:
    verdict = gate([make_record()], [make_record(), make_record("int8", wrong=0.9)], **QUICK)
    assert verdict.status == "pass"
    assert verdict.only_in_candidate == ("minilm-simplified-torch-int8",)

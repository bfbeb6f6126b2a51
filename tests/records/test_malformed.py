"""Records that were damaged, forged or made to harm: each is refused in one line that names the place."""

from __future__ import annotations

import base64
import copy
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_eval.errors import RecordError
from goemo_eval.measure.calibration import calibrate, threshold_curves
from goemo_eval.measure.metrics import score_predictions
from goemo_eval.records.decisions import MOST_DECISIONS, pack_decisions
from goemo_eval.records.files import dump_records, embed, join_records, read_records
from goemo_eval.records.schema import (
    BudgetCheck,
    Cell,
    Record,
    ServedAgreement,
    SplitScores,
    StrategyScore,
    ThresholdsEntry,
)

Make = Callable[..., Record]
LABELS = ("joy", "anger", "neutral")
GONE = object()


@pytest.fixture(scope="module")
def whole(make_record: Make) -> dict[str, Any]:
    """A multilabel INT8 record in which every part that can lie is filled."""
    rng = np.random.default_rng(0)
    truth = rng.random((500, 3)) < 0.3
    guess = truth ^ (rng.random((500, 3)) < 0.1)
    probabilities = np.clip(0.5 * guess + rng.random((500, 3)) / 2, 0, 1)
    scores = score_predictions(truth, guess, labels=LABELS)
    f1 = scores.macro_f1
    record = make_record(
        "fp32",
        cell=Cell(encoder="minilm", scheme="raw", engine="torch", precision="fp32"),
        kind="multilabel",
        dominance=None,
        scores=SplitScores(validation=scores, test=scores),
        decisions=pack_decisions(truth, guess, 3),
        thresholds=ThresholdsEntry(strategy="fixed", values=(0.5,) * 3, fitted_on=None),
        strategies=(
            StrategyScore(strategy="fixed", validation_macro_f1=f1, test_macro_f1=f1),
            StrategyScore(strategy="global", validation_macro_f1=0.3, test_macro_f1=0.2),
        ),
        calibration=calibrate(probabilities, truth),
        threshold_curves=threshold_curves(probabilities, truth),
        speedups=make_record("int8").speedups,
        budgets=(BudgetCheck(name="max_real_p50_s", limit=1.0, value=0.2, passed=True),),
        served=ServedAgreement(agreement=0.99, macro_f1=f1, change=0.0, low=-0.01, high=0.01),
    )
    return embed(record)


def reading(tmp_path: Path, content: Any) -> str:
    """Return what reading says, through every way that there is."""
    path = tmp_path / "records.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    said = []
    for read in (read_records, lambda p: join_records([p])):
        with pytest.raises(RecordError) as caught:
            read(path)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert said[0].startswith(f"{path}: ")
    assert said[0].isprintable()
    assert len(said[0]) < len(str(path)) + 700
    return said[0].removeprefix(f"{path}: ")


def changed(values: dict[str, Any], where: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(values)
    *path, last = (int(key) if key.isdigit() else key for key in where.split("."))
    inner: Any = values
    for key in path:
        inner = inner[key]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return values


def test_the_whole_record_is_read(whole: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"benchmarks": [{"extra_info": {"goemo": whole}}]}))
    (record,) = read_records(path)
    assert embed(record) == whole


TYPES = [
    ("cell", 3),
    ("cell.seed", True),
    ("cell.seed", "7"),
    ("cell.seed", 7.5),
    ("cell.seed", -1),
    ("cell.seed", 10**400),
    ("cell.seed", 1 << 32),
    ("cell.encoder", "../../x"),
    ("cell.encoder", ""),
    ("cell.encoder", "A"),
    ("cell.encoder", "x" * 65),
    ("cell.encoder", "x\n"),
    ("cell.precision", "int4"),
    ("cell.colour", "red"),
    ("kind", "multi"),
    ("kind", None),
    ("labels", []),
    ("labels", "joy"),
    ("labels", ["joy", "joy", "neutral"]),
    ("labels", ["joy", "anger", ""]),
    ("labels", ["joy", "anger"]),
    ("labels", ["anger", "joy", "neutral"]),
    ("labels", ["joy", "anger", 3]),
    ("data", []),
    ("data.name", None),
    ("data.splits.test.rows", 499),
    ("data.splits.test.rows", 10**30),
    ("data.splits.test.rows", "500"),
    ("weights.kind", "evil"),
    ("weights.sha256", 5),
    ("recipe.x", [1]),
    ("recipe.x", True),
    ("recipe.x", None),
    ("parameters", 10**400),
    ("parameters", -1),
    ("parameters", "10"),
    ("parameters", 1 << 54),
    ("size_bytes", 10**400),
    ("size_bytes", 1e3),
    ("size_bytes", False),
    ("memory", {"peak_rss_bytes": 10**400, "start_s": 1.0, "texts": 5}),
    ("memory", {"peak_rss_bytes": 1, "start_s": 0, "texts": 5}),
    ("peak_rss_bytes", 5),
    ("environment.threads", 0),
    ("environment.threads", True),
    ("environment.isa_flags", "avx2"),
    ("environment.versions", ["torch"]),
    ("environment.cpu_model", GONE),
    ("environment.load_start", "0.1"),
    ("unscored_reason", 5),
    ("smoothed", 1),
    ("compute", "fp8"),
    ("artifact", {}),
    ("served.agreement", 1.5),
    ("offline", {"texts": 5}),
    ("latency.batch", {}),
    ("latency.real", None),
    ("latency", []),
]
NUMBERS = [
    ("split_latency_s", float("nan")),
    ("split_latency_s", float("inf")),
    ("split_latency_s", 0),
    ("split_latency_s", 1e308),
    ("split_latency_s", 5e-324),
    ("split_latency_s", 10**400),
    ("served.low", float("-inf")),
    ("latency.real.times_s", []),
    ("latency.real.times_s", [5e-324] * 3),
    ("latency.real.times_s", [1e308] * 3),
    ("latency.real.times_s", ["0.1", "0.2", "0.3"]),
    ("latency.real.p50_s", 5e-324),
    ("latency.real.p50_s", 1e308),
    ("latency.real.batches", 0),
    ("speedups.0.reference_s", [5e-324] * 3),
    ("speedups.0.reference_s", [1.0]),
    ("speedups.0.reference_s", []),
    ("scores.test.macro_f1", 1.2),
    ("scores.test.macro_f1", "0.5"),
    ("scores.test.per_label.0.tp", 1 << 54),
    ("thresholds.values.0", 1.5),
    ("threshold_curves.thresholds", [0.5]),
    ("calibration.bins", []),
    ("calibration.bins.0.count", 0),
]
LIES = [
    ("scores.test.macro_f1", 0.99),
    ("scores.test.micro_f1", 0.99),
    ("scores.test.weighted_f1", 0.99),
    ("scores.validation.macro_f1", 0.99),
    ("scores.test.per_label", []),
    ("scores.test.per_label.0.f1", 0.99),
    ("scores.test.per_label.0.tp", 3),
    ("scores.test.per_label.1.fn", 0),
    ("scores.validation.per_label.2.support", 400),
    ("scores.validation.per_label.0.label", "anger"),
    ("scores", None),
    ("strategies.0.test_macro_f1", 0.99),
    ("strategies.0.validation_macro_f1", 0.99),
    ("latency.real.p50_s", 0.01),
    ("latency.real.p90_s", 0.01),
    ("latency.real.p95_s", 0.01),
    ("latency.real.p99_s", 0.3),
    ("latency.real.times_s", [0.1, 0.1, 0.1]),
    ("calibration.ece", 0.9),
    ("calibration.ece_per_label", [0.1]),
    ("thresholds.fitted_on", "testtesttesttesttesttesttesttest"),
    ("thresholds.values", [0.5]),
    ("threshold_curves.f1", [[0.5] * 19]),
    ("threshold_curves.support", [5]),
    ("threshold_curves.thresholds", [0.5] * 19),
    ("kind", "multiclass"),
    ("budgets.0.passed", False),
    ("budgets.0.value", 2.0),
    ("decisions.rows", 499),
    ("decisions.labels", 2),
    ("decisions.rows", 200_000_000),
    ("decisions.rows", 10**30),
    ("decisions.rows", True),
    ("decisions.targets", ""),
    ("decisions.predictions", "?"),
    ("decisions.predictions", None),
]
TEXTS = [
    ("environment.git_commit", "abc\x1b[31m"),
    ("environment.git_commit", "a\nb"),
    ("environment.git_commit", "a\rb"),
    ("environment.git_commit", "a\x00"),
    ("environment.git_commit", "a\x9b31m"),
    ("environment.cpu_model", "a\u202eb"),
    ("environment.cpu_model", "a\u2028b"),
    ("environment.cpu_model", "\ud800"),
    ("environment.versions", {"to\x1brch": "2"}),
    ("environment.versions", {"\udfff": "2"}),
    ("labels", ["joy", "anger", "\ud800"]),
    ("labels", ["joy", "anger", "x" * 1_000_000]),
    ("unscored_reason", "x" * 50_000_000),
    ("budgets.0.name", "max_\u2066"),
    ("data.source", "\x7f"),
    ("recipe.x", "\x1b]0;title\x07"),
    ("x" * 200_000, 1),
    ("a\x1bb", 1),
    ("cell", {"a": [[[[[[[[[[[[[[1]]]]]]]]]]]]]]}),
]


@pytest.mark.parametrize(("where", "value"), [*TYPES, *NUMBERS, *LIES, *TEXTS])
def test_a_changed_value_is_refused(
    whole: dict[str, Any], tmp_path: Path, where: str, value: Any
) -> None:
    values = changed(whole, where, value)
    said = reading(tmp_path, {"benchmarks": [{"extra_info": {"goemo": values}}]})
    assert said.startswith("benchmark 0: ")


@pytest.mark.parametrize("where", ["cell", "labels", "data", "environment", "cell.engine"])
def test_a_missing_value_is_refused(whole: dict[str, Any], tmp_path: Path, where: str) -> None:
    values = changed(whole, where, GONE)
    said = reading(tmp_path, {"benchmarks": [{"extra_info": {"goemo": values}}]})
    assert said.startswith(f"benchmark 0: {where}: Field required")


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("cell.seed", True, "cell.seed: Input should be a valid integer"),
        ("environment.git_commit", "a\x1b[31m", r"environment.git_commit: the character \\x1b, wh"),
        (
            "scores.test.macro_f1",
            0.99,
            r"scores.test: Value error, macro_f1, 0.99, does not follow",
        ),
        ("split_latency_s", float("nan"), "split_latency_s: nan is no number that a record may"),
        ("parameters", 10**400, "parameters: a whole number of 19 digits or more"),
        (
            "labels",
            ["joy", "joy", "neutral"],
            "record: Value error, labels must be names, each once",
        ),
        ("decisions.rows", 10**8, "decisions: Value error, 100000000 texts x 3 labels: at most"),
    ],
)
def test_the_place_and_the_reason_are_told(
    whole: dict[str, Any], tmp_path: Path, where: str, value: Any, message: str
) -> None:
    record = {k: v for k, v in whole.items() if k != "schema_version"}
    content = {"schema_version": 3, "records": [changed(record, where, value)]}
    said = reading(tmp_path, content)
    assert said.startswith(f"record 0: {message}".replace("\\\\", "\\"))


def test_scores_that_agree_with_themselves_but_not_with_the_decisions(
    whole: dict[str, Any], tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    truth = rng.random((500, 3)) < 0.3
    better = score_predictions(truth, truth, labels=LABELS).model_dump(mode="json")
    values = changed(whole, "scores.test", better) | {"strategies": []}
    said = reading(tmp_path, {"benchmarks": [{"extra_info": {"goemo": values}}]})
    assert "scores.test.macro_f1 1.0 (found 0.8" in said
    assert said.endswith("does not follow from its decisions: run it again")


def test_a_bomb_of_decisions_takes_no_memory(whole: dict[str, Any], tmp_path: Path) -> None:
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()
    values = changed(whole, "decisions.predictions", bomb)
    said = reading(tmp_path, {"benchmarks": [{"extra_info": {"goemo": values}}]})
    assert "decisions.predictions do not hold the stated 500 x 3 bits" in said
    with pytest.raises(RecordError, match=f"a record keeps at most {MOST_DECISIONS:,} decisions"):
        pack_decisions(np.zeros(1 << 20, np.int64), np.zeros(1 << 20, np.int64), 1 << 10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema_version": 3, "records": [{"a": 1, "a": 2}]}', "not JSON .*'a' stands twice"),
        ('{"schema_version": 3, "records": [{"a\\u001b": 1}]}', "a key holds the character .x1b"),
        (
            '{"schema_version": 3, "provenance": [], "records": [RECORD]}',
            "provenance: provenance: ",
        ),
        ('{"schema_version": 3, "provenance": 0, "records": [RECORD]}', "provenance: provenance: "),
        ('{"schema_version": 3, "provenance": {"title": 5}, "records": [RECORD]}', "title: Input"),
        ('{"schema_version": 3, "provenance": {"title": "\\u001b"}, "records": [RECORD]}', "x1b"),
        (
            '{"schema_version": 3, "provenance": {"x": 5}, "records": [RECORD]}',
            "provenance: x: Ext",
        ),
        (
            '{"schema_version": 3, "records": [RECORD, null]}',
            "record 1: record: Input should be an",
        ),
        ('{"schema_version": 3.0, "records": [RECORD]}', "schema_version 3.0"),
        ('{"schema_version": 3, "records": [RECORD]', "not JSON"),
        ("﻿" + '{"records": 5}', "neither a records.json"),
        ('"' + "x" * 50_000_000 + '"', "neither a records.json"),
        ('{"a":' * 100_000, "not JSON"),
    ],
)
def test_malformed_files(make_record: Make, tmp_path: Path, content: str, message: str) -> None:
    record = json.dumps(json.loads(dump_records([make_record()]))["records"][0])
    said = reading(tmp_path, content.replace("RECORD", record))
    assert re.search(message, said), said

from __future__ import annotations

from pathlib import Path

import pytest

from goemo_eval.errors import GoemoError
from goemo_eval.pipeline.matrix import (
    get_profile,
    matrix,
    parse_checkpoints,
    parse_dominance,
    parse_list,
    parse_seeds,
    parse_train,
    parse_weights,
)


def ids(**narrowed: str) -> list[str]:
    defaults = {"encoders": "", "schemes": "", "engines": "", "precisions": ""}
    cells = matrix(**defaults | narrowed, seeds=(0,), weights={}, checkpoints={})
    return [cell.id for cell in cells]


def test_whole_matrix() -> None:
    whole = ids()
    assert len(whole) == 4 * 2 * 3 * 2
    assert whole[:2] == ["albert-raw-torch-fp32", "albert-raw-torch-int8"]


def test_narrowed_keeps_fp32_first() -> None:
    assert ids(
        encoders="minilm", schemes="simplified", engines="torch", precisions="int8,fp32"
    ) == [
        "minilm-simplified-torch-fp32",
        "minilm-simplified-torch-int8",
    ]


@pytest.mark.parametrize(
    ("narrowed", "message"),
    [
        ({"encoders": "bart"}, "unknown encoder 'bart': known are albert"),
        ({"schemes": "rwa"}, "unknown scheme 'rwa': known are ekman, raw"),
        ({"engines": "tvm"}, "unknown engine 'tvm': known are onnxruntime, openvino, torch"),
        ({"precisions": "int4"}, "unknown precision 'int4': known are fp32, int8"),
    ],
)
def test_unknown_names(narrowed: dict[str, str], message: str) -> None:
    with pytest.raises(GoemoError, match=message):
        ids(**narrowed)


def test_an_encoder_of_ones_own(tmp_path: Path, tiny_weights_dir: Path) -> None:
    checkpoints = parse_checkpoints([f"mine-raw={tmp_path}"])
    assert checkpoints == {("mine", "raw"): tmp_path}
    weights = parse_weights([f"tiny={tiny_weights_dir}"])
    cells = matrix(
        encoders="mine,tiny",
        schemes="raw",
        engines="",
        precisions="fp32",
        seeds=(2,),
        weights=weights,
        checkpoints=checkpoints,
        default_engines=["torch"],
    )
    assert [cell.id for cell in cells] == ["mine-raw-torch-fp32-s2", "tiny-raw-torch-fp32-s2"]


@pytest.mark.parametrize("text", ["minilm", "minilm=", "=.", "minilm=nowhere"])
def test_malformed_pairs(text: str) -> None:
    with pytest.raises(GoemoError, match="--weights"):
        parse_weights([text])
    with pytest.raises(GoemoError, match="--checkpoint"):
        parse_checkpoints([text])


def test_checkpoint_of_an_unknown_scheme(tmp_path: Path) -> None:
    with pytest.raises(GoemoError, match="unknown scheme 'rwa'"):
        parse_checkpoints([f"minilm-rwa={tmp_path}"])


def test_choices() -> None:
    assert parse_train("never") == "never"
    assert parse_dominance("auto") == "auto"
    assert parse_list("", "scheme", ["a", "b"]) == ("a", "b")
    assert parse_list("b, b", "scheme", ["a", "b"]) == ("b",)
    for wrong in (
        lambda: parse_train("always"),
        lambda: parse_dominance("most"),
        lambda: get_profile("x"),
    ):
        with pytest.raises(GoemoError, match="known are"):
            wrong()


def test_seeds_multiply_the_cells() -> None:
    cells = matrix(
        encoders="minilm",
        schemes="raw",
        engines="torch",
        precisions="",
        seeds=parse_seeds("1, 2,1"),
        weights={},
        checkpoints={},
    )
    assert [cell.id for cell in cells] == [
        "minilm-raw-torch-fp32-s1",
        "minilm-raw-torch-int8-s1",
        "minilm-raw-torch-fp32-s2",
        "minilm-raw-torch-int8-s2",
    ]
    for wrong in ("", "a", "-1", "1.5", "1;2"):
        with pytest.raises(GoemoError, match=r"--seeds .*expected integers"):
            parse_seeds(wrong)


def test_a_checkpoint_has_one_seed(tmp_path: Path) -> None:
    brought = {("minilm", "raw"): tmp_path}
    with pytest.raises(GoemoError, match="--checkpoint minilm-raw was fine-tuned with one seed"):
        matrix(
            encoders="minilm",
            schemes="raw",
            engines="",
            precisions="",
            seeds=(1, 2),
            weights={},
            checkpoints=brought,
        )

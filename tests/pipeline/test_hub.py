"""A run that names encoders by their place on the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goemo_eval.errors import GoemoError
from goemo_eval.models.encoders import get_encoder
from goemo_eval.pipeline.cells import Matrix, matrix
from goemo_eval.run_file import read_options

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
TINY = f"hub:me/Tiny-BERT.v1@{COMMIT}"


def resolve(**given: Any) -> Matrix:
    return matrix(read_options({"schemes": "raw", "precisions": "fp32", **given}, run_file=None))


def test_its_cells_are_named_after_the_repository_and_its_layers(
    on_hub: Callable[[str, str, Path], Path], tiny_weights_dir: Path
) -> None:
    laid = on_hub("me/Tiny-BERT.v1", COMMIT, tiny_weights_dir)
    found = resolve(encoders=f"{TINY},{TINY}@1,tfidf,{TINY}")
    assert [cell.id for cell in found.cells] == [
        "tiny_bert_v1-raw-torch-fp32",
        "tiny_bert_v1@1-raw-torch-fp32",
        "tfidf-raw-linear-fp32",
    ]
    assert found.plan.weights == {"tiny_bert_v1": laid}
    assert found.plan.weights_of("tiny_bert_v1@1") == laid
    assert get_encoder("tiny_bert_v1", laid).model_type == "bert"


def test_a_registered_one_at_its_commit_keeps_its_name_and_needs_no_connection() -> None:
    albert = get_encoder("albert")
    found = resolve(encoders=f"hub:{albert.hub_id}@{albert.revision}@2")
    assert [cell.id for cell in found.cells] == ["albert@2-raw-torch-fp32"]
    assert not found.plan.weights


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"encoders": TINY}, "tiny_bert_v1=DIR"),
        ({"encoders": f"hub:albert/albert-base-v2@{COMMIT}"}, "out of reach and its cache has no"),
        ({"encoders": "hub:me/tiny@main"}, "all 40 hexadecimal digits"),
        ({"encoders": f"{TINY}@2.1"}, "from the lowest to the highest"),
        ({"encoders": f"hub:me/{'x' * 65}@{COMMIT}"}, "1 to 64 lower-case letters"),
        ({"encoders": f"hub:me/MiniLM@{COMMIT}"}, "minilm, is taken by a registered encoder"),
        ({"encoders": TINY, "weights": ["tiny_bert_v1=."]}, "is taken by --weights"),
        (
            {"encoders": TINY, "encoder_tables": {"tiny_bert_v1": {}}},
            "is taken by a table of the run file",
        ),
        ({"encoders": TINY, "checkpoint": ["tiny_bert_v1-raw=."]}, "is taken by --checkpoint"),
        (
            {"encoders": f"{TINY},hub:you/tiny_bert-v1@{COMMIT}"},
            "is taken by hub:me/Tiny-BERT.v1@0123456789ab: download it",
        ),
        ({"encoders": f"{TINY},hub:me/Tiny-BERT.v1@{OTHER}"}, "is taken by hub:me/Tiny-BERT"),
    ],
)
def test_what_is_out_of_reach_or_has_anothers_name_is_one_line(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(GoemoError) as raised:
        resolve(**given)
    assert said in str(raised.value)
    assert str(raised.value).isprintable()

"""The options of a run: a help text for each, mistakes told in a line, and the table that pytest reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from goemo_eval.errors import OptionError
from goemo_eval.options import Options, pytest_table, views
from goemo_eval.pytest_plugin import TABLE
from goemo_eval.run_file import read_options

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"seeds": "1,x"}, "--seeds 1,x: expected integers"),
    ({"seeds": "-1"}, "--seeds -1"),
    ({"seeds": "9" * 400}, "--seeds"),
    ({"seeds": ""}, "--seeds"),
    ({"seeds": "१"}, "--seeds"),
    ({"threads": "0"}, "--threads 0"),
    ({"threads": "9" * 5000}, "--threads"),
    ({"threads": "two"}, "--threads two"),
    ({"max_drop": "nan"}, "--max-drop nan"),
    ({"max_drop": "-0.1"}, "--max-drop"),
    ({"max_drop": "1.5"}, "--max-drop"),
    ({"alpha": "0.5"}, "--alpha 0.5"),
    ({"alpha": "inf"}, "--alpha inf"),
    ({"gpus_per_cell": "nan"}, "--gpus-per-cell nan"),
    ({"train": "perhaps"}, "--train perhaps"),
    ({"dominance": "loudest"}, "--dominance loudest"),
    ({"isa": "sse"}, "--isa sse"),
    ({"timing": "never"}, "--timing never"),
    ({"int8_repair": "yes"}, "--int8-repair yes"),
    ({"executor": "slurm"}, "--executor slurm"),
    ({"weights": ["mine"]}, "--weights ['mine']: expected NAME=DIR"),
    ({"weights": ["=x"]}, "expected NAME=DIR"),
    ({"checkpoint": ["mine-raw="]}, "expected NAME=DIR"),
    ({"max_length": "1"}, "--max-length 1"),
    ({"split_seed": "-4"}, "--split-seed -4"),
    ({"unknown": "x"}, "--unknown x"),
]


@pytest.mark.parametrize(("given", "said"), MISTAKES)
def test_a_mistake_names_the_option_and_what_came(given: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError) as caught:
        read_options(given, run_file=None)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_every_field_has_a_help_text_and_pytests_table_is_that_of_the_model() -> None:
    assert all(view.help for view in views())
    assert {view.name for view in views()} == Options.model_fields.keys() - {
        "encoder_tables",
        "groups",
    }
    assert json.loads(TABLE.read_text(encoding="utf-8")) == json.loads(pytest_table()), (
        'write it again: python -c "from goemo_eval.options import pytest_table; print(pytest_table())"'
    )

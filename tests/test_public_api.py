from __future__ import annotations

import subprocess
import sys

import pytest

import goemo_eval


def test_every_public_name_is_there() -> None:
    for name in goemo_eval.__all__:
        assert getattr(goemo_eval, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        goemo_eval.nothing  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import goemo_eval; dir(goemo_eval)",
        "from goemo_eval import gate, get_scheme, load_dataset, read_records, score_predictions, search_thresholds",
        "import goemo_eval.cli.app, goemo_eval.pytest_plugin",
    ],
)
def test_imports_load_neither_torch_nor_transformers(code: str) -> None:
    check = "import sys; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", f"{code}; {check}"], check=False)
    assert result.returncode == 0

"""torchao as the successor of torch's INT8 kernels: the same artifact, other products.

`tox run -e torchao` installs it; the default environment does without, since transformers imports
it wherever it is found.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from goemo_eval.data.dataset import Split
from goemo_eval.engines import torch as engine
from goemo_eval.engines import torch_int8
from goemo_eval.engines.artifact import Variant, read_artifact
from goemo_eval.engines.base import logits
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint

INT8 = Variant(engine="torch", precision="int8")
KEPT = "bert.encoder.layer.0.output.dense"


@pytest.fixture
def torch_without_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_int8, "_torch_multiplies", lambda: False)


@pytest.fixture
def artifact(minilm_raw: Checkpoint, tmp_path: Path) -> Path:
    """Written by a torch that has its own kernels."""
    out = tmp_path / "artifact"
    out.mkdir()
    variant = INT8.model_copy(update={"kept_fp32": (KEPT,)})
    engine.convert(minilm_raw, variant, out, threads=torch.get_num_threads())
    return out


def load(path: Path) -> engine.TorchPredictor:
    return engine.load(read_artifact(path), threads=torch.get_num_threads())


def test_without_torchao_the_install_command_is_named(
    artifact: Path, torch_without_its_own: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(EngineError, match=r"pip install 'goemo-eval\[torchao\]'"):
        load(artifact)


@pytest.mark.filterwarnings("default")  # torchao's own, of a torch other than it was built for
def test_torchao_multiplies_what_torch_wrote(
    artifact: Path, short_sample: dict[str, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchao", reason="pip install 'goemo-eval[torchao]'")
    texts = short_sample["test"].texts
    by_torch = load(artifact)
    monkeypatch.setattr(torch_int8, "_torch_multiplies", lambda: False)
    by_torchao = load(artifact)
    assert by_torchao.runtime.quantized_engine == "torchao"
    assert "(torchao)" in by_torchao.runtime.kernels
    layer = "bert.encoder.layer.0.intermediate.dense"
    weights = [p.module.get_submodule(layer).weight for p in (by_torch, by_torchao)]
    assert torch.equal(weights[0], weights[1].dequantize())
    assert type(by_torchao.module.get_submodule(KEPT)) is torch.nn.Linear
    a, b = logits(by_torch, texts), logits(by_torchao, texts)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.98
    np.testing.assert_array_equal(b, logits(load(artifact), texts))


@pytest.mark.filterwarnings("default")
def test_torchao_converts_as_torch_does(
    minilm_raw: Checkpoint, artifact: Path, tmp_path: Path, torch_without_its_own: None
) -> None:
    pytest.importorskip("torchao", reason="pip install 'goemo-eval[torchao]'")
    out = tmp_path / "again"
    out.mkdir()
    variant = INT8.model_copy(update={"kept_fp32": (KEPT,)})
    engine.convert(minilm_raw, variant, out, threads=torch.get_num_threads())
    assert read_artifact(out).info.quantized_engine == "torchao"
    assert read_artifact(out).info.files == read_artifact(artifact).info.files

"""torchao as the successor of torch's dynamic INT8, where a torch no longer has that.

`tox run -e torchao` installs it; the default environment does without, since transformers imports
it wherever it is found.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from goemo_eval.data.splits import Split
from goemo_eval.engines.registry import load_classifier
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint

KEPT = "bert.encoder.layer.0.output.dense"


@pytest.fixture(autouse=True)
def _torch_without_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.ao.quantization, "quantize_dynamic")


def test_without_torchao_the_install_command_is_named(
    minilm_raw: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(EngineError, match=r"pip install 'goemo-eval\[torchao\]'"):
        load_classifier(minilm_raw, precision="int8")


@pytest.mark.filterwarnings("default")  # torchao's own, of a torch other than it was built for
def test_torchao_takes_over(minilm_raw: Checkpoint, short_sample: dict[str, Split]) -> None:
    pytest.importorskip("torchao", reason="pip install 'goemo-eval[torchao]'")
    texts = short_sample["test"].texts
    fp32 = load_classifier(minilm_raw)
    int8 = load_classifier(minilm_raw, precision="int8")
    assert int8.runtime.quantized_engine == "torchao"
    assert "torchao" in int8.runtime.kernels
    assert int8.size_bytes < 0.4 * fp32.size_bytes
    a, b = fp32.logits(texts), int8.logits(texts)
    assert not np.array_equal(a, b)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95
    again = load_classifier(minilm_raw, precision="int8").logits(texts)
    np.testing.assert_array_equal(b, again)


@pytest.mark.filterwarnings("default")
def test_torchao_leaves_a_kept_layer(minilm_raw: Checkpoint) -> None:
    pytest.importorskip("torchao", reason="pip install 'goemo-eval[torchao]'")
    whole = load_classifier(minilm_raw, precision="int8")
    kept = load_classifier(minilm_raw, precision="int8", kept_fp32=[KEPT])
    assert kept.kept_fp32 == (KEPT,)
    assert kept.size_bytes - whole.size_bytes == pytest.approx(3 * 384 * 1536, rel=0.05)

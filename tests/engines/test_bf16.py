"""BF16 where the CPU multiplies it by instructions, and the refusal where it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goemo_eval.cpu import ISA_LIMITS, has_bf16_products
from goemo_eval.data.dataset import Split
from goemo_eval.engines.artifact import Artifact, Variant, read_artifact
from goemo_eval.engines.base import logits
from goemo_eval.engines.classifier import load_classifier
from goemo_eval.engines.registry import converter, load, missing_engine, refusal
from goemo_eval.engines.torch_bf16 import halved, multiply_in_bf16
from goemo_eval.engines.torch_int8 import fill
from goemo_eval.errors import EngineError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.pretrained import load_pretrained

needs_bf16 = pytest.mark.skipif(
    not has_bf16_products(), reason="this CPU has no bfloat16 instructions, or may not use them"
)
ENGINES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(missing_engine(name) is not None, reason=f"{name} not installed"),
    )
    for name in ("torch", "openvino")
]
Written = Callable[[str, str], Artifact]


@pytest.fixture(scope="module")
def written(minilm_raw: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Write a variant of MiniLM once, and read it as another process would."""
    made: dict[tuple[str, str], Artifact] = {}
    converters: dict[str, Any] = {}

    def artifact(engine: str, precision: str) -> Artifact:
        if (engine, precision) not in made:
            if engine not in converters:
                converters[engine] = converter(minilm_raw, engine, threads=1)
            out = tmp_path_factory.mktemp("artifact")
            variant = Variant.model_validate({"engine": engine, "precision": precision})
            converters[engine].write(variant, out)
            made[engine, precision] = read_artifact(out)
        return made[engine, precision]

    return artifact


@needs_bf16
@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_half_as_large_and_close_to_fp32(
    engine: str, written: Written, short_sample: dict[str, Split]
) -> None:
    fp32, bf16 = written(engine, "fp32"), written(engine, "bf16")
    assert 0.5 < bf16.size_bytes / fp32.size_bytes < 0.52
    assert bf16.info.int8_share == 0
    assert bf16.info.quantized_engine is None
    texts = short_sample["test"].texts
    exact, found = (logits(load(each, threads=1), texts) for each in (fp32, bf16))
    apart = np.abs(found - exact)
    # Eight binary digits: errors of products are 2**-9 of them, and a few of them add up.
    assert 1e-4 < apart.max() < 0.02 * np.abs(exact).max()
    assert apart.mean() < 0.004 * np.abs(exact).max()


@needs_bf16
@pytest.mark.parametrize("engine", ENGINES)
def test_products_are_bf16_and_logits_are_not(
    engine: str, written: Written, short_sample: dict[str, Split]
) -> None:
    predictor = load(written(engine, "bf16"), threads=1)
    assert "bf16" in predictor.runtime.kernels
    found = torch.from_numpy(logits(predictor, short_sample["test"].texts))
    assert found.dtype == torch.float32
    assert (found != found.bfloat16().float()).float().mean() > 0.9


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from goemo_eval.engines.base import logits
from goemo_eval.engines.registry import load
texts = Path(sys.argv[2]).read_text().split("\\n")
np.save(sys.argv[3], logits(load(Path(sys.argv[1]), threads=1), texts))
"""


@needs_bf16
@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_bits_twice_and_in_another_process(
    engine: str, written: Written, short_sample: dict[str, Split], tmp_path: Path
) -> None:
    texts = [" ".join(text.split()) for text in short_sample["test"].texts]
    artifact = written(engine, "bf16")
    first, second = (logits(load(artifact, threads=1), texts) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    names = [str(artifact.path), str(tmp_path / "texts.txt"), str(tmp_path / "there.npy")]
    subprocess.run([sys.executable, "-c", SCRIPT, *names], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "there.npy"), first)


@needs_bf16
@pytest.mark.parametrize("engine", ENGINES)
def test_converting_again_writes_the_same_bytes(
    engine: str, written: Written, minilm_raw: Checkpoint, tmp_path: Path
) -> None:
    made = converter(minilm_raw, engine, threads=1)
    made.write(Variant(engine=engine, precision="bf16"), tmp_path)
    again, before = read_artifact(tmp_path).info.files, written(engine, "bf16").info.files
    large = {name: sha for name, sha in before.items() if Path(name).suffix != ".xml"}
    assert {name: again[name] for name in large} == large


@needs_bf16
def test_the_head_and_what_is_no_layer_stay_in_fp32(minilm_raw: Checkpoint) -> None:
    module = load_pretrained(minilm_raw).module
    tensors = halved(module)
    half = {name for name, tensor in tensors.items() if tensor.dtype == torch.bfloat16}
    assert len(half) == 3 + 6 * 6 + 1  # tables, six layers of six products, the pooler
    assert not any("classifier" in name or "LayerNorm" in name for name in half)
    assert not any(name.endswith(".bias") for name in half)


@needs_bf16
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_multiplies_rounded_numbers_and_sums_them_in_fp32(bias: bool) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(384, 70, bias=bias)
    x = torch.randn(3, 5, 384)
    expected = x.bfloat16().double() @ layer.weight.detach().bfloat16().double().T
    own = torch.nn.Sequential(torch.nn.Linear(384, 70, bias=bias))
    tensors = {"0.weight": layer.weight.detach().bfloat16()}
    if bias:
        tensors["0.bias"] = layer.bias.detach()
    made = multiply_in_bf16(fill(own, tensors, None))
    with torch.inference_mode():
        found = made(x)
    assert found.dtype == torch.float32
    if bias:
        found = found - layer.bias
    # Rounded once at the end, to eight digits.
    assert (found - expected).abs().max() < 2**-8 * expected.abs().max()
    torch.testing.assert_close(made[0].weight, layer.weight.detach().bfloat16().float())


@needs_bf16
def test_a_model_without_bf16_weights_is_refused() -> None:
    with pytest.raises(EngineError, match="no weight is bfloat16"):
        multiply_in_bf16(torch.nn.Sequential(torch.nn.Linear(4, 4)))


def test_engines_without_bf16_say_why() -> None:
    assert str(refusal("onnxruntime", "bf16")) == (
        "engine onnxruntime has no bf16: ONNX Runtime has no matrix product of bfloat16 on x86"
    )
    assert "numpy, which runs the floor, has no bfloat16" in str(refusal("linear", "bf16"))
    for engine in ("torch", "onnxruntime", "openvino", "linear"):
        assert refusal(engine, "fp32") is None
        assert refusal(engine, "int8") is None


@pytest.mark.skipif(missing_engine("onnxruntime") is not None, reason="onnxruntime not installed")
def test_an_engine_without_bf16_writes_none(minilm_raw: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="engine onnxruntime has no bf16"):
        load_classifier(minilm_raw.path, "onnxruntime", "bf16", threads=1)
    variant = Variant(engine="onnxruntime", precision="bf16")
    with pytest.raises(EngineError, match="engine onnxruntime has no bf16"):
        converter(minilm_raw, "onnxruntime", threads=1).write(variant, tmp_path)
    assert not list(tmp_path.iterdir())


FORBIDDEN = """
import json, sys
from pathlib import Path
from goemo_eval.cpu import has_bf16_products
from goemo_eval.engines.classifier import load_classifier
from goemo_eval.engines.registry import load
from goemo_eval.errors import EngineError
said = [has_bf16_products()]
checkpoint, *artifacts = sys.argv[1:]
for call in (
    *(lambda path=path: load(Path(path), threads=1) for path in artifacts),
    lambda: load_classifier(checkpoint, "torch", "bf16", threads=1),
):
    try:
        call()
    except EngineError as error:
        said.append(str(error))
print(json.dumps(said))
"""


@needs_bf16
@pytest.mark.parametrize(
    "forbidden", [ISA_LIMITS["avx2"], {"ONEDNN_MAX_CPU_ISA": "avx512_core_vnni"}]
)
def test_where_it_is_forbidden_it_is_neither_made_nor_loaded(
    forbidden: dict[str, str], written: Written, minilm_raw: Checkpoint
) -> None:
    engines = [name for name in ("torch", "openvino") if missing_engine(name) is None]
    artifacts = [written(engine, "bf16").path for engine in engines]
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN, minilm_raw.path, *artifacts],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **forbidden},
    )
    has, *said = json.loads(done.stdout)
    assert has is False
    assert len(said) == len(artifacts) + 1
    for line in said:
        assert line.startswith("bf16: this CPU has no instructions for bfloat16")
        assert line.endswith("choose fp32 or int8")
        assert "\n" not in line

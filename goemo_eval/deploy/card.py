"""The model card of a bundle: what the hub reads at its head, and what a person reads below."""

from __future__ import annotations

import json
from collections.abc import Sequence

from goemo_eval.deploy.bundle import BundleInfo

_HOW = {
    "onnxruntime": """The same file without this library:

```python
import json
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

bundle = json.load(open("bundle.json", encoding="utf-8"))
tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation({length})
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
encoding = tokenizer.encode("a text")
ids = np.array([encoding.ids], dtype=np.int64)
(logits,) = session.run(None, {{"input_ids": ids, "attention_mask": np.ones_like(ids)}})
{decide}
```
""",
    "openvino": """The same files without this library:

```python
import json
import numpy as np
import openvino
from tokenizers import Tokenizer

bundle = json.load(open("bundle.json", encoding="utf-8"))
tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation({length})
model = openvino.Core().compile_model("model.xml", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})
encoding = tokenizer.encode("a text")
ids = np.array([encoding.ids], dtype=np.int64)
logits = model([ids, np.ones_like(ids)])[0]
{decide}
```
""",
}
_PIPELINE = """The same weights in a plain transformers pipeline:

```python
from transformers import pipeline

classify = pipeline("text-classification", model=".", top_k=None, function_to_apply="{function}")
scores = classify("a text", truncation=True, max_length={length})
```
"""
_MULTILABEL = """probabilities = 1 / (1 + np.exp(-logits[0].astype(np.float64)))
labels = [bundle["labels"][k] for k in np.flatnonzero(probabilities >= bundle["thresholds"])]"""
_MULTICLASS = 'label = bundle["labels"][int(logits[0].argmax())]'


def card(info: BundleInfo, *, poolings: Sequence[str] = ()) -> str:
    """Return a model card as markdown with the metadata that the hub reads.

    Parameters
    ----------
    info : BundleInfo
    poolings : sequence of str
        What the model adds to its architecture, so that plain transformers would read it otherwise.
    """
    parts = [
        _metadata(info),
        _head(info),
        _use(info),
        _scores(info),
        _plain(info, poolings),
        _limits(info),
    ]
    return "\n".join(parts)


def _metadata(info: BundleInfo) -> str:
    """Return the front matter; JSON's form of a text is YAML's too."""
    measured = info.measured
    lines = [
        "---",
        f"library_name: {json.dumps('transformers' if info.engine == 'torch' else info.engine)}",
        "pipeline_tag: text-classification",
        "tags:",
        "- goemo-eval",
        f"- {json.dumps(info.precision)}",
        "model-index:",
        f"- name: {json.dumps(info.cell)}",
        "  results:",
        "  - task:",
        "      type: text-classification",
        "    dataset:",
        f"      name: {json.dumps(measured.dataset)}",
        f"      type: {json.dumps(measured.dataset)}",
        "      split: test",
        "    metrics:",
        "    - type: f1",
        "      name: Macro-F1",
        f"      value: {measured.test_macro_f1}",
        "---",
        "",
    ]
    return "\n".join(lines)


def _head(info: BundleInfo) -> str:
    size = f"{len(info.labels)} labels"
    how = (
        "each label by itself, with a threshold per label"
        if info.kind == "multilabel"
        else "one label a text, the most probable"
    )
    return f"""# {info.cell}

A text classifier for a CPU: {size} ({_listed(info.labels)}), {how}. It runs on {info.engine} in
{info.precision.upper()}. Made and measured by goemo-eval on the data set *{info.measured.dataset}*.

**Licence**: to be stated by whoever publishes this. It depends on the pretrained weights and on the training data.
"""


def _use(info: BundleInfo) -> str:
    return f"""## Use

```python
from goemo_eval import load_bundle

bundle = load_bundle(".")
print(bundle.predict(["a text"])[0].labels)
```

or `goemo-eval predict . "a text"`. Texts are cut to {info.max_length or "no"} tokens.
"""


def _scores(info: BundleInfo) -> str:
    measured = info.measured
    rows = "\n".join(f"| {label} | {f1:.3f} |" for label, f1 in measured.per_label_f1.items())
    times = "".join(
        f"\n- median seconds, {name}: {seconds:.4f}"
        for name, seconds in measured.latency_p50_s.items()
    )
    memory = (
        f"\n- peak memory: {measured.peak_rss_bytes / 1e6:.0f} MB"
        if measured.peak_rss_bytes
        else ""
    )
    start = f"\n- start to first answer: {measured.start_s:.2f} s" if measured.start_s else ""
    return f"""## What it scored

Test Macro-F1 **{measured.test_macro_f1:.3f}** (95 % interval over {measured.test_rows:,} texts {measured.test_macro_f1_low:.3f} to
{measured.test_macro_f1_high:.3f}); validation, on which thresholds were fitted, {measured.validation_macro_f1:.3f}.

On {measured.cpu}, {measured.threads} threads:{times}{memory}{start}

| label | test F1 |
|---|---|
{rows}
"""


def _plain(info: BundleInfo, poolings: Sequence[str]) -> str:
    decide = _MULTILABEL if info.kind == "multilabel" else _MULTICLASS
    if info.engine in _HOW:
        return _HOW[info.engine].format(length=info.max_length, decide=decide)
    if info.engine == "torch" and info.precision == "fp32" and not poolings:
        function = "sigmoid" if info.kind == "multilabel" else "softmax"
        return _PIPELINE.format(function=function, length=info.max_length)
    return ""


def _limits(info: BundleInfo) -> str:
    return f"""## Limits

- Scores hold for texts like those of *{info.measured.dataset}*; labels with few examples are the least certain.
- INT8 gives slightly other logits on processors with other instruction sets, and in other batches ({info.batch_rule}).
- Times hold for the machine above.
"""


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:8])
    return shown if len(labels) <= 8 else f"{shown}, ..."

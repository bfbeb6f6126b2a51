"""How a bundle is used, as code that a model card shows: with this library, and with plain runtimes."""

from __future__ import annotations

from goemo_eval.deploy.description import BundleInfo
from goemo_eval.engines.onnxruntime import SLOW_FUSION

_OURS = """## Use

```python
from goemo_eval import load_bundle

bundle = load_bundle(".")
print(bundle.predict(["a text"])[0].labels)
```

or `goemo-eval predict . "a text"`. `predict` takes many texts at once, and several threads may call it.
"""
_GRAPH = """
The same {what} without this library, with {packages} alone. Texts share batches as they did when they were scored, so the
same texts get the very decisions that were scored:

```python
import json
from pathlib import Path

import numpy as np
{imports}
from tokenizers import Tokenizer

bundle = json.loads(Path("bundle.json").read_text(encoding="utf-8"))
tokenizer = Tokenizer.from_file("tokenizer.json")  # cuts to the length limit
{load}


def logits_of(texts):
    encodings = tokenizer.encode_batch(texts)
    order = sorted(range(len(texts)), key=lambda i: -len(encodings[i].ids))
    found = np.empty((len(texts), len(bundle["labels"])), np.float32)
    while order:
        longest = max(1, len(encodings[order[0]].ids))
        size = max(1, bundle["batch_rule"]["padded_tokens"] // longest)
        rows, order = order[:size], order[size:]
        ids = np.full((len(rows), longest), {pad_id}, np.int64)
        mask = np.zeros_like(ids){types}
        for row, i in enumerate(rows):
            used = {used}
            ids[row, used], mask[row, used] = encodings[i].ids, 1{fill_types}
        found[rows] = {run}
    return found


logits = logits_of(["a text", "another one"])
{decide}
```
"""
_RUNTIMES = {
    "onnxruntime": {
        "what": "file",
        "packages": "onnxruntime and tokenizers",
        # A slow fusion, without which the model was scored: with it, a few decisions are others.
        "load": f"""options = {{"disabled_optimizers": ["{SLOW_FUSION}"]}}  # as it was scored
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"], **options)""",
        "run": "session.run(None, {names})[0]",
    },
    "openvino": {
        "what": "files",
        "packages": "openvino and tokenizers",
        "load": 'model = openvino.Core().compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})',
        "run": "model([{inputs}])[0]",
    },
}
_MULTILABEL = """probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
decided = probabilities >= bundle["thresholds"]
labels = [[bundle["labels"][k] for k in row.nonzero()[0]] for row in decided]"""
_MULTICLASS = """labels = [bundle["labels"][k] for k in logits.argmax(axis=1)]"""
_PIPELINE = """
The same weights in a plain transformers pipeline:

```python
import json
from pathlib import Path

from transformers import pipeline

bundle = json.loads(Path("bundle.json").read_text(encoding="utf-8"))
classify = pipeline("text-classification", model=".", top_k=None, function_to_apply="{function}")
scores = classify(["a text", "another one"], truncation=True, max_length=bundle["tokens"]["max_length"])
{decide}
```
"""
_PIPELINE_MULTILABEL = """threshold = dict(zip(bundle["labels"], bundle["thresholds"]))
labels = [[s["label"] for s in row if s["score"] >= threshold[s["label"]]] for row in scores]"""
_PIPELINE_MULTICLASS = """labels = [row[0]["label"] for row in scores]"""
_OTHERWISE = """
Plain transformers reads these files otherwise than they are meant{why}: use this library.
"""
_NOT_PLAIN = {
    "int8": " (INT8 weights with scales of their own)",
    "bf16": " (BF16 products between FP32 layers)",
}
_IN_BF16 = """
Plain openvino can compile these files with `INFERENCE_PRECISION_HINT` bf16, but decides a text here and there otherwise than
was scored: use this library.
"""
_BESIDE = """
What {engine} runs here is the encoder alone: this library adds the floor's logits, which the thresholds count on.
"""


def usage(info: BundleInfo) -> str:
    """Return the section on use of a model card: markdown with code to be run in the bundle's directory."""
    if info.floor_weight is not None:
        return _OURS + _BESIDE.format(engine=info.engine)
    if info.engine in ("onnxruntime", "openvino"):
        return _OURS + _graph(info)
    if info.engine != "torch":
        return _OURS
    if info.precision in _NOT_PLAIN:
        return _OURS + _OTHERWISE.format(why=_NOT_PLAIN[info.precision])
    if info.pooling is not None:
        return _OURS + _OTHERWISE.format(why=f" (the head reads the {info.pooling} of the tokens)")
    return _OURS + _pipeline(info)


def _graph(info: BundleInfo) -> str:
    tokens = info.tokens
    if tokens is None or info.batch_rule.padded_tokens is None:
        return ""
    if info.precision == "bf16":
        return _IN_BF16
    left = tokens.padding_side == "left"
    inputs, types, fill_types = "ids, mask", "", ""
    names = '{"input_ids": ids, "attention_mask": mask}'
    if tokens.type_ids:
        inputs += ", types"
        names = '{"input_ids": ids, "attention_mask": mask, "token_type_ids": types}'
        types = f"\n        types = np.full_like(ids, {tokens.pad_type_id})"
        fill_types = "\n            types[row, used] = encodings[i].type_ids"
    runtime = _RUNTIMES[info.engine]
    return _GRAPH.format(
        what=runtime["what"],
        packages=runtime["packages"],
        imports=f"import {info.engine}",
        load=runtime["load"],
        run=runtime["run"].format(names=names, inputs=inputs),
        pad_id=tokens.pad_id,
        types=types,
        fill_types=fill_types,
        used="slice(longest - len(encodings[i].ids), longest)"
        if left
        else "slice(len(encodings[i].ids))",
        decide=_MULTILABEL if info.kind == "multilabel" else _MULTICLASS,
    )


def _pipeline(info: BundleInfo) -> str:
    if info.kind == "multilabel":
        return _PIPELINE.format(function="sigmoid", decide=_PIPELINE_MULTILABEL)
    return _PIPELINE.format(function="softmax", decide=_PIPELINE_MULTICLASS)

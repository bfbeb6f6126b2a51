"""The model card of a bundle: what the hub reads at its head, and what a person reads below."""

from __future__ import annotations

import json

from goemo_eval.deploy.description import BundleInfo
from goemo_eval.deploy.usage import usage

_FEW = 30
"""Test texts of a label below which its score is hardly known."""


def card(info: BundleInfo) -> str:
    """Return a model card as markdown, with the metadata that the hub reads.

    Parameters
    ----------
    info : BundleInfo

    Returns
    -------
    str
        The licence is left to be stated: it depends on weights and data that are not ours.
    """
    parts = [
        _metadata(info),
        _head(info),
        usage(info),
        _scores(info),
        _times(info),
        _training(info),
        _limits(info),
    ]
    return "\n".join(parts)


def _metadata(info: BundleInfo) -> str:
    """Return the front matter; JSON's form of a text is YAML's too."""
    plain = (info.engine, info.precision, info.pooling) == ("torch", "fp32", None)
    dataset, scores = json.dumps(info.data.name), info.scores
    return f"""---
# license: state it here, such as apache-2.0; it depends on the pretrained weights and on the training data
library_name: {"transformers" if plain else "goemo-eval"}
pipeline_tag: text-classification
tags:
- goemo-eval
- {json.dumps(info.engine)}
- {json.dumps(info.precision)}
model-index:
- name: {json.dumps(info.cell)}
  results:
  - task:
      type: text-classification
    dataset:
      name: {dataset}
      type: {dataset}
      split: test
    metrics:
    - type: f1
      name: Macro-F1
      value: {scores.macro_f1!r}
    - type: f1
      name: Micro-F1
      value: {scores.micro_f1!r}
---
"""


def _head(info: BundleInfo) -> str:
    how = (
        "each label by itself, where its probability is at least its threshold: a text may get several, or none"
        if info.kind == "multilabel"
        else "one label a text, the most probable"
    )
    labels = ", ".join(f"`{shown(label)}`" for label in info.labels)
    beside = ""
    if info.floor_weight is not None:
        beside = (
            f" Its logits are {1 - info.floor_weight:.0%} the encoder's and {info.floor_weight:.0%} those of a linear "
            "model of n-grams beside it."
        )
    return f"""# {info.cell}

A text classifier for a CPU, made and measured by goemo-eval: {info.encoder} under the scheme *{info.scheme}*, run by {info.engine} in
{info.precision.upper()}.{beside} It predicts {len(info.labels)} labels, {how}:
{labels}.

**Intended use**: texts like those of *{shown(info.data.name)}*, on which it was trained and scored. It was not tested on any others, nor for
decisions about people.

**Licence**: to be stated by whoever publishes this, here and at the head of this file.
"""


def _scores(info: BundleInfo) -> str:
    scores = info.scores
    rows = "\n".join(
        f"| {shown(label)} | {s.precision:.3f} | {s.recall:.3f} | {s.f1:.3f} | {s.support:,} |"
        for label, s in scores.per_label.items()
    )
    interval = scores.macro_f1_interval
    fitted = ", on which the thresholds were fitted," if info.thresholds else ""
    return f"""## What it scored

Test Macro-F1 **{scores.macro_f1:.3f}** (95 % interval over {info.data.rows["test"]:,} texts: {interval.low:.3f} to {interval.high:.3f}), Micro-F1
{scores.micro_f1:.3f}, weighted F1 {scores.weighted_f1:.3f}. On validation{fitted} Macro-F1 {scores.validation_macro_f1:.3f}.
{_served(info)}
| label | precision | recall | F1 | test texts |
|---|---|---|---|---|
{rows}
"""


def _served(info: BundleInfo) -> str:
    served = info.scores.served
    if served is None:
        return ""
    return f"""
These are of texts in large batches. One text at a time, {served.agreement:.3%} of the decisions are the same, and Macro-F1 changes by
{served.change:+.4f} (95 % interval {served.interval.low:+.4f} to {served.interval.high:+.4f}).
"""


def _times(info: BundleInfo) -> str:
    times = info.times
    rows = []
    for name, latency in times.latency.items():
        of = "a text" if latency.batch_size == 1 else f"a batch of {latency.batch_size}"
        p99 = "" if latency.p99_s is None else f", p99 {latency.p99_s * 1e3:.1f} ms"
        doubt = "" if latency.stable else ", **unstable**: the machine was busy"
        rows.append(
            f"- {name}, {of}: p50 {latency.p50_s * 1e3:.1f} ms, p95 {latency.p95_s * 1e3:.1f} ms{p99}{doubt}"
        )
    if times.offline_texts_per_s is not None:
        rows.append(f"- offline: {times.offline_texts_per_s:,.0f} texts a second")
    if times.peak_rss_bytes is not None:
        rows.append(
            f"- memory of a process of its own, at most: {times.peak_rss_bytes / 1e6:.0f} MB"
        )
    if times.start_s is not None:
        rows.append(f"- start of that process to its first answer: {times.start_s:.2f} s")
    listed = "\n".join(rows) or "- not taken"
    limit = f", limited to {times.isa_limit}" if times.isa_limit else ""
    return f"""## What it takes

{info.size_bytes / 1e6:.1f} MB, {info.parameters / 1e6:.2f} million parameters. On {shown(times.cpu)} ({", ".join(times.isa_flags)}{limit}),
{times.threads} threads:

{listed}
"""


def _training(info: BundleInfo) -> str:
    data = info.data
    rows = ", ".join(f"{name} {count:,}" for name, count in data.rows.items())
    revision = f", revision {shown(data.revision)}" if data.revision else ""
    kept = smoothed = ""
    if info.kept_fp32:
        kept = f" Kept in FP32 inside: {', '.join(f'`{name}`' for name in info.kept_fp32)}."
    if info.smoothed:
        smoothed = " Outliers were spread by exact rescaling before INT8."
    return f"""## Training data

*{shown(data.name)}*, from `{shown(data.source)}`{revision}; texts: {rows}. `bundle.json` has the sha256 of every split.{kept}{smoothed}
"""


def _limits(info: BundleInfo) -> str:
    thin = [label for label, score in info.scores.per_label.items() if score.support < _FEW]
    rare = lower = ""
    if thin:
        named = ", ".join(f"`{shown(label)}`" for label in thin)
        rare = (
            f"\n- Fewer than {_FEW} test texts have {named}: what it scores there is hardly known."
        )
    if info.precision == "int8":
        lower = (
            "\n- INT8: logits differ a little between processors with other instruction sets, and where the "
            "engine scales by batch also with what shares a batch."
        )
    elif info.precision == "bf16":
        lower = (
            "\n- BF16: needs a processor with instructions for it (avx512_bf16, amx_bf16, or Arm's bf16), and is refused "
            "elsewhere; logits differ a little between processors, and with what shares a batch."
        )
    cut = (
        f"Texts are cut to {info.tokens.max_length} tokens."
        if info.tokens
        else "Texts are read whole."
    )
    return f"""## Limits

- {cut}
- Scores hold for texts like those that were scored, and say nothing of other sources or languages.{rare}{lower}
- Times hold for the machine above.
"""


def shown(text: str) -> str:
    """Return a text for a table or a line: nothing that markdown or a terminal would act on."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain.replace("|", "\\|").replace("<", "&lt;").replace("`", "'")

"""A linear model on disk: its vocabulary as JSON, its weights as safetensors; no pickle, no torch.

Checkpoints hold it in FP32, artifacts of the engine ``linear`` in FP32 or INT8.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from goemo_eval.errors import GoemoError
from goemo_eval.files import read_json, write_atomic
from goemo_eval.models.ngrams import NgramOptions, Vocabulary

VOCABULARY = "vocabulary.json"
WEIGHTS = "model.safetensors"


class Names(NamedTuple):
    """Of a model's two files."""

    vocabulary: str
    weights: str


OWN = Names(VOCABULARY, WEIGHTS)
BESIDE = Names("floor.json", "floor.safetensors")
"""Beside an encoder's own (`goemo_eval.models.mixture`)."""
_KEYS = {"options", "texts", "words", "characters"}
_MEND = "make it again"


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model over n-grams: ``logits = features @ weights * scales + bias``.

    Attributes
    ----------
    vocabulary : Vocabulary
        Of V features.
    weights : ndarray of float32 or int8, shape (V, K)
    scales : ndarray of float32, shape (K,), or None
        Of INT8 weights, one per label; None in FP32.
    bias : ndarray of float32, shape (K,)
    """

    vocabulary: Vocabulary
    weights: npt.NDArray[Any]
    scales: npt.NDArray[np.float32] | None
    bias: npt.NDArray[np.float32]


def quantized(model: LinearModel) -> LinearModel:
    """Return an FP32 model with INT8 weights, one scale per label."""
    largest = np.abs(model.weights).max(axis=0)
    scales = (np.where(largest > 0, largest, 1) / 127).astype(np.float32)
    weights = np.rint(model.weights / scales).astype(np.int8)
    return LinearModel(model.vocabulary, weights, scales, model.bias)


def write_linear(path: Path, model: LinearModel, *, names: Names = OWN) -> None:
    """Write a model's two files into a directory."""
    from safetensors.numpy import save

    vocabulary = model.vocabulary
    entry = {
        "options": vocabulary.options.model_dump(),
        "texts": vocabulary.texts,
        "words": vocabulary.words,
        "characters": vocabulary.characters,
    }
    # Half a surrogate pair can stand in a text, and no UTF-8 can hold it: hence ASCII.
    write_atomic(path / names.vocabulary, json.dumps(entry, separators=(",", ":")).encode("ascii"))
    tensors = {
        "weights": np.ascontiguousarray(model.weights),
        "bias": model.bias,
        "in_texts": vocabulary.in_texts,
    }
    if model.scales is not None:
        tensors["scales"] = model.scales
    write_atomic(path / names.weights, save(tensors))


def read_linear(
    path: Path, *, n_labels: int, error: type[GoemoError], names: Names = OWN
) -> LinearModel:
    """Read a model, and refuse what does not fit together.

    Parameters
    ----------
    path : Path
        Directory.
    n_labels : int
        K.
    error : type
        Raised.
    names : Names
        Of the files.

    Raises
    ------
    GoemoError
        If a file is missing or broken, or vocabulary, weights and labels are of different sizes.
    """
    file = path / names.weights
    tensors = _read_tensors(file, error)
    in_texts = tensors.get("in_texts")
    if in_texts is None or in_texts.dtype != np.int32 or in_texts.ndim != 1:
        raise error(f"{file}: no in_texts of int32, one per feature: {_MEND}")
    vocabulary = _read_vocabulary(path / names.vocabulary, in_texts, error)
    weights, scales, bias = (tensors.get(name) for name in ("weights", "scales", "bias"))
    expected = {"weights": (len(vocabulary), n_labels), "bias": (n_labels,)}
    if weights is not None and weights.dtype == np.int8:
        expected["scales"] = (n_labels,)
    for name, shape in expected.items():
        found = tensors.get(name)
        if found is None or found.shape != shape or found.dtype not in _dtypes(name):
            came = "none" if found is None else f"{found.dtype} {found.shape}"
            raise error(f"{file}: {name}: expected shape {shape}, got {came}: {_MEND}")
        if not np.isfinite(found).all():
            raise error(f"{file}: {name}: not finite: {_MEND}")
    assert weights is not None
    assert bias is not None
    return LinearModel(vocabulary, weights, scales, bias)


def _dtypes(name: str) -> tuple[Any, ...]:
    return (np.float32, np.int8) if name == "weights" else (np.float32,)


def _read_tensors(file: Path, error: type[GoemoError]) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors: dict[str, npt.NDArray[Any]] = load_file(file)
    except (OSError, SafetensorError, KeyError) as problem:  # KeyError: a type that numpy lacks
        raise error(f"{file}: not a safetensors file ({problem}): {_MEND}") from None
    return tensors


def _read_vocabulary(
    file: Path, in_texts: npt.NDArray[np.int32], error: type[GoemoError]
) -> Vocabulary:
    entry = read_json(file, error=error)
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        raise error(f"{file}: expected an object of {', '.join(sorted(_KEYS))}: {_MEND}")
    try:
        options = NgramOptions.model_validate(entry["options"])
    except ValidationError as problem:
        raise error(f"{file}: options: {problem.errors()[0]['msg']}: {_MEND}") from None
    texts = entry["texts"]
    if type(texts) is not int or texts < 1:
        raise error(f"{file}: texts: expected a number of training texts: {_MEND}")
    for block in ("words", "characters"):
        found = entry[block]
        if not isinstance(found, list) or not all(isinstance(ngram, str) for ngram in found):
            raise error(f"{file}: {block}: expected a list of str: {_MEND}")
        if len(set(found)) != len(found):
            raise error(f"{file}: {block}: a feature stands twice: {_MEND}")
    words, characters = tuple(entry["words"]), tuple(entry["characters"])
    features = len(words) + len(characters)
    if features != len(in_texts):
        raise error(f"{file}: {features} features, but the weights have {len(in_texts)}: {_MEND}")
    if not features or in_texts.min() < 0 or in_texts.max() > texts:
        raise error(f"{file.parent}: no features, or more texts with one than texts: {_MEND}")
    return Vocabulary(options, words, characters, texts, in_texts)

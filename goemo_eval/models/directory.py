"""A transformers directory at the door: whether it is whole, and which of its files decide the logits.

Nothing here loads a model: files are found, bounded, hashed, and what transformers would make the
best of (an adapter, a pickle, a missing tokenizer, a head of another config) is refused in a line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from goemo_eval.data.words import shown
from goemo_eval.errors import CheckpointError
from goemo_eval.files import read_json, sha256_of_file
from goemo_eval.models.headers import FLOATS, Tensor, is_lfs_pointer, read_header

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
_MOST_JSON_BYTES = 16 << 20
_VOCABULARY = (
    "tokenizer.json",
    "tokenizer.[0-9]*.json",
    "vocab*",
    "*vocab*.json",
    "tekken.json",
    "*.model",
    "*.spm",
    "*.tiktoken",
    "*.codes",
    "*.bpe",
    "*.tokenizer",
)
TOKENIZER_PATTERNS = (
    *_VOCABULARY,
    "tokenizer*",
    "merges*",
    "special_tokens_map*",
    "added_tokens*",
    "dict.txt",
    "normalizer.json",
    "word_*.json",
)
"""Names of the files that a tokenizer may be read from."""
_MODEL = (
    "config.json",
    "config.[0-9]*.json",
    "adapter_*",
    "*.safetensors",
    "*.safetensors.index.json",
)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.pkl")
# What transformers would follow to other files, other code or other arithmetic.
_FOREIGN = {
    "auto_map": "code of its own, and no code of a checkpoint is run here: save it with a class of "
    "transformers, without auto_map",
    "quantization_config": "quantized weights, and INT8 is made here from float ones: take the model "
    "as it was before quantization",
    "transformers_weights": "another weights file: rename that to model.safetensors, and drop the key",
    "fusion_config": "fused layers: save the model without fusion_config",
    "attn_implementation": "an attention of its own: drop the key",
    "experts_implementation": "experts of its own: drop the key",
}
ATTENTIONS = ("eager", "sdpa")
"""Of attention implementations, those that are torch's own."""


@dataclass(frozen=True, eq=False)
class Directory:
    """What is known of a transformers directory before it is loaded.

    Attributes
    ----------
    path : Path
    config : dict
        What ``config.json`` says.
    tensors : dict of str to Tensor
        Of all shards.
    weights : tuple of str
        The files that hold them.
    tokenizer : tuple of str
        The tokenizer's files.
    """

    path: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    weights: tuple[str, ...]
    tokenizer: tuple[str, ...]

    @cached_property
    def files(self) -> dict[str, str]:
        """Name -> sha256 of all that decides the logits: weights, config, tokenizer."""
        names = (*self.weights, CONFIG, *self.tokenizer)
        return {name: sha256_of_file(self.path / name) for name in names}

    @property
    def weights_sha256(self) -> str:
        """Of the weights file; of the list of them where there are several."""
        return sha256_of_weights(self.files)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how it is loaded, in a line each."""
        saved = sorted({t.dtype for t in self.tensors.values() if t.dtype in FLOATS} - {"F32"})
        if not saved:
            return ()
        return (f"weights saved in {' and '.join(saved)} are computed with as float32",)


def decides(name: str) -> bool:
    """Say whether transformers may read a file of this name for weights, config or tokenizer.

    Examples
    --------
    >>> [name for name in ("added_tokens.json", "README.md", "vocab.txt") if decides(name)]
    ['added_tokens.json', 'vocab.txt']
    """
    return _matches(name, (*_MODEL, *TOKENIZER_PATTERNS))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def sha256_of_files(files: Mapping[str, str], **facts: Any) -> str:
    """Return the sha256 over names and sha256 of files, and over facts that are JSON values."""
    text = json.dumps([dict(files), facts], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_weights(files: Mapping[str, str]) -> str:
    """Return the sha256 of the one safetensors file among files, or over the list of several."""
    weights = {name: sha256 for name, sha256 in files.items() if name.endswith(".safetensors")}
    return next(iter(weights.values())) if len(weights) == 1 else sha256_of_files(weights)


def read_directory(path: Path) -> Directory:
    """Find the files of a transformers directory, and refuse what cannot be loaded as it was saved.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Directory

    Raises
    ------
    CheckpointError
        If it is not one, or one that cannot be loaded exactly as it was saved.
    """
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such directory: pass one with {CONFIG} and {WEIGHTS}")
    names = {file.name for file in path.iterdir() if file.is_file()}
    _refuse_others(path, names)
    config = read_config(path)
    weights = _weights(path, names)
    tensors: dict[str, Tensor] = {}
    for name in weights:
        for key, tensor in read_header(path / name).items():
            if key in tensors:
                raise CheckpointError(
                    f"{path / name}: holds {shown(key)}, as another shard does: save the model again"
                )
            tensors[key] = tensor
    _check_floats(path, tensors)
    tokenizer = sorted(name for name in names if _matches(name, TOKENIZER_PATTERNS))
    check_tokenizer_files(path, tokenizer)
    return Directory(path, config, tensors, weights, tuple(tokenizer))


def _refuse_others(path: Path, names: set[str]) -> None:
    """Refuse a directory that is something else, with what to pass in its place."""
    if adapter := sorted(name for name in names if name.startswith("adapter_")):
        raise CheckpointError(
            f"{path}: holds {adapter[0]}: an adapter is no model; merge it into its base "
            "(merge_and_unload of peft) and save that"
        )
    inner = [file for file in path.glob("checkpoint-*") if (file / CONFIG).is_file()]
    if inner and not (CONFIG in names and names & {WEIGHTS, INDEX}):
        last = max(inner, key=lambda file: (len(file.name), file.name))
        raise CheckpointError(f"{path}: no model, but {last.name} in it is one: pass {last}")
    if CONFIG not in names:
        raise CheckpointError(
            f"{path / CONFIG}: no such file: pass a directory that transformers' save_pretrained wrote"
        )
    if not names & {WEIGHTS, INDEX}:
        pickles = sorted(file.name for kind in _PICKLES for file in path.glob(kind))
        mend = (
            f"load {pickles[0]} with transformers and save_pretrained it"
            if pickles
            else "copy the weights there"
        )
        raise CheckpointError(
            f"{path / WEIGHTS}: no such file: only safetensors are loaded; {mend}"
        )


def read_config(path: Path) -> dict[str, Any]:
    """Read a directory's ``config.json``.

    Raises
    ------
    CheckpointError
        If it is no JSON object, names no architecture, or asks for code, quantization or files
        that are not loaded here.
    """
    file = path / CONFIG
    config = read_json(file, error=CheckpointError, most_bytes=_MOST_JSON_BYTES)
    if not isinstance(config, dict):
        raise CheckpointError(f"{file}: expected a JSON object, got {type(config).__name__}")
    for key, what in _FOREIGN.items():
        for value in (config.get(key), config.get(f"_{key}")):
            if value is not None and value not in ATTENTIONS:
                raise CheckpointError(f"{file}: {key} asks for {what}")
    kind = config.get("model_type")
    if not isinstance(kind, str) or not re.fullmatch(r"[\w.-]{1,64}", kind):
        raise CheckpointError(
            f"{file}: model_type {shown(kind)}: expected the name of an "
            "architecture of transformers, such as 'bert'"
        )
    return config


def _weights(path: Path, names: set[str]) -> tuple[str, ...]:
    """Return the names of the files that hold the weights: one, or the index's shards."""
    if WEIGHTS in names:
        return (WEIGHTS,)
    index = read_json(path / INDEX, error=CheckpointError, most_bytes=_MOST_JSON_BYTES)
    where = index.get("weight_map") if isinstance(index, dict) else None
    if (
        not isinstance(where, dict)
        or not where
        or not all(isinstance(s, str) for s in where.values())
    ):
        raise CheckpointError(f"{path / INDEX}: weight_map names no shards: save the model again")
    for shard in (shards := sorted(set(where.values()))):
        if Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise CheckpointError(
                f"{path / INDEX}: weight_map names {shown(shard)}: expected a "
                "safetensors file beside it"
            )
        if shard not in names:
            raise CheckpointError(
                f"{path / shard}: no such file, though {INDEX} lists it: copy it there"
            )
    return tuple(shards)


def _check_floats(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS and name.endswith(("weight", "bias")):
            raise CheckpointError(
                f"{path}: tensor {shown(name)} is of type {tensor.dtype}: weights must be F32, F16 or "
                "BF16; take the model as it was before quantization"
            )


def check_tokenizer_files(path: Path, names: list[str]) -> None:
    """Refuse a directory whose tokenizer transformers would invent, or run code for.

    Raises
    ------
    CheckpointError
    """
    vocabularies = [name for name in names if _matches(name, _VOCABULARY)]
    if not vocabularies:
        raise CheckpointError(
            f"{path}: no tokenizer files (tokenizer.json, vocab.txt or the like): copy those that the "
            "model was trained with there"
        )
    for name in names:
        if is_lfs_pointer(path / name):
            raise CheckpointError(
                f"{path / name}: a pointer of git-lfs, not the file: run git lfs pull, or copy the file itself"
            )
    if all(_matches(name, ("*.model", "*.spm")) for name in vocabularies):
        _check_sentencepiece(path / vocabularies[0])
    if TOKENIZER_CONFIG in names:
        settings = read_tokenizer_config(path)
        if settings.get("auto_map") is not None:
            raise CheckpointError(
                f"{path / TOKENIZER_CONFIG}: auto_map asks for {_FOREIGN['auto_map']}"
            )


def _check_sentencepiece(path: Path) -> None:
    from importlib.util import find_spec

    if find_spec("sentencepiece") is None:
        raise CheckpointError(
            f"{path}: sentencepiece is needed to read it: pip install sentencepiece, or save the "
            "tokenizer as tokenizer.json"
        )


def read_tokenizer_config(path: Path) -> dict[str, Any]:
    """Read a directory's ``tokenizer_config.json``; empty where there is none."""
    file = path / TOKENIZER_CONFIG
    if not file.is_file():
        return {}
    settings = read_json(file, error=CheckpointError, most_bytes=_MOST_JSON_BYTES)
    if not isinstance(settings, dict):
        raise CheckpointError(f"{file}: expected a JSON object, got {type(settings).__name__}")
    return settings
